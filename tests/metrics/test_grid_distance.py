"""W2 between densities on grids: exact where it says so, bracketed where it says how well, and drawn on the grid.

What a distance claims is recomputed here: marginals of the plan, its cost, feasibility of the potentials, their value.
"""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.metrics import grids
from jko.metrics.backandforth import affine
from jko.metrics.byaxes import by_axes
from jko.metrics.c_transform import on_grid
from jko.metrics.cellbounds import by_moments, by_potentials
from jko.metrics.entropic import grid as entropic_grid
from jko.metrics.masses import Masses
from jko.metrics.pushforward import rearranged

rng = np.random.default_rng(11)


def normal(grid, mean, covariance) -> jko.GridDensity:
    precision = torch.linalg.inv(torch.atleast_2d(torch.as_tensor(covariance, dtype=torch.float64)))
    mean = torch.tensor(mean, dtype=torch.float64)

    def density(x):
        return torch.exp(-0.5 * torch.einsum("ia,ab,ib->i", x - mean, precision, x - mean))

    return jko.GridDensity.from_function(grid, density)


def noise(grid, seed, empty=0.0) -> jko.GridDensity:
    values = np.random.default_rng(seed).random(grid.shape)
    values[values < empty] = 0.0
    return jko.GridDensity(grid, values / values.sum() / grid.cell)


def by_ascent(a, b, monkeypatch) -> jko.metrics.Distance:
    """The method for large grids, on small ones."""
    monkeypatch.setattr(grids, "EXACT", 0)
    monkeypatch.setattr(grids, "ROUGH", (1.0, 0))
    return jko.distance(a, b)


def referee(a, b) -> float:
    x, y = a.support.numpy(), b.support.numpy()
    cost = ((x[:, None] - y) ** 2).sum(-1)
    mu, nu = a.weights.numpy(), b.weights.numpy()
    return float(ot.emd2(mu / mu.sum(), nu / nu.sum(), cost, numItermax=10**7))


def check(a, b, D) -> None:
    """The plan couples the two, its cost is the value, and the potentials prove the bound."""
    x, y, mu, nu = (t.numpy() for t in (a.support, b.support, a.weights, b.weights))
    scale = check_large(a, b, D)
    assert D.plan.cost(x, y) == pytest.approx(D.squared, rel=1e-12)
    alpha, beta = D.potentials
    assert D.squared - D.gap == pytest.approx(mu @ alpha + nu @ beta, abs=1e-13 * scale)


def check_large(a, b, D) -> float:
    """The plan couples the two, the potentials are feasible and the value is between the bounds."""
    x, y, mu, nu = (t.numpy() for t in (a.support, b.support, a.weights, b.weights))
    for mass, expected in zip(D.plan.marginals(), (mu, nu), strict=True):
        assert np.abs(mass - expected).max() < 1e-13
    assert D.plan.mass.min() > 0
    alpha, beta = D.potentials
    slack = ((x[:, None] - y) ** 2).sum(-1) - alpha[:, None] - beta
    scale = 1 + np.abs(alpha).max() + np.abs(beta).max()
    assert slack.min() > -1e-14 * scale
    assert D.upper - D.gap <= D.squared * (1 + 1e-14) <= D.upper * (1 + 2e-14)
    return float(scale)


def cut(density, parts) -> jko.GridDensity:
    """The same density on smaller cells."""
    values = density.values.numpy()
    for axis in range(values.ndim):
        values = np.repeat(values, parts, axis)
    grid = jko.Grid(density.grid.bounds, tuple(parts * n for n in density.grid.shape))
    return jko.GridDensity(grid, values)


def enclosed(a, b, parts) -> tuple[float, float]:
    """Bounds of W2^2 between the densities: atoms of their parts, exactly coupled, are near.

    Parts moved whole couple the densities, and either is at most ``|spacing| / sqrt(12)`` from its atoms.
    """
    fine = [cut(s, parts) for s in (a, b)]
    square = referee(*fine)
    widths = [np.array(s.grid.spacing) for s in fine]
    away = sum(np.linalg.norm(w) / math.sqrt(12) for w in widths)
    apart = float(((widths[0] - widths[1]) ** 2).sum()) / 12
    return max(0.0, math.sqrt(square) - away) ** 2, square + apart


PLANE = jko.Grid(((0.0, 1.0), (0.0, 1.5)), (12, 12))
OTHER = jko.Grid(((0.3, 2.0), (-0.5, 0.7)), (9, 7))
SPACE = jko.Grid((0.0, 1.0), (5, 4, 6))
BAND = jko.Grid(((0.0, 1.0), (0.0, 0.2)), (20, 1))


