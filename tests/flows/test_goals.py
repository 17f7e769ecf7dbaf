"""Times that were asked for are hit to the bit, by steps of any kind, and the states there are kept."""

import numpy as np
import pytest

import jko
from jko.flows.clock import Clock, Goals

EASY = jko.SquaredNorm()


def start():
    return jko.Particles([[1.0], [-0.5]])


def taus(kind, seed):
    random = np.random.default_rng(seed)
    lengths = random.uniform(0.05, 0.6, 400)
    return {
        "fixed": float(lengths[0]),
        "callable": lambda k: lengths[k],
        "adaptive": jko.Adaptive(10 ** random.uniform(-4, -1)),
        "greedy": jko.Greedy(first=0.05, longest=0.7),
    }[kind]


@pytest.mark.parametrize("kind", ["fixed", "callable", "adaptive", "greedy"])
@pytest.mark.parametrize("seed", range(4))
def test_the_states_at_the_times_are_kept_and_no_others(kind, seed):
    random = np.random.default_rng(seed)
    t1 = float(random.uniform(1.0, 4.0))
    times = random.uniform(0, t1, random.integers(1, 7)).tolist()
    run = jko.flow(EASY, start(), tau=taus(kind, seed), t1=t1, save=times)
    assert run.times[run.kept].tolist() == [0.0, *sorted(times), t1]
    assert run.times[-1] == t1
    exact = [float(np.prod(1 / (1 + np.diff(run.times[: k + 1])))) for k in run.kept]
    assert np.allclose([float(s.points[0]) for s in run.states], exact, rtol=0.02)


@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
def test_times_and_a_number_of_steps(kind):
    run = jko.flow(EASY, start(), tau=taus(kind, 0), steps=60, save=np.array([0.2, 0.1]))
    assert len(run.times) == 61
    assert set(run.times[run.kept]) == {0.0, 0.1, 0.2, run.times[-1]}


def test_a_step_that_fails_between_times_is_halved_up_to_them():
    hill = -2 * EASY  # no minimum for tau >= 1/2
    run = jko.flow(hill, start(), tau=1.0, t1=2.0, retry=6, save=[0.7, 0.9])
    assert run.times[run.kept].tolist() == [0.0, 0.7, 0.9, 2.0]
    assert np.diff(run.times).max() < 0.5


@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_run_that_was_cut_between_times_keeps_the_same_ones(kind, cut, tmp_path):
    options = {"tau": taus(kind, 3), "t1": 2.0, "save": [0.31, 0.9, 1.7]}
    whole = jko.flow(EASY, start(), **options)
    path = tmp_path / "run.npz"
    stop = jko.Stop(lambda k, t, result: k == cut)
    jko.flow(EASY, start(), **options, observers=[stop], checkpoint=path)
    again = jko.flow(EASY, jko.Trajectory.load(path), **options, checkpoint=path)
    for run in (again, jko.Trajectory.load(path)):
        assert np.array_equal(run.times, whole.times)
        assert np.array_equal(run.energies, whole.energies)
        assert set(whole.kept) <= set(run.kept) <= {*whole.kept, cut}


def test_a_clock_without_times_is_what_it_was():
    clock = Clock.of(0.3, Goals.of(1.0, None))
    t, through, ticks = 0.0, 0.0, []
    while t < 1.0:
        tick = clock.tick(through, t)
        t, through = tick.t, through + tick.part
        ticks.append(t)
    assert ticks == [0.3, 0.6, 0.8999999999999999, 1.0]


def test_the_next_goal():
    goals = Goals.of(2.0, None, (0.5, 1.0))
    assert [goals.after(t) for t in (0.0, 0.5, 0.7, 1.0, 1.5)] == [0.5, 1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("save", "error", "match"),
    [
        ([0.5, 3.0], ValueError, "after the end, t1 = 1"),
        ([], ValueError, "times >= 0, one at least"),
        ([-0.5], ValueError, "times >= 0"),
        ([float("nan")], ValueError, "save"),
        (0, ValueError, "save"),
        (1.5, TypeError, "save"),
        ("never", TypeError, "save"),
    ],
    ids=["late", "none", "early", "nan", "zero", "half", "word"],
)
def test_what_save_cannot_be(save, error, match):
    with pytest.raises(error, match=match):
        jko.flow(EASY, start(), tau=0.5, t1=1.0, save=save)
