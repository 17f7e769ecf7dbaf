"""A flow says how it ended, and loses nothing: finished, at rest, stopped, failed, or an error."""

import copy
import pickle

import pytest
import torch

import jko
from jko import Status

S = jko.SquaredNorm()
MU = jko.Particles([[1.0, 2.0], [-1.0, 0.5]])


def stop(k, t, result):
    if k == 2:
        raise StopIteration


ENDINGS = {
    Status.FINISHED: {"steps": 3},
    Status.STOPPED: {"steps": 9, "observers": [stop]},
    Status.AT_REST: {"steps": 99, "observers": [jko.SteadyState(1e-2)]},
}


@pytest.mark.parametrize("status", ENDINGS)
def test_the_status_is_how_the_flow_ended(status, tmp_path):
    run = jko.flow(S, MU, tau=1.0, **ENDINGS[status])
    assert run.status is status
    assert status.name in repr(run)
    assert jko.Trajectory.load(run.save(tmp_path / "run")).status is status


def test_nothing_says_converged_of_a_run(tmp_path):
    """Files of 0.1 did: they are read as FINISHED."""
    run = jko.flow(S, MU, tau=1e-3, steps=2)
    assert run.status is Status.FINISHED
    old = jko.Trajectory(**{**vars(run), "status": Status.CONVERGED})
    assert jko.Trajectory.load(old.save(tmp_path / "old")).status is Status.FINISHED
    limit = jko.limits.wasserstein(S, MU, t1=1.0)
    assert limit.status is Status.FINISHED


def test_stalled_steps_are_counted():
    kink = jko.Potential(lambda z: z.abs().sum(-1))
    run = jko.flow(kink, jko.Particles([[1.0]]), tau=0.3, steps=8)
    assert run.stalled == sum(name == "STALLED" for name in run.columns["statuses"]) > 0
    assert f"{run.stalled} steps stalled" in repr(run)
    smooth = jko.flow(S, MU, tau=0.3, steps=3)
    assert smooth.stalled == 0
    assert "stalled" not in repr(smooth)


def iterator(*values):
    it = iter(values)
    return lambda *_: next(it)


def runs_out():
    batches = iter([0.0] * 9)
    return jko.Potential(lambda x: x.square().sum(-1) + next(batches))


@pytest.mark.parametrize(
    "options",
    [
        {"energy": S, "tau": iterator(0.5, 0.5)},
        {"energy": runs_out, "tau": 0.5},
    ],
)
def test_only_an_observer_ends_a_flow_by_stop_iteration(options):
    energy = options["energy"]
    energy = energy() if energy is runs_out else energy
    with pytest.raises(
        RuntimeError, match="only an observer's StopIteration ends a flow"
    ) as caught:
        jko.flow(energy, MU, tau=options["tau"], steps=99)
    assert isinstance(caught.value.__cause__, StopIteration)
    assert caught.value.trajectory.status is Status.ERROR
    assert len(caught.value.trajectory.times) >= 2


def breaks(k, t, result):
    if k == 3:
        raise KeyError("mine")


def dear(k):
    if k == 3:
        raise ZeroDivisionError
    return 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"tau": 0.5, "observers": [breaks]},
        {"tau": dear},
        {"tau": lambda k: 0.5 if k < 3 else -1},
        {"tau": lambda k: 0.5 if k < 3 else "long"},
    ],
)
def test_every_error_brings_what_came_before_it(options):
    with pytest.raises((KeyError, ZeroDivisionError, ValueError, TypeError)) as caught:
        jko.flow(S, MU, steps=9, **options)
    run = caught.value.trajectory
    assert run.status is Status.ERROR
    assert len(run.times) == 4
    assert len(jko.flow(S, run, tau=0.5, steps=6).times) == 7


@pytest.mark.parametrize("reach", [{"t1": 1e17 + 1000}, {"steps": 9}])
def test_a_clock_that_stands_ends_the_flow(reach):
    run = jko.flow(S, MU, tau=1e17, steps=1)
    with pytest.raises(jko.StepFailed, match=r"CLOCK_STANDS.*raise tau"):
        jko.flow(S, run, tau=1.0, **reach)
    again = jko.flow(S, run, tau=1.0, throw=False, **reach)
    assert again.status is Status.CLOCK_STANDS
    assert len(again.times) == 2


WRONG = {
    "scheme": ("x", "scheme must have a method advance"),
    "scheme by class": (jko.SDIRK2, r"scheme is the class SDIRK2.*SDIRK2\(\)"),
    "solver": (5, "solver must have a method solve"),
    "solver by class": (jko.LBFGS, "solver is the class LBFGS"),
    "metric": ("W2", "metric must be Wasserstein"),
    "metric by class": (jko.Wasserstein, "metric must be Wasserstein"),
    "observers": (print, "observers must be a list"),
    "observers of numbers": ([5], r"observers\[0\] cannot be called"),
    "observers by class": ([jko.SteadyState], r"observers\[0\] cannot be called"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_of_a_wrong_kind_get_a_sentence(name):
    value, sentence = WRONG[name]
    with pytest.raises(TypeError, match=sentence):
        jko.flow(S, MU, tau=0.5, steps=1, **{name.split()[0]: value})


@pytest.mark.parametrize("first", [jko.Implicit(), jko.SDIRK2(), jko.BDF2()])
@pytest.mark.parametrize("second", [jko.Implicit(), jko.SDIRK2(), jko.BDF2()])
def test_a_run_goes_on_with_another_scheme(first, second):
    run = jko.flow(S, MU, tau=0.5, steps=3, scheme=first)
    more = jko.flow(S, run, tau=0.5, steps=6, scheme=second)
    assert len(more.times) == 7
    assert all(len(column) == 6 for column in more.columns.values())


def test_a_run_goes_on_with_another_solver(tmp_path):
    rho = jko.GridDensity.from_function(
        jko.Grid((-2.0, 2.0), 12), lambda z: (-(z[:, 0] ** 2)).exp()
    )
    E = jko.SquaredNorm() + 0.1 * jko.Entropy()
    run = jko.flow(E, rho, tau=0.1, steps=2)
    more = jko.flow(E, run, tau=0.1, steps=4, solver=jko.Sinkhorn(0.05))
    again = jko.Trajectory.load(more.save(tmp_path / "run"))
    assert torch.tensor(again.columns["epsilon"]).isnan().tolist() == [True, True, False, False]
    assert list(again.columns["kernel"][:2]) == ["", ""]


def test_a_memory_is_an_ordinary_dictionary_outside_its_flow():
    result = jko.flow(S, MU, tau=0.5, steps=2)
    assert type(result.memory) is dict
    kept = []
    jko.flow(S, MU, tau=0.5, steps=1, observers=[lambda k, t, result: kept.append(result.memory)])
    for other in (pickle.loads(pickle.dumps(kept[0])), copy.deepcopy(kept[0])):
        assert type(other) is dict
        assert torch.equal(other["gradient"], kept[0]["gradient"])
