"""L-BFGS in compact form: the moves of the two loops, and a memory that outlives steps, steps of any length."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.steps import pairs as module
from jko.steps.memory import PAIRS, PRODUCTS
from jko.steps.pairs import CurvaturePairs, compact, curved

GENERATOR = torch.Generator()


def normal(seed: int, N: int = 12, dim: int = 3, weights: bool = False) -> jko.Particles:
    points = torch.randn(N, dim, generator=GENERATOR.manual_seed(seed), dtype=torch.float64)
    masses = torch.arange(1, N + 1, dtype=torch.float64) if weights else torch.ones(N).double()
    return jko.Particles(points, masses / masses.sum())


def risk() -> jko.Energy:
    x = torch.linspace(-1, 1, 15, dtype=torch.float64)[:, None]
    fit = jko.Risk(jko.Data(x, (3 * x[:, 0]).sin()), activation=jko.Ridge(torch.tanh))
    return fit + 1e-3 * jko.SquaredNorm()


def two_loops(pairs: np.ndarray, tau: float, r: np.ndarray) -> np.ndarray:
    """``-H^{-1} r`` by the recursion of Nocedal (1980), on vectors."""
    ys = [(s, g + s / tau) for s, g in pairs]
    d, alphas = -r, []
    for s, y in reversed(ys):
        alphas.append(s @ d / (s @ y))
        d = d - alphas[-1] * y
    s, y = ys[-1]
    d = d * (s @ y) / (y @ y)
    for (s, y), alpha in zip(ys, reversed(alphas), strict=True):
        d = d + (alpha - y @ d / (s @ y)) * s
    return d


@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(0.01, 100.0))
def test_the_compact_form_is_that_of_two_loops(seed, n, tau):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(20, 20))
    hessian = A @ A.T / 20
    moves = rng.normal(size=(n, 20)) * np.exp(rng.normal(size=(n, 1)))
    pairs = np.stack([moves, moves @ hessian], axis=1)
    r = rng.normal(size=20)
    fields = np.concatenate([pairs.reshape(2 * n, 20), r[None]])
    gram = fields @ fields.T
    found = compact(gram[:-1, :-1], gram[-1], tau) @ fields
    expected = two_loops(pairs, tau, r)
    assert np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()
    assert curved(gram[:-1, :-1], tau).all()


def test_a_pair_is_curved_where_s_times_y_is_positive():
    pairs = np.array(
        [[[1.0, 0.0], [-2.0, 0.0]], [[0.0, 1.0], [0.0, 0.5]], [[1.0, 1.0], [0.0, 0.0]]]
    )
    fields = pairs.reshape(6, 2)
    assert curved(fields @ fields.T, 1.0).tolist() == [False, True, True]
    assert curved(fields @ fields.T, 0.4).tolist() == [True, True, True]


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("metric", [None, jko.metrics.ScaledWasserstein((1.0, 4.0, 0.25))])
@pytest.mark.parametrize("history", [1, 3, 20])
def test_the_model_of_a_descent_is_that_of_two_loops(weights, metric, history):
    """Points of a descent are shown to it one after the other; in the weighted inner product the rows are stretched."""
    mu, E, tau = normal(1, weights=weights), risk(), 30.0
    problem = jko.steps.StepProblem(E, metric or jko.Wasserstein(), mu, tau)
    model = CurvaturePairs(problem, history, {})
    scales = torch.ones(3).double() if problem.scales is None else problem.scales
    root = (mu.weights[:, None] * scales).sqrt()
    penalty = jko.steps.penalty.penalty_of(problem)
    point, seen, pairs = penalty.start(problem, mu.points), [], np.empty((0, 2, 36))
    for k in range(25):
        r = point.gradient
        assert model.see(point, r) == pytest.approx(problem.norm(r), rel=1e-13)
        if seen:
            old = seen[-1]
            s = root * (point.x - old.x)
            g = root * problem.raised(point.energy.gradient - old.energy.gradient)
            pairs = np.concatenate([pairs, torch.stack([s, g]).flatten(1).numpy()[None]])
            expected = two_loops(pairs[-history:], tau, (root * r).flatten().numpy())
            found = (root * model.direction(point, r)).flatten().numpy()
            assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()
        seen.append(point)
        d = model.direction(point, r)
        point = penalty.objective(problem)(point.x + (0.9 + 0.2 * (k % 2)) * d)


def test_pairs_of_two_points_that_differ_by_nothing_are_none():
    mu = normal(2)
    problem = jko.steps.StepProblem(risk(), jko.Wasserstein(), mu, 1.0)
    model = CurvaturePairs(problem, 5, {})
    point = jko.steps.penalty.penalty_of(problem).start(problem, mu.points)
    model.see(point, point.gradient)
    d = model.direction(point, point.gradient)
    model.see(point, point.gradient)
    assert torch.equal(model.direction(point, point.gradient), d)
    assert model.memory == {}


def flow(steps: int, start=None, **options) -> jko.Trajectory:
    solver = jko.LBFGS(fraction=0.3, history=6)
    return jko.flow(risk(), start or normal(3), steps=steps, solver=solver, **options)


@pytest.mark.parametrize("tau", [30.0, lambda k: (0.5, 30.0, 3.0)[k % 3]])
def test_a_run_is_the_same_to_the_bit_whether_its_memory_was_copied_or_not(tau, tmp_path):
    """In a flow pairs stay where they are; continued, read from a file, or between foreign observers copied."""
    whole = flow(12, tau=tau)
    part = flow(5, tau=tau)
    assert part.memory[PAIRS].shape[1:] == (2, 12, 3)
    assert len(part.memory[PRODUCTS]) == 2 * len(part.memory[PAIRS])
    file = part.save(tmp_path / "run.npz")
    for again in (
        flow(12, part, tau=tau),
        flow(12, jko.Trajectory.load(file), tau=tau),
        flow(12, tau=tau, observers=[lambda k, t, result: None]),
    ):
        assert torch.equal(again.final.points, whole.final.points)
        assert again.energies.tolist() == whole.energies.tolist()


def test_what_a_result_remembers_is_not_changed_by_later_steps():
    kept = []

    def keep(k, t, result):
        kept.append((result.memory[PAIRS], result.memory[PAIRS].clone()))

    flow(25, tau=30.0, observers=[keep])
    assert len(kept) == 25
    assert all(torch.equal(now, then) for now, then in kept)


def test_a_memory_of_version_0_1_is_read():
    """It held each move and each slope by itself, and no products."""
    first = jko.step(risk(), normal(4), tau=30.0)
    old = {name: t for name, t in first.memory.items() if name not in (PAIRS, PRODUCTS)}
    pairs = first.memory[PAIRS]
    old |= {f"move/{k}": pair[0] for k, pair in enumerate(pairs)}
    old |= {f"slope/{k}": pair[1] for k, pair in enumerate(pairs)}
    now, then = (
        jko.step(risk(), first.state, tau=30.0, memory=memory) for memory in (first.memory, old)
    )
    assert now.evaluations == then.evaluations
    assert torch.allclose(now.state.points, then.state.points, rtol=1e-9)


@pytest.mark.parametrize("factor", [0.0, -1.0, 3.0, float("nan")])
def test_products_that_are_not_those_of_the_pairs_are_made_again(factor):
    first = jko.step(risk(), normal(4), tau=30.0)
    wrong = first.memory | {PRODUCTS: factor * first.memory[PRODUCTS]}
    right, again = (
        jko.step(risk(), first.state, tau=30.0, memory=memory) for memory in (first.memory, wrong)
    )
    assert again.evaluations == right.evaluations
    assert torch.allclose(again.state.points, right.state.points, rtol=1e-9)


def test_products_of_another_metric_are_made_again():
    first = jko.step(risk(), normal(4), tau=30.0)
    metric = jko.metrics.ScaledWasserstein((1.0, 9.0, 0.1))
    alone = first.memory | {PRODUCTS: torch.empty(0, 0)}
    with_, without = (
        jko.step(risk(), first.state, tau=30.0, metric=metric, memory=memory)
        for memory in (first.memory, alone)
    )
    assert torch.equal(with_.state.points, without.state.points)


@pytest.mark.parametrize(("room", "kept"), [(0.0, 1), (5.0, 3), (7.5, 5), (8.0, 6), (1e9, 6)])
def test_where_memory_asks_for_it_fewer_pairs_are_kept_and_the_result_says_so(
    room, kept, monkeypatch
):
    """Room for so many pairs, twice, with two places behind the pairs."""
    monkeypatch.setattr(module, "SHARE", 0.0)
    monkeypatch.setattr(module, "ROOM", room * 2 * 2 * 12 * 3 * 8)
    run = flow(12, tau=30.0)
    assert run.memory[PAIRS].shape == (kept, 2, 12, 3)
    if kept < 6:
        assert set(run.columns["history"].tolist()) == {kept}
    else:
        assert "history" not in run.columns
    assert run.status is jko.Status.FINISHED
    part = flow(5, tau=30.0)
    assert torch.equal(flow(12, part, tau=30.0).final.points, run.final.points)
