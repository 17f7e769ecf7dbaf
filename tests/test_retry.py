"""A step that fails is halved: the times that were asked for are reached, and every part is a step of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import jko
from jko.flows.clock import DEEPEST, Clock, Goals

HILL = -2 * jko.SquaredNorm()  # x -> x / (1 - 2 tau): no minimum for tau >= 1/2


def start():
    return jko.Particles([[1.0], [-0.5]])


class Picky:
    """A solver that fails at random, as often as ``chance`` says, where tau is above ``least``."""

    def __init__(self, chance, least, seed):
        self.chance, self.least = chance, least
        self.random = np.random.default_rng(seed)
        self.inner = jko.BlockNewton()

    def solve(self, problem):
        result = self.inner.solve(problem)
        if problem.tau > self.least and self.random.random() < self.chance:
            return replace(result, status=jko.Status.STALLED)
        return result


def test_a_step_too_long_for_a_hill_is_made_of_quarters():
    run = jko.flow(HILL, start(), tau=1.0, steps=3, retry=4)
    assert run.columns["halvings"].tolist() == [2] * 12
    assert run.times.tolist() == np.linspace(0, 3, 13).tolist()
    assert float(run.final.points[0]) == pytest.approx(2.0**12)
    assert run.kept.tolist() == [0, 4, 8, 12]  # save counts the steps that were asked for
    assert run.slacks.min() >= 0


@pytest.mark.parametrize("seed", range(12))
def test_whatever_fails_the_times_that_were_asked_for_are_reached(seed):
    random = np.random.default_rng(seed)
    taus = random.uniform(0.1, 1.0, 6)
    t1 = float(random.uniform(0.3, 1.0) * taus.sum())
    picky = Picky(random.uniform(0.1, 0.9), 1e-3, seed)
    run = jko.flow(jko.SquaredNorm(), start(), tau=lambda k: taus[k], t1=t1, solver=picky, retry=20)
    wanted = np.append(np.cumsum(taus)[np.cumsum(taus) < t1], t1)
    assert np.abs(wanted[:, None] - run.times[None]).min(axis=1).max() <= 1e-14
    assert run.times[-1] == t1
    parts = 0.5 ** run.columns["halvings"]
    through = np.append(0.0, np.cumsum(parts))
    assert through[-1] == len(wanted)
    # a state is kept at each of them, and each row's length is its part of what was asked for
    assert np.allclose(run.times[run.kept], np.append(0.0, wanted), rtol=0, atol=1e-14)
    lengths = np.diff(np.append(0.0, wanted))[np.floor(through[:-1]).astype(int)]
    assert np.allclose(np.diff(run.times), parts * lengths, rtol=0, atol=1e-14)
    # and the steps are those of the scheme, by the closed form
    exact = np.cumprod(1 / (1 + np.diff(run.times)))
    assert np.allclose(
        [float(s.points[0]) for s in run.states[1:]], exact[run.kept[1:] - 1], rtol=1e-9
    )


def test_the_next_step_begins_halved_once_less():
    clock = Clock.of(1.0, Goals.of(None, 10), retry=5)
    assert [clock.begins(through, 3) for through in (0.125, 0.5, 1.0, 2.0)] == [3, 3, 2, 2]
    assert clock.begins(1.0, 0) == 0


@pytest.mark.parametrize("cut", [1, 3, 6, 9])
def test_a_run_continued_within_a_halved_step_is_the_same_to_the_bit(cut, tmp_path):
    def options():
        return {"tau": 1.0, "steps": 3, "retry": 4, "solver": jko.BlockNewton()}

    whole = jko.flow(HILL, start(), **options())
    path = tmp_path / "run.npz"
    stopped = jko.flow(
        HILL, start(), **options(), observers=[jko.Stop(lambda k, t, result: k == cut)]
    )
    stopped.save(path)
    again = jko.flow(HILL, jko.Trajectory.load(path), **options())
    assert np.array_equal(again.times, whole.times)
    assert np.array_equal(again.energies, whole.energies)
    assert np.array_equal(again.columns["halvings"], whole.columns["halvings"])
    assert torch.equal(again.final.points, whole.final.points)
    assert set(whole.kept) <= set(again.kept)


def test_where_no_half_succeeds_the_failure_says_what_was_tried():
    with pytest.raises(jko.StepFailed, match="UNBOUNDED") as failure:
        jko.flow(100 * HILL, start(), tau=1.0, steps=2, retry=3)
    assert failure.value.__notes__ == ["tau was halved 3 times here, and the step failed each time"]
    run = jko.flow(100 * HILL, start(), tau=1.0, steps=2, retry=3, throw=False)
    assert (run.status, len(run.times)) == (jko.Status.UNBOUNDED, 1)


def test_without_it_there_is_no_column_and_the_first_failure_ends_the_flow():
    run = jko.flow(HILL, start(), tau=0.25, steps=1)
    assert "halvings" not in run.columns
    with pytest.raises(jko.StepFailed) as failure:
        jko.flow(HILL, start(), tau=1.0, steps=1)
    assert not hasattr(failure.value, "__notes__")


def test_schemes_are_halved_as_a_whole():
    run = jko.flow(HILL, start(), tau=4.0, t1=4.0, scheme=jko.SDIRK2(), retry=8)
    assert run.times[-1] == 4.0
    assert (run.columns["halvings"] > 0).all()


def test_its_argument_is_a_count():
    for wrong, error in ((-1, ValueError), (DEEPEST + 1, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="retry"):
            jko.flow(HILL, start(), tau=1.0, steps=1, retry=wrong)