# The c-transform


@pytest.mark.parametrize(("first", "second"), [(PLANE, OTHER), (OTHER, PLANE), (SPACE, SPACE)])
def test_the_c_transform_is_the_minimum_over_all_pairs(first, second):
    beta = 0.3 * rng.standard_normal(second.shape)
    beta[rng.random(second.shape) < 0.4] = -np.inf
    beta[0] = -np.inf  # whole lines may be left out
    x, y = first.centres.numpy(), second.centres.numpy()
    pairs = ((x[:, None] - y) ** 2).sum(-1) - beta.ravel()
    axes = [tuple(t.numpy() for t in g.axes) for g in (first, second)]
    assert on_grid(*axes, beta).ravel() == pytest.approx(pairs.min(1), abs=1e-15)


# Exact


@pytest.mark.parametrize("empty", [0.0, 0.6])
@pytest.mark.parametrize(
    ("first", "second"), [(PLANE, PLANE), (PLANE, OTHER), (SPACE, SPACE), (BAND, PLANE)]
)
def test_small_grids_agree_with_a_network_simplex_of_others(first, second, empty):
    a, b = noise(first, 1, empty), noise(second, 2, empty)
    D = jko.distance(a, b)
    assert D.squared == pytest.approx(referee(a, b), rel=1e-10)
    assert D.gap < 1e-12
    check(a, b, D)


def test_the_line_is_exact_at_any_size():
    grid = jko.Grid((-8.0, 8.0), 20_000)
    D = jko.distance(normal(grid, [0.5], [[0.25]]), normal(grid, [-1.0], [[1.0]]))
    assert D.squared == pytest.approx(1.5**2 + 0.5**2, abs=1e-6)  # spacing^2 / 12 = 5e-8, each
    assert D.gap < 1e-12


def test_the_line_agrees_with_a_network_simplex_of_others():
    a, b = noise(jko.Grid((0.0, 1.0), 60), 3, 0.5), noise(jko.Grid((-0.3, 2.0), 45), 4, 0.5)
    D = jko.distance(a, b)
    assert D.squared == pytest.approx(referee(a, b), rel=1e-10)
    check(a, b, D)


# Bracketed


SMALL = jko.Grid((0.0, 1.0), (3, 4, 3))
SHIFTED = jko.Grid(((0.1, 0.9), (-0.2, 1.0), (0.0, 1.3)), (4, 2, 3))


@pytest.mark.parametrize(
    ("first", "second", "parts"),
    [(PLANE, PLANE, 2), (PLANE, OTHER, 3), (SMALL, SHIFTED, 3), (BAND, PLANE, 2)],
)
@pytest.mark.parametrize("empty", [0.0, 0.6])
def test_the_bounds_of_the_ascent_hold_for_the_densities(first, second, parts, empty, monkeypatch):
    a, b = noise(first, 5, empty), noise(second, 6, empty)
    lower, upper = enclosed(a, b, parts)
    D = by_ascent(a, b, monkeypatch)
    check_large(a, b, D)
    assert D.upper - D.gap <= upper * (1 + 1e-12)
    assert lower <= D.upper * (1 + 1e-12)


def test_rough_densities_on_few_cells_are_read_as_atoms():
    grid = jko.Grid((0.0, 1.0), (50, 50))
    a, b = noise(grid, 1), noise(grid, 2)
    D = jko.distance(a, b)
    assert D.gap < 1e-12
    exact = jko.distance(a.to_particles(), b.to_particles()).squared
    assert D.squared == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("first", "second"), [(PLANE, PLANE), (PLANE, OTHER), (SPACE, SPACE), (BAND, PLANE)]
)
def test_bounds_of_any_potential_hold_for_the_densities(first, second):
    a, b = noise(first, 7, 0.3), noise(second, 8, 0.3)
    left, right = (Masses(grids._axes(s), grids._masses(s), tuple(s.grid.spacing)) for s in (a, b))
    lower, upper = enclosed(a, b, 2)
    for size in (0.0, 0.03, 0.3):
        beta = affine(right, left) + size * rng.standard_normal(second.shape)
        assert by_potentials(left, right, beta) <= upper
        assert by_axes(left, right, beta) >= lower
    assert by_moments(left, right) <= upper


