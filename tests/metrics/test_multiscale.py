"""Claim: plans between many atoms, found from coarse to fine, are optimal among all plans, and so are their proofs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from jko.metrics import constraints, referee, simplex
from jko.metrics import multiscale as coarse_to_fine
from jko.metrics.augmentation import Arcs
from jko.metrics.boxes import price_in_boxes
from jko.metrics.couplings import all_costs
from jko.metrics.halving import Halving
from jko.metrics.multiscale import multiscale
from jko.metrics.pricing import price
from jko.metrics.supplies import supplies
from jko.metrics.transport import transport

SEEDS = st.integers(0, 10**6)
DIMS = st.sampled_from([2, 3, 4, 6, 20])
CLOUDS = ["gauss", "near", "repeated", "clusters", "lattice", "line", "scales"]
MASSES = ["equal", "random", "integers", "nearly", "tiny"]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three levels and no short cuts for clouds of a few dozen atoms."""
    monkeypatch.setattr(coarse_to_fine, "COARSEST", 2**5)
    monkeypatch.setattr(constraints, "FEW", 0)


def cloud(g: np.random.Generator, kind: str, N: int, M: int, dim: int) -> tuple[np.ndarray, ...]:
    x, y = g.normal(size=(N, dim)), g.normal(size=(M, dim))
    if kind == "near":
        y = x[np.arange(M) % N] + 0.05 * y
    elif kind == "repeated":
        x, y = x[g.integers(0, 1 + N // 3, N)], y[g.integers(0, 1 + M // 3, M)]
    elif kind == "clusters":
        where = 10 * g.normal(size=(3, dim))
        x, y = where[g.integers(0, 3, N)] + 1e-3 * x, where[g.integers(0, 3, M)] + 1e-3 * y
    elif kind == "lattice":
        x, y = np.rint(2 * x), np.rint(2 * y)
    elif kind == "line":
        x, y = x[:, :1] * np.ones(dim), y[:, :1] * np.ones(dim)
    elif kind == "scales":
        x, y = x * 10.0 ** g.uniform(-3, 1, (N, 1)), y * 10.0 ** g.uniform(-3, 1, (M, 1))
    return x, y


def masses(g: np.random.Generator, kind: str, n: int) -> np.ndarray:
    drawn = {
        "equal": np.ones(n),
        "random": g.uniform(0.1, 2, n),
        "integers": g.integers(1, 5, n).astype(float),
        "nearly": 1 + 1e-9 * g.normal(size=n),
        "tiny": 10.0 ** g.uniform(-6, 0, n),
    }[kind]
    return drawn / drawn.sum()


@pytest.mark.parametrize("kind", CLOUDS)
@given(seed=SEEDS, dim=DIMS, sides=st.tuples(st.sampled_from(MASSES), st.sampled_from(MASSES)))
@settings(max_examples=15, deadline=None)
def test_plans_cost_what_a_dense_simplex_of_others_finds(kind, seed, dim, sides) -> None:
    g = np.random.default_rng(seed)
    N, M = (int(n) for n in g.integers(12, 90, 2))
    if seed % 2:
        M = N
    x, y = cloud(g, kind, N, M, dim)
    a, b = (masses(g, side, n) for side, n in zip(sides, (N, M), strict=True))
    plan, alpha, beta = multiscale(x, a, y, b)
    cost, _ = referee(x, a, y, b)
    scale = float(all_costs(x, y).max())
    assert plan.cost(x, y) == pytest.approx(cost, rel=1e-9, abs=1e-13 * scale)
    assert (all_costs(x, y) - alpha[:, None] - beta).min() >= -1e-12 * scale
    assert a @ alpha + b @ beta == pytest.approx(cost, rel=1e-9, abs=1e-11 * scale)
    for found, given_ in zip(plan.marginals(), (a, b), strict=True):
        assert found == pytest.approx(given_, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("weights", ["equal", "random"])
@pytest.mark.parametrize("dim", [2, 6])
def test_large_clouds_have_the_distance_of_a_dense_simplex_of_others(dim, weights) -> None:
    g = np.random.default_rng(dim)
    x, y = cloud(g, "gauss", 700, 650, dim)
    a, b = masses(g, weights, 700), masses(g, weights, 650)
    assert len(x) * len(y) > simplex.ALL_PAIRS
    found = transport(x, a, y, b)
    assert found.exact
    assert found.squared == pytest.approx(referee(x, a, y, b)[0], rel=1e-12)
    assert transport(y, b, x, a).squared == pytest.approx(found.squared, rel=1e-13)


@given(seed=SEEDS, dim=st.sampled_from([1, 2, 3, 5]))
@settings(max_examples=25, deadline=None)
def test_boxes_see_what_pricing_of_all_pairs_sees(seed, dim) -> None:
    """Whatever the potentials, and whatever the guess of where atoms go."""
    g = np.random.default_rng(seed)
    N, M = (int(n) for n in g.integers(4, 300, 2))
    x, y = cloud(g, CLOUDS[seed % 7], N, M, dim)
    alpha, beta = 0.1 * g.normal(size=N), np.zeros(M)
    beta = (all_costs(x, y) - alpha[:, None]).min(0) + 0.05 * g.normal(size=M)
    forth, back = (y[g.integers(0, M, N)], x[g.integers(0, N, M)])
    if seed % 3:
        forth, back = (
            y[(all_costs(x, y) - beta).argmin(1)],
            x[(all_costs(x, y).T - alpha).argmin(1)],
        )
    reduced = all_costs(x, y) - alpha[:, None] - beta
    found = price_in_boxes(x, y, alpha, beta, forth, back)
    scale = float(np.abs(all_costs(x, y)).max()) + 1
    assert found.deficit == pytest.approx(np.maximum(0, -reduced.min(0)), abs=1e-14 * scale)
    assert found.deficit == pytest.approx(price(x, y, alpha, beta).deficit, abs=1e-13 * scale)
    assert (found.unsure >= 0).all()
    assert found.unsure.max() <= 1e-13 * scale
    assert (reduced[found.rows, found.cols] < 1e-14 * scale).all()
    low = reduced < -1e-13 * scale
    assert set(np.flatnonzero(low.any(1))) <= set(found.rows)
    assert set(np.flatnonzero(low.any(0))) <= set(found.cols)


@given(seed=SEEDS, N=st.integers(1, 40), dim=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_shortest_ways_solve_an_assignment(seed, N, dim) -> None:
    g = np.random.default_rng(seed)
    x, y = cloud(g, CLOUDS[seed % 7], N, N, dim)
    arcs = Arcs.of(x, y, np.arange(N * N))
    alpha, beta = arcs.feasible(0.3 * g.normal(size=N))
    flow, mass = np.zeros(N * N, dtype=np.int64), np.full(N, 3)
    assert arcs.completed(mass, mass, flow, alpha, beta, 10**9)
    plan, cost = flow.reshape(N, N), all_costs(x, y)
    assert (plan.sum(0) == 3).all()
    assert (plan.sum(1) == 3).all()
    scale = float(cost.max()) + 1
    assert (plan * cost).sum() == pytest.approx(
        3 * cost[linear_sum_assignment(cost)].sum(), abs=1e-12 * scale
    )
    reduced = cost - alpha[:, None] - beta
    assert reduced.min() >= -1e-13 * scale
    assert np.abs(reduced[plan > 0]).max() <= 1e-13 * scale


def test_shortest_ways_end_where_their_budget_does_and_stay_feasible() -> None:
    g = np.random.default_rng(0)
    x, y = g.normal(size=(30, 3)), g.normal(size=(20, 3))
    a, b = (m.astype(np.int64) for m in supplies(masses(g, "random", 30), masses(g, "equal", 20)))
    arcs = Arcs.of(x, y, np.arange(600))
    alpha, beta = arcs.feasible(np.zeros(20))
    flow = np.zeros(600, dtype=np.int64)
    assert not arcs.completed(a, b, flow, alpha, beta, 200)
    assert 0 < flow.sum() < a.sum()
    assert (arcs.costs - alpha[arcs.rows] - beta[arcs.cols]).min() >= -1e-13
    assert arcs.completed(a, b, flow, alpha, beta, 10**9)
    assert (flow.reshape(30, 20).sum(1) == a).all()
    assert (flow.reshape(30, 20).sum(0) == b).all()


@given(seed=SEEDS, N=st.integers(1, 200), dim=st.integers(1, 4), leaf=st.sampled_from([1, 2, 4]))
@settings(max_examples=40, deadline=None)
def test_cells_are_nested_and_keep_mass_and_moments(seed, N, dim, leaf) -> None:
    g = np.random.default_rng(seed)
    x, m = g.normal(size=(N, dim)), g.integers(1, 9, N).astype(float)
    cells = Halving.of(x, leaf)
    assert (np.sort(cells.order) == np.arange(N)).all()
    for level, (bounds, finer) in enumerate(zip(cells.bounds, cells.bounds[1:], strict=False)):
        assert set(bounds) <= set(finer)
        assert np.diff(finer).min() >= min(leaf, np.diff(bounds).min())
        points, mass = cells.barycentres(level, x, m)
        assert mass.sum() == m.sum()
        assert mass @ points == pytest.approx(m @ x, abs=1e-9)
    assert leaf > 1 or (np.diff(cells.bounds[-1]) == 1).all()


def test_results_repeat_to_the_bit() -> None:
    g = np.random.default_rng(3)
    x, y = cloud(g, "gauss", 80, 70, 3)
    a, b = masses(g, "random", 80), masses(g, "random", 70)
    one, two = multiscale(x, a, y, b), multiscale(x, a, y, b)
    assert (one[0].mass == two[0].mass).all()
    assert (one[1] == two[1]).all()
