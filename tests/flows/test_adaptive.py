"""Steps to a tolerance: estimates against true errors, order, rejections, bits of a resumed run, what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import jko
from jko.flows.controlled import PATIENCE


def cloud(seed, n=12, dim=2, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return jko.Particles(scale * torch.randn(n, dim, generator=g, dtype=torch.float64))


def landscape(seed, dim=2):
    """A random potential, not convex."""
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(5, dim, generator=g, dtype=torch.float64)
    c = torch.rand(5, generator=g, dtype=torch.float64)
    hills = jko.Potential(lambda x: (c * torch.sin(2 * x @ A.T)).sum(-1))
    return hills + jko.SquaredNorm()


def true_errors(energy, run):
    """What each step of a run missed, by the flow from the state before it."""
    errors = []
    for old, new, tau in zip(run.states[:-1], run.states[1:], np.diff(run.times), strict=True):
        exact = jko.limits.wasserstein(energy, old, t1=float(tau), times=[float(tau)], rtol=1e-8)
        there, here = exact.final.atoms, new.atoms
        errors.append(
            math.sqrt(float(here.inner(here.points - there.points, here.points - there.points)))
        )
    return np.array(errors)


@pytest.mark.parametrize("estimator", ["labels", "ledger"])
@pytest.mark.parametrize("seed", range(3))
def test_no_estimate_is_below_a_tenth_of_the_error(seed, estimator):
    energy = landscape(seed)
    tau = jko.Adaptive(3e-3, estimator=estimator)
    run = jko.flow(energy, cloud(seed), tau=tau, t1=2.0)
    ratios = run.columns["estimates"] / true_errors(energy, run)
    assert ratios.min() > (0.5 if estimator == "labels" else 0.1)
    assert 0.4 < np.median(ratios) < 1.5
    assert run.columns["estimates"].max() <= 1.2 * 3e-3


def test_the_error_at_the_end_falls_as_the_order_says():
    energy, mu = landscape(7), cloud(7)
    exact = jko.limits.wasserstein(energy, mu, t1=2.0, rtol=1e-11)
    tols = (1e-2, 1e-3, 1e-4)
    runs = [jko.flow(energy, mu, tau=jko.Adaptive(tol), t1=2.0) for tol in tols]
    errors = [float((run.final.points - exact.final.points).norm()) for run in runs]
    order = np.polyfit(np.log(tols), np.log(errors), 1)[0]
    assert 0.35 < order < 0.65  # p / (p + 1)
    steps = [len(run.times) for run in runs]
    assert 2 < steps[1] / steps[0] < 4.5
    assert 2 < steps[2] / steps[1] < 4.5


def test_of_a_straight_way_the_estimates_are_exact():
    """x' = -x, one atom: after a step of h from x it is x / (1 + h), and h |v_+ - v| / 2 = h^2 / (1 + h) x / 2."""
    run = jko.flow(
        jko.SquaredNorm(),
        jko.Particles([[2.0]]),
        tau=jko.Adaptive(1e-2, first=0.1),
        t1=2.0,
        solver=jko.LBFGS(tol=1e-13),
    )
    h = np.diff(run.times)
    x = 2.0 / np.cumprod(np.append(1.0, 1 + h))[:-1]
    assert np.allclose(
        run.columns["estimates"] - h * run.residuals, 0.5 * h * h / (1 + h) * x, rtol=1e-9
    )
    ledger = jko.flow(
        jko.SquaredNorm(),
        jko.Particles([[2.0]]),
        tau=jko.Adaptive(1e-2, first=0.1, estimator="ledger"),
        t1=2.0,
        solver=jko.LBFGS(tol=1e-13),
    )
    h = np.diff(ledger.times)
    x = 2.0 / np.cumprod(np.append(1.0, 1 + h))[:-1]
    curvature = ledger.columns["curvature"]
    expected = np.maximum(0.5, 0.1 / h[0] * 0.7 ** np.arange(len(h)))  # q is .1 at first
    assert np.allclose(curvature, expected, rtol=1e-9)
    assert np.allclose(
        ledger.columns["estimates"] - h * ledger.residuals,
        curvature * h * h / (1 + h) * x,
        rtol=1e-9,
    )