def test_the_upper_bound_is_the_cost_of_moving_along_each_axis_in_turn():
    a = jko.GridDensity(jko.Grid((0.0, 2.0), (2, 2)), [[1.0, 0.0], [0.0, 0.0]])
    b = jko.GridDensity(jko.Grid(((5.0, 9.0), (-3.0, -1.0)), (2, 1)), [[0.125], [0.125]])
    left, right = (Masses(grids._axes(s), grids._masses(s), tuple(s.grid.spacing)) for s in (a, b))
    # [0, 1] to [5, 9] and [0, 1] to [-3, -1], both linear
    exact = (5**2 + 5 * 8 + 8**2) / 3 + (3**2 + 3 * 2 + 2**2) / 3
    for found in (by_axes(left, right, np.zeros((2, 1))), by_moments(left, right)):
        assert found == pytest.approx(exact, rel=1e-14)


def gaussians(n, dim, parts=1.0):
    """Two on a grid; and the square of their distance, with the variance that constancy on cells adds."""
    S = np.array([[0.010, 0.003, 0], [0.003, 0.005, 0.001], [0, 0.001, 0.007]])[:dim, :dim]
    R = np.array([[0.006, -0.003, 0.001], [-0.003, 0.009, 0], [0.001, 0, 0.005]])[:dim, :dim]
    m, k = np.array([0.42, 0.45, 0.5])[:dim], np.array([0.58, 0.55, 0.5])[:dim]
    one = jko.Grid((-0.1, 1.1), (n,) * dim)
    other = jko.Grid((-0.08, 1.12), (n + 5,) * dim)
    added = [np.diag(np.square(g.spacing)) / 12 for g in (one, other)]
    exact = ot.gaussian.bures_wasserstein_distance(m, k, S + added[0], R + added[1])
    return normal(one, m.tolist(), S), normal(other, k.tolist(), R), float(exact) ** 2


@pytest.mark.parametrize(
    ("n", "dim", "error", "gap"),
    [
        (46, 2, 4e-5, 1e-3),
        (64, 2, 2e-5, 6e-4),
        (20, 3, 1e-3, 1e-2),
        pytest.param(256, 2, 2e-6, 4e-5, marks=pytest.mark.slow),
        pytest.param(64, 3, 2e-5, 1e-3, marks=pytest.mark.slow),
    ],
)
def test_normal_laws_on_large_grids(n, dim, error, gap):
    a, b, exact = gaussians(n, dim)
    D = jko.distance(a, b)
    assert D.squared == pytest.approx(exact, rel=error)
    assert D.gap < gap * D.squared
    assert D.upper - D.gap <= exact * (1 + error)


def test_the_plan_of_a_large_grid_is_found_when_it_is_asked_for():
    grid = jko.Grid((-1.0, 1.0), (48, 48))
    a, b = (normal(grid, [x, 0.1], 0.02 * torch.eye(2)) for x in (-0.2, 0.25))
    D = jko.distance(a, b)
    assert "to be found" in repr(D.plan) + str(D)
    assert D.plan.cost(a.support.numpy(), b.support.numpy()) == pytest.approx(D.squared, rel=1e-2)
    assert "to be found" not in str(D)
    assert D.plan.transposed.shape == (grid.N, grid.N)


CASES = {
    "two bumps to one": lambda g: (
        jko.GridDensity.of(
            g,
            0.5 * normal(g, [0.3, 0.3], 0.004 * torch.eye(2)).values
            + 0.5 * normal(g, [0.7, 0.4], 0.004 * torch.eye(2)).values,
        ),
        normal(g, [0.5, 0.6], 0.01 * torch.eye(2)),
    ),
    "uniform to a bump": lambda g: (
        jko.GridDensity.from_function(g, lambda x: torch.ones(len(x), dtype=x.dtype)),
        normal(g, [0.6, 0.55], 0.006 * torch.eye(2)),
    ),
    "a disc to two": lambda g: (
        jko.GridDensity.from_function(g, lambda x: ((x - 0.5).norm(dim=1) < 0.2).to(x)),
        jko.GridDensity.from_function(
            g,
            lambda x: torch.minimum((x - 0.25).norm(dim=1), (x - 0.7).norm(dim=1)).lt(0.13).to(x),
        ),
    ),
}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("two bumps to one", marks=SLOW),
        pytest.param("uniform to a bump", marks=SLOW),
        "a disc to two",
    ],
)
def test_the_gap_on_a_large_grid_is_below_two_in_a_thousand(name):
    a, b = CASES[name](jko.Grid((0.0, 1.0), (256, 256)))
    D = jko.distance(a, b)
    assert D.gap < 2e-3 * D.squared


@pytest.mark.slow
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_exact_values_on_64_by_64_cells_are_near(make):
    a, b = make(jko.Grid((0.0, 1.0), (64, 64)))
    exact = jko.distance(a.to_particles(), b.to_particles())
    assert exact.gap < 1e-11
    D = jko.distance(a, b)
    assert D.upper - D.gap <= exact.squared + 1e-11  # cells that move whole couple the densities
    assert D.value == pytest.approx(exact.value, abs=2 * math.sqrt(2 / 12) / 64)
    assert D.squared == pytest.approx(exact.squared, rel=6e-3)


# Closed forms


@pytest.mark.parametrize("exact", [5000, 0])
@pytest.mark.parametrize("shift", [(0, 3), (4, -2), (7, 5)])
def test_a_translation_by_whole_cells_is_exact(exact, shift, monkeypatch):
    monkeypatch.setattr(grids, "EXACT", exact)
    grid = jko.Grid(((0.0, 2.0), (0.0, 1.5)), (24, 20))
    values = np.zeros(grid.shape)
    values[6:14, 4:12] = np.random.default_rng(8).random((8, 8))
    values /= values.sum() * grid.cell
    a = jko.GridDensity(grid, values)
    b = jko.GridDensity(grid, np.roll(values, shift, (0, 1)))
    h = np.array(grid.spacing)
    D = jko.distance(a, b)
    assert D.value == pytest.approx(np.linalg.norm(shift * h), rel=1e-12)
    assert D.gap < 1e-12


def test_normal_laws_have_their_closed_form_at_second_order():
    S = np.array([[0.010, 0.003], [0.003, 0.005]])
    R = np.array([[0.006, -0.003], [-0.003, 0.009]])
    exact = ot.gaussian.bures_wasserstein_distance(
        np.array([0.4, 0.45]), np.array([0.6, 0.55]), S, R
    )
    errors = []
    for n in (12, 24, 48):
        grid = jko.Grid((0.0, 1.0), (n, n))
        D = jko.distance(normal(grid, [0.4, 0.45], S), normal(grid, [0.6, 0.55], R))
        errors.append(abs(D.squared - float(exact) ** 2))
    assert np.log2(np.array(errors[:-1]) / errors[1:]).min() > 1.5
    assert errors[-1] < 1e-3


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_distance_is_symmetric_and_keeps_the_triangle_inequality(s, t, u):
    grid = jko.Grid((0.0, 1.0), (4, 3))
    a, b, c = (noise(grid, seed, 0.3) for seed in (s, t, u))
    ab, bc, ac = (jko.distance(*pair).value for pair in ((a, b), (b, c), (a, c)))
    assert jko.distance(b, a).value == pytest.approx(ab, abs=1e-12)
    assert ac <= ab + bc + 1e-12
    assert jko.distance(a, a).value == 0.0


# Geodesics


def test_a_geodesic_is_a_density_on_the_grid_with_mass_and_mean():
    grid = jko.Grid(((0.0, 2.0), (0.0, 1.0)), (30, 20))
    a = normal(grid, [0.5, 0.3], 0.01 * torch.eye(2))
    b = normal(grid, [1.4, 0.6], 0.02 * torch.eye(2))
    for t in (0.0, 0.3, 1.0):
        between = jko.geodesic(a, b, t)
        assert between.grid == grid
        assert float(between.mass) == pytest.approx(1.0, abs=1e-13)
        mean = torch.lerp(a.mean(), b.mean(), t)
        assert between.mean().numpy() == pytest.approx(mean.numpy(), abs=1e-13)
        assert float(between.values.min()) >= 0
    assert jko.geodesic(a, b, 0.0).values.numpy() == pytest.approx(a.values.numpy(), abs=1e-11)
    assert jko.geodesic(a, b, 1.0).values.numpy() == pytest.approx(b.values.numpy(), abs=1e-11)


def test_the_blur_of_a_geodesic_is_at_most_a_quarter_of_the_squared_spacing():
    grid = jko.Grid((0.0, 1.0), (16, 10))
    a, b = noise(grid, 1), noise(grid, 2)
    plan = jko.distance(a, b).plan
    x, y = a.support.numpy()[plan.rows], b.support.numpy()[plan.cols]
    z = 0.4 * y + 0.6 * x
    free = plan.mass @ z**2 - (plan.mass @ z) ** 2
    blur = jko.geodesic(a, b, 0.4).covariance().diagonal().numpy() - free
    assert (blur > 0).all()
    assert (blur <= np.square(grid.spacing) / 4 + 1e-15).all()


# The Sinkhorn divergence