def test_the_controller_keeps_to_its_formula():
    run = jko.flow(landscape(1), cloud(1), tau=jko.Adaptive(1e-3, first=0.01), t1=2.0)
    h, columns = np.diff(run.times), run.columns
    wanted = h * np.clip(0.85 * np.sqrt(1e-3 / columns["estimates"]), 0.2, 2.5)
    assert np.allclose(columns["proposed"][:-2], wanted[:-2], rtol=1e-12)
    free = columns["rejected"][1:-2] == 0
    assert np.allclose(h[1:-2][free], columns["proposed"][:-3][free], rtol=1e-9)
    assert (h[1:] <= 2.5 * h[:-1] * (1 + 1e-9)).all()


def test_a_wall_that_comes_as_a_surprise_is_met_by_steps_made_again():
    """Far away the pull is even; the wall begins at x < 0."""
    wall = jko.Potential(lambda x: x[:, 0] + 50 * x[:, 0].clamp(max=0) ** 2)
    run = jko.flow(wall, jko.Particles([[3.0]]), tau=jko.Adaptive(1e-3), t1=4.0)
    assert run.columns["rejected"][1:].max() >= 1
    assert run.columns["estimates"].max() <= 1.2e-3
    assert np.diff(run.times).max() > 0.5  # before it
    assert float(run.final.points) == pytest.approx(-0.01, abs=2e-3)
    # what was not taken counts as work
    again = run.columns["rejected"] > 0
    assert run.columns["evaluations"][again].mean() > run.columns["evaluations"][~again].mean()


def test_a_step_that_fails_is_halved_until_it_does_not():
    hill = -2 * jko.SquaredNorm()  # x -> x / (1 - 2 tau): no minimum for tau >= 1/2
    run = jko.flow(
        hill, jko.Particles([[1e-6]]), tau=jko.Adaptive(1.0, first=8.0), t1=3.0, retry=12
    )
    assert run.status is jko.Status.FINISHED
    assert run.columns["rejected"][0] >= 3
    assert np.diff(run.times).max() < 0.5
    assert "halvings" not in run.columns


@pytest.mark.parametrize("retry", [0, 3])
def test_one_that_always_fails_ends_the_flow_with_a_note(retry):
    class Never:
        def solve(self, problem):
            done = jko.LBFGS().solve(problem)
            return replace(done, status=jko.Status.MAX_ITERATIONS)

    with pytest.raises(jko.StepFailed, match="MAX_ITERATIONS") as failure:
        jko.flow(
            landscape(0), cloud(0), tau=jko.Adaptive(1e-3), t1=1.0, solver=Never(), retry=retry
        )
    often = retry or PATIENCE
    assert failure.value.__notes__ == [
        f"tau was halved {often} times here, and the step failed each time"
    ]
    assert len(failure.value.trajectory.times) == 1