@pytest.mark.parametrize("epsilon", [0.1, 0.01, 0.002])
def test_the_sinkhorn_divergence_of_normal_laws_is_the_closed_form(epsilon):
    # Janati, Muzellec, Peyre and Cuturi (NeurIPS 2020), with their 2 sigma^2 = epsilon
    grid, half = jko.Grid((0.0, 1.0), 200), epsilon / 2

    def entropic(a, b):
        D = math.sqrt(4 * a * b + half**2)
        return a + b - D + half * (1 - math.log(2 * half)) + half * math.log(D + half)

    a, b = 0.06**2, 0.08**2
    exact = 0.2**2 + entropic(a, b) - 0.5 * (entropic(a, a) + entropic(b, b))
    found = jko.metrics.SinkhornDivergence(epsilon).distance(
        normal(grid, [0.4], [[a]]), normal(grid, [0.6], [[b]])
    )
    assert found.squared == pytest.approx(exact, abs=1e-6)
    assert found.residual <= 1e-6
    assert found.epsilon == epsilon


@pytest.mark.parametrize("depth", [600.0, 0.0])  # kernels as products, and in logarithms
def test_entropic_transport_agrees_with_a_sinkhorn_of_others(depth, monkeypatch):
    monkeypatch.setattr(entropic_grid, "PLAIN", depth)
    epsilon = 0.05
    a, b = noise(PLANE, 1, 0.5), noise(OTHER, 2, 0.5)

    def entropic(p, q):
        x, y, mu, nu = (
            t.numpy() for t in (p.support, q.support, p.weights / p.mass, q.weights / q.mass)
        )
        x, mu, y, nu = x[mu > 0], mu[mu > 0], y[nu > 0], nu[nu > 0]
        cost = ((x[:, None] - y) ** 2).sum(-1)
        plan = ot.bregman.sinkhorn_log(mu, nu, cost, epsilon, numItermax=20_000, stopThr=1e-10)
        kept = plan > 0
        return (plan * cost).sum() + epsilon * (
            plan[kept] * np.log(plan[kept] / np.outer(mu, nu)[kept])
        ).sum()

    exact = entropic(a, b) - 0.5 * (entropic(a, a) + entropic(b, b))
    S = jko.metrics.SinkhornDivergence(epsilon, tol=1e-9)
    assert S.distance(a, b).squared == pytest.approx(exact, rel=1e-7)
    assert abs(S.distance(a, a).squared) < 1e-9


def test_the_sinkhorn_divergence_is_differentiable_in_the_values():
    grid = jko.Grid((0.0, 1.0), (6, 5))
    a, b, S = noise(grid, 1), noise(grid, 2), jko.metrics.SinkhornDivergence(0.05, tol=1e-12)
    move = torch.from_numpy(np.random.default_rng(3).standard_normal(grid.shape))
    move = move - move.mean()
    values = a.values.clone().requires_grad_()
    S.cost(jko.GridDensity.of(grid, values), b).backward()

    def at(step):
        return float(S.cost(jko.GridDensity.of(grid, a.values + step * move), b))

    slope = (at(1e-4) - at(-1e-4)) / 2e-4
    assert float((values.grad * move).sum()) == pytest.approx(slope, rel=1e-5)


# Bad input


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.distance(noise(PLANE, 1), noise(SPACE, 1)), ValueError, "dimension 2 but b"),
        (
            lambda: jko.distance(noise(PLANE, 1), jko.Particles([[0.0, 0.0]])),
            TypeError,
            r"\.to_particles\(\)",
        ),
        (lambda: jko.geodesic(noise(PLANE, 1), noise(OTHER, 1), 0.5), ValueError, "grid must be"),
        (lambda: jko.metrics.SinkhornDivergence(0.0), ValueError, "epsilon = 0"),
        (
            lambda: jko.metrics.SinkhornDivergence(1.0).distance(noise(PLANE, 1), noise(SPACE, 1)),
            ValueError,
            "dimension 2",
        ),
        (
            lambda: jko.metrics.SinkhornDivergence(1.0).distance(
                jko.Particles([[0.0]]), noise(PLANE, 1)
            ),
            TypeError,
            r"jko\.distance",
        ),
        (
            lambda: jko.metrics.SinkhornDivergence(1e-5, tol=1e-14).distance(
                noise(PLANE, 1), noise(PLANE, 2)
            ),
            RuntimeError,
            "larger epsilon",
        ),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_the_rearrangement_couples_what_it_is_given():
    u, v = rng.random((5, 4, 3)), rng.random((5, 4, 3))
    u[0], v[2, 1] = 0.0, 0.0
    u, v = u / u.sum(), v / v.sum()
    rows, cols, flow = rearranged(u, v)
    assert np.bincount(rows, flow, u.size) == pytest.approx(u.ravel(), abs=1e-15)
    assert np.bincount(cols, flow, v.size) == pytest.approx(v.ravel(), abs=1e-15)