RUNS = {
    "implicit": {"tau": jko.Adaptive(2e-3)},
    "ledger": {"tau": jko.Adaptive(2e-3, estimator="ledger")},
    "BDF2": {"tau": jko.Adaptive(2e-3), "scheme": jko.BDF2()},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("cut", [1, 2, 4, 9])
def test_a_resumed_run_gives_the_same_bits(name, cut, tmp_path):
    energy, mu = landscape(5), cloud(5)
    options = RUNS[name] | {"t1": 1.5}
    whole = jko.flow(energy, mu, **options)
    path = tmp_path / "run.npz"
    stop = jko.Stop(lambda k, t, result: k == cut)
    jko.flow(energy, mu, **options, checkpoint=path, observers=[stop])
    again = jko.flow(energy, jko.Trajectory.load(path), **options)
    assert len(whole.times) > 12
    assert np.array_equal(again.times, whole.times)
    assert np.array_equal(again.energies, whole.energies)
    assert torch.equal(again.final.points, whole.final.points)
    for column in ("estimates", "proposed", "rejected", "evaluations"):
        assert np.array_equal(again.columns[column], whole.columns[column], equal_nan=True)


def test_a_run_of_fixed_steps_goes_on_adaptively_and_back():
    energy, mu = landscape(3), cloud(3)
    run = jko.flow(energy, mu, tau=0.01, steps=3)
    run = jko.flow(energy, run, tau=jko.Adaptive(1e-3), t1=1.0)
    assert np.isnan(run.columns["estimates"][:3]).all()
    assert np.isfinite(run.columns["estimates"][3:]).all()
    run = jko.flow(energy, run, tau=0.1, t1=1.5)
    assert run.times[-1] == 1.5
    assert np.allclose(np.diff(run.times)[-5:], 0.1)


def test_observers_see_the_estimate():
    seen = jko.observers.Record(lambda k, t, result: result.figures["estimates"])
    run = jko.flow(landscape(2), cloud(2), tau=jko.Adaptive(1e-2), t1=1.0, observers=[seen])
    assert seen.values == run.columns["estimates"].tolist()


def test_no_step_is_longer_than_the_longest():
    run = jko.flow(landscape(2), cloud(2), tau=jko.Adaptive(1.0, longest=0.05), t1=0.5)
    assert np.diff(run.times).max() <= 0.05 * (1 + 1e-12)


def test_at_rest_steps_grow():
    rest = jko.Particles([[0.0, 0.0]])
    run = jko.flow(jko.SquaredNorm(), rest, tau=jko.Adaptive(1e-3), t1=100.0)
    assert run.status is jko.Status.FINISHED
    assert len(run.times) < 20
    assert torch.equal(run.final.points, rest.points)


def test_every_step_is_solved_as_far_as_the_tolerance_needs():
    run = jko.flow(landscape(4), cloud(4), tau=jko.Adaptive(1e-4), t1=1.0)
    assert (run.residuals <= 0.05 * 1e-4 / np.diff(run.times) * (1 + 1e-9)).all()
    own = jko.flow(landscape(4), cloud(4), tau=jko.Adaptive(1e-2), t1=1.0)
    lengths = np.sqrt(own.costs) / np.diff(own.times)
    assert (own.residuals <= 0.1 * lengths * (1 + 1e-9)).all()  # and as far as the solver goes


@pytest.mark.parametrize(
    "solver", [jko.LBFGS(tol=1.0), jko.BlockNewton(tol=1.0)], ids=["LBFGS", "BlockNewton"]
)
def test_a_solver_that_can_be_told_is_told(solver):
    run = jko.flow(landscape(4), cloud(4), tau=jko.Adaptive(1e-4), t1=0.3, solver=solver)
    assert (run.residuals <= 0.05 * 1e-4 / np.diff(run.times) * (1 + 1e-9)).all()


def test_a_solver_that_cannot_be_told_and_is_too_loose_is_said():
    class Loose:
        tol = 1e-2

        def solve(self, problem):
            return jko.LBFGS(tol=self.tol).solve(problem)

    with pytest.raises(ValueError, match=r"step \d+, of length .* tolerance is too loose") as said:
        jko.flow(landscape(4), cloud(4), tau=jko.Adaptive(1e-5), t1=1.0, solver=Loose())
    assert said.value.trajectory.times[0] == 0.0
    jko.flow(landscape(4), cloud(4), tau=jko.Adaptive(1e-1), t1=1.0, solver=Loose())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"tol": 0.0}, ValueError, "tol"),
        ({"tol": float("nan")}, ValueError, "tol"),
        ({"tol": 1e-3, "first": -1.0}, ValueError, "first"),
        ({"tol": 1e-3, "longest": 0.0}, ValueError, "longest"),
        ({"tol": 1e-3, "estimator": "oracle"}, ValueError, "'labels' or 'ledger'"),
    ],
    ids=["zero", "nan", "first", "longest", "estimator"],
)
def test_what_it_cannot_be(options, error, match):
    with pytest.raises(error, match=match):
        jko.Adaptive(**options)


@pytest.mark.slow
@pytest.mark.parametrize("hard", [False, True], ids=["A", "B"])
def test_bdf2_needs_an_eighth_of_the_solves_of_1600_fixed_steps_at_most(hard):
    g = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 100, dtype=torch.float64)[:, None]
    f = torch.sin(2 * x[:, 0]) + 0.3 * torch.randn(100, generator=g, dtype=torch.float64)
    X = torch.randn(50, 3, generator=g, dtype=torch.float64)
    if hard:
        X[:, 0] *= 4
        x = 1.5 * x
    risk = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))
    energy = risk + (1e-3 if hard else 1e-2) * jko.SquaredNorm()
    mu, times = jko.Particles(X), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    exact = jko.limits.wasserstein(energy, mu, t1=200.0, times=times, rtol=1e-10)

    def error(run):
        moves = (run.at(t).points - exact.at(t).points for t in times)
        return max(float(move.square().sum(-1).mean().sqrt()) for move in moves)

    fine = jko.LBFGS(tol=1e-7)
    fixed = jko.flow(energy, mu, tau=0.125, t1=200.0, save=times, solver=fine)
    tau = jko.Adaptive(1e-3)
    run = jko.flow(energy, mu, tau=tau, t1=200.0, save=times, scheme=jko.BDF2())
    assert error(run) <= error(fixed)
    assert 8 * (len(run.times) - 1 + run.columns["rejected"].sum()) <= 1600
    assert (np.diff(run.columns["modified"]) <= 0).all()
