"""Claim: D of Remark 3.4 is exact between any two kinds of pairs (rho, H), with its slopes, geodesics and barycentres.

Plans and potentials are recomputed here, or held against ``ot.emd``, linear programs and closed forms.
"""

from __future__ import annotations

import itertools

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm

import jko
from jko import exact

SEEDS = st.integers(0, 10**6)
EXAMPLES = settings(max_examples=25, deadline=None)
PLANE = jko.Grid(((-1.0, 1.0), (-1.0, 1.5)), (4, 5))
LINE = jko.Grid((-1.0, 1.2), 9)


def atoms(seed: int, d: int = 1, N: int = 7, equal: bool = False) -> jko.ChargedParticles:
    g = np.random.default_rng(seed)
    weights = None if equal else g.dirichlet(np.ones(N)) * 0.9 + 0.1 / N
    return jko.ChargedParticles(g.normal(size=(N, d)), g.normal(size=N), weights)


def cells(seed: int, grid: jko.Grid = LINE, empty: float = 0.4) -> jko.ChargedDensity:
    """Noise; cells without mass have no H."""
    g = np.random.default_rng(seed)
    values, H = g.random(grid.shape), g.normal(size=grid.shape)
    values[values < empty] = 0.0
    H[values == 0] = np.nan
    return jko.ChargedDensity(grid, values / values.sum() / grid.cell, H)


def mesh(seed: int, N: int = 6) -> jko.ChargedMesh:
    g = np.random.default_rng(seed)
    return jko.ChargedMesh(
        np.sort(g.normal(size=N)),
        g.normal(size=N),
        g.dirichlet(np.ones(N - 1)) * 0.8 + 0.2 / (N - 1),
    )


KINDS = {"atoms": atoms, "cells": cells, "mesh": mesh}
MIXED = list(itertools.product(KINDS, repeat=2))


def arrays(state) -> tuple[np.ndarray, np.ndarray]:
    lift = state.atoms
    weights = lift.weights.double().numpy()
    return lift.points.double().numpy(), weights / weights.sum()


def referee(a, b) -> float:
    (x, m), (y, n) = arrays(a), arrays(b)
    return float(ot.emd2(m, n, ((x[:, None] - y) ** 2).sum(-1), numItermax=10**7))


def check(a, b, D: jko.metrics.Distance, small: float = 1e-13) -> None:
    """The plan couples the two, its cost is the value, and the potentials prove it."""
    (x, m), (y, n) = arrays(a), arrays(b)
    assert D.plan.shape == (len(x), len(y))
    for mass, expected in zip(D.plan.marginals(), (m, n), strict=True):
        assert np.abs(mass - expected).max() < small
    assert D.plan.mass.min() > 0
    assert D.plan.cost(x, y) == pytest.approx(D.squared, rel=1e-12)
    alpha, beta = D.potentials
    scale = 1 + np.abs(alpha).max() + np.abs(beta).max()
    slack = min(  # by rows: the matrix may be large
        float((((p - y) ** 2).sum(-1) - potential - beta).min())
        for p, potential in zip(x, alpha, strict=True)
    )
    assert slack > -1e-14 * scale
    assert D.squared - D.gap <= m @ alpha + n @ beta + small * scale
    assert D.gap <= 1e-12 * max(1.0, D.squared)


# ----------------------------------------------------------------------------------------- all kinds of pairs


@pytest.mark.parametrize(("one", "two"), MIXED)
def test_any_two_kinds_of_pairs_agree_with_a_network_simplex_of_others(one, two):
    for seed in range(4):
        a, b = KINDS[one](seed), KINDS[two](seed + 100)
        D = jko.distance(a, b)
        assert D.squared == pytest.approx(referee(a, b), rel=1e-11)
        check(a, b, D)


@pytest.mark.parametrize("empty", [0.0, 0.6])
def test_pairs_on_the_plane_agree_with_a_network_simplex_of_others(empty):
    a, b = cells(1, PLANE, empty), cells(2, jko.Grid((0.0, 2.0), (5, 3)), empty)
    c = atoms(3, 2, 11)
    for p, q in ((a, b), (a, c), (c, b)):
        D = jko.distance(p, q)
        assert D.squared == pytest.approx(referee(p, q), rel=1e-11)
        check(p, q, D)


def test_a_pair_is_at_distance_zero_from_its_atoms():
    for state in (cells(1), mesh(1), cells(1, PLANE)):
        assert jko.distance(state, state.to_particles()).squared == 0.0


def test_cells_without_mass_may_hold_any_charge():
    a, b = cells(1), cells(2)
    H = torch.where(a.values > 0, a.H, 1e6)
    D = jko.distance(jko.ChargedDensity(LINE, a.values, H), b)
    assert D.squared == jko.distance(a, b).squared
    check(jko.ChargedDensity(LINE, a.values, H), b, D)


def tails(shift: float, n: int = 120, width: float = 39.0) -> jko.ChargedDensity:
    """A normal density whose outer cells go below 1e-300 and to zero."""
    return jko.ChargedDensity.from_function(
        jko.Grid((-width, width), n),
        lambda z: torch.exp(-0.5 * (z[:, 0] - shift) ** 2),
        lambda z: z[:, 0].sin(),
    )


def test_masses_below_rounding_do_not_disturb():
    a, b = tails(0.0), tails(1.3)
    positive = a.values[a.values > 0]
    assert float(positive.min()) < 1e-300
    assert float(a.values.min()) == 0.0
    D = jko.distance(a, b)
    check(a, b, D, small=1e-15)
    keep = [state.weights > 1e-20 for state in (a, b)]
    p, q = (
        jko.ChargedParticles(s.support[k], s.H[k], s.weights[k] / s.weights[k].sum())
        for s, k in zip((a, b), keep, strict=True)
    )
    assert D.squared == pytest.approx(referee(p, q), rel=1e-12)
    light = jko.ChargedParticles([[0.0], [1.0], [9.0]], [0.0, 0.0, 9.0], [0.5, 0.5, 1e-300])
    assert jko.distance(light, p).squared == pytest.approx(
        jko.distance(jko.ChargedParticles([[0.0], [1.0]], [0.0, 0.0]), p).squared, rel=1e-14
    )


def test_64_by_64_cells_are_exact():
    grid = jko.Grid((-3.0, 3.0), (64, 64))

    def waves(z):
        return torch.sin(6 * z[:, 0]) * torch.cos(5 * z[:, 1])

    a = jko.ChargedDensity.from_function(grid, lambda z: torch.exp(-z.square().sum(1)), waves)
    b = jko.ChargedDensity.from_function(
        grid, lambda z: torch.exp(-((z - 0.3) ** 2).sum(1) / 2), lambda z: z[:, 0]
    )
    D = jko.distance(a, b)
    check(a, b, D)
    assert D.gap <= 1e-12 * D.squared


def test_states_in_single_precision_are_compared():
    a, b = atoms(1), atoms(2)
    p, q = (jko.ChargedParticles(s.theta.float(), s.H.float(), s.weights.float()) for s in (a, b))
    assert jko.distance(p, q).squared == pytest.approx(jko.distance(a, b).squared, rel=1e-5)
    assert jko.metrics.squared_gradient(p, q).theta.dtype == torch.float32


# ------------------------------------------------------------------------------------------ metric axioms


@given(st.tuples(SEEDS, SEEDS, SEEDS), st.tuples(*[st.sampled_from(sorted(KINDS))] * 3))
@EXAMPLES
def test_it_is_a_metric_across_all_kinds(seeds, kinds):
    a, b, c = (KINDS[k](seed) for k, seed in zip(kinds, seeds, strict=True))
    ab, bc, ac = (jko.distance(*p).value for p in ((a, b), (b, c), (a, c)))
    assert jko.distance(b, a).value == pytest.approx(ab, rel=1e-12, abs=1e-7)
    assert ac <= ab + bc + 1e-12
    assert jko.distance(a, a).squared == 0.0
    if not torch.equal(a.atoms.points, b.atoms.points):
        assert ab > 1e-3


@given(SEEDS, st.sampled_from(sorted(KINDS)))
@EXAMPLES
def test_the_order_of_atoms_does_not_matter(seed, kind):
    a, b = atoms(seed), KINDS[kind](seed + 1)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(a.N))
    shuffled = jko.ChargedParticles(a.theta[order], a.H[order], a.weights[order])
    assert jko.distance(shuffled, b).squared == pytest.approx(jko.distance(a, b).squared, rel=1e-12)
    assert jko.distance(shuffled, a).squared < 1e-15


# --------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("d", [1, 2, 3])
def test_translations_of_theta_and_H_are_exact(d):
    a = atoms(5, d, 40)
    c, k = np.linspace(1.0, -0.5, d), 0.7
    b = jko.ChargedParticles(a.theta + torch.from_numpy(c), a.H + k, a.weights)
    expected = exact.squared_distance_translation(c, k)
    assert jko.distance(a, b).squared == pytest.approx(expected, abs=1e-10)
    lifted_H = jko.ChargedParticles(a.theta, a.H + k, a.weights)
    assert jko.distance(a, lifted_H).squared == pytest.approx(k * k, abs=1e-10)


def test_a_higher_charge_on_a_grid_and_on_a_mesh_is_exact():
    a, m = cells(3, PLANE), mesh(3)
    assert jko.distance(a, jko.ChargedDensity(PLANE, a.values, a.H - 2)).squared == pytest.approx(
        4.0, abs=1e-12
    )
    assert jko.distance(m, m.moved(m.theta, m.H + 0.5)).squared == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0)])
def test_a_swap_is_exact(a, b):
    one = jko.ChargedParticles([[a], [-a]], [b, -b])
    two = jko.ChargedParticles([[a], [-a]], [-b, b])
    expected = exact.squared_distance_swap(a, b)
    assert jko.distance(one, two).squared == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("a", [0.3, 1.0, 2.0])
def test_a_reflected_slope_is_exact_on_symmetric_atoms_and_cells(a):
    z = torch.from_numpy(norm.ppf((np.arange(200) + 0.5) / 200))
    grid = jko.Grid((-8.0, 8.0), 160)

    def density(x):
        return torch.exp(-0.5 * x[:, 0] ** 2)

    quantiles = [jko.ChargedParticles(z[:, None], s * a * z) for s in (1, -1)]
    histogram = [
        jko.ChargedDensity.from_function(grid, density, lambda x, s=s: s * a * x[:, 0])
        for s in (1, -1)
    ]
    for one, two in (quantiles, histogram):
        variance = float((one.weights * one.support[:, 0] ** 2).sum())
        expected = exact.squared_distance_reflection(variance, a)
        assert jko.distance(one, two).squared == pytest.approx(expected, abs=1e-10)
    gaussians = exact.squared_distance_gaussians([0], [[1]], [a], 0, [0], [[1]], [-a], 0)
    assert exact.squared_distance_reflection(1.0, a) == pytest.approx(gaussians, rel=1e-14)
    assert jko.distance(*histogram).squared == pytest.approx(gaussians, abs=1e-10)


@pytest.mark.parametrize("periods", [1, 2, 4])
@pytest.mark.parametrize("q", [4, 10])
def test_square_waves_tend_to_a_measure_that_is_no_graph(periods, q):
    """With q atoms on half a period the value is ``p^2 / 12 + h^2 / 6``, h the distance of atoms."""
    N = 2 * q * periods
    theta = (np.arange(N) + 0.5) / N
    wave = jko.ChargedParticles(theta[:, None], np.where(np.arange(N) % (2 * q) < q, 1.0, -1.0))
    both = jko.Particles(np.column_stack([np.repeat([1.0, -1.0], N), np.tile(theta, 2)]))
    p = 1 / periods
    expected = exact.squared_distance_square_waves(p) + 1 / (6 * N**2)
    assert jko.distance(wave.lift(), both).squared == pytest.approx(expected, abs=1e-12)
    assert jko.metrics.projection_loss(both) == pytest.approx(1.0, abs=1e-15)
    assert jko.metrics.projection_loss(wave.lift()) == 0.0


AFFINE = {  # (mean, covariance, slope, height) twice, half width of the box, cells a side
    1: (
        ([0.0], [[1.0]], [0.5], 0.0),
        ([1.0], [[4.0]], [1.0], 0.3),
        (13.0, (104, 208, 416)),
    ),
    2: (
        ([0.0, 0.0], [[1.0, 0.3], [0.3, 0.5]], [0.5, -1.0], 0.2),
        ([1.0, -0.5], [[0.6, -0.2], [-0.2, 0.9]], [-1.0, 0.7], -0.3),
        (5.0, (20, 40)),
    ),
    3: (
        ([0.0, 0.0, 0.0], np.diag([1.0, 0.5, 0.7]), [0.5, -1.0, 0.3], 0.2),
        (
            [0.5, 0.0, -0.5],
            [[0.6, 0.2, 0.0], [0.2, 0.9, 0.1], [0.0, 0.1, 0.5]],
            [-1.0, 0.7, 0.2],
            -0.3,
        ),
        (4.0, (8, 16)),
    ),
}


def on_grid(law, half_width, n) -> jko.ChargedDensity:
    mean, covariance, slope, height = (torch.as_tensor(p, dtype=torch.float64) for p in law)
    precision = torch.linalg.inv(covariance)

    def density(z):
        return torch.exp(-0.5 * torch.einsum("ia,ab,ib->i", z - mean, precision, z - mean))

    grid = jko.Grid(((-half_width, half_width),) * len(mean), (n,) * len(mean))
    return jko.ChargedDensity.from_function(grid, density, lambda z: z @ slope + height)


def quantised(law, n) -> jko.ChargedParticles:
    """n^d equal masses at the means of the cells between quantiles."""
    mean, covariance, slope, height = (np.asarray(p) for p in law)
    edges = np.concatenate([[0.0], norm.pdf(norm.ppf(np.arange(1, n) / n)), [0.0]])
    z = n * (edges[:-1] - edges[1:])
    points = np.stack(np.meshgrid(*[z] * len(mean), indexing="ij"), -1).reshape(-1, len(mean))
    theta = mean + points @ np.linalg.cholesky(covariance).T
    return jko.ChargedParticles(theta, theta @ slope + height)


@pytest.mark.parametrize("d", AFFINE)
def test_affine_charges_of_normal_laws_on_grids_tend_to_the_closed_form(d):
    """Order two: 2.02, 2.01 on the line (5.94 by Richardson to 1e-5); 1.8 and 2.5 on the coarse grids of d = 2, 3."""
    one, two, (half_width, sizes) = AFFINE[d]
    expected = exact.squared_distance_gaussians(*one, *two)
    errors = np.array(
        [
            jko.distance(*(on_grid(law, half_width, n) for law in (one, two))).squared - expected
            for n in sizes
        ]
    )
    order = np.log2(np.abs(errors[:-1] / errors[1:]))
    if d == 1:
        assert expected == pytest.approx(5.94, abs=1e-14)
        assert order == pytest.approx(2.0, abs=0.05)
        assert (4 * errors[-1] - errors[-2]) / 3 == pytest.approx(0.0, abs=2e-5)
    assert order.min() > 1.7
    assert abs(errors[-1]) < 0.2 * (2 * half_width / sizes[-1]) ** 2


@pytest.mark.parametrize(("d", "sizes"), [(1, (50, 100, 200)), (2, (6, 12, 24)), (3, (4, 8, 12))])
def test_equal_masses_tend_to_the_closed_form_from_below(d, sizes):
    """Order 1.2 to 1.3 in the number of masses along an axis: the tails are cut."""
    one, two, _ = AFFINE[d]
    expected = exact.squared_distance_gaussians(*one, *two)
    found = [jko.distance(quantised(one, n), quantised(two, n)).squared for n in sizes]
    errors = expected - np.array(found)
    assert (errors > 0).all()
    order = np.log(errors[:-1] / errors[1:]) / np.log(np.divide(sizes[1:], sizes[:-1]))
    assert order.min() > 1.1


@pytest.mark.parametrize("d", AFFINE)
def test_the_closed_form_is_the_distance_of_normal_laws_of_the_lifts(d):
    """With ``tr (S^{1/2} R S^{1/2})^{1/2}`` from the eigenvalues of S R, of which one is zero up to rounding."""
    laws = []
    for mean, covariance, slope, height in AFFINE[d][:2]:
        L = np.vstack([np.eye(d), slope])
        laws.append((np.append(mean, np.dot(slope, mean) + height), L @ covariance @ L.T))
    (m, S), (n, R) = laws
    shared = np.sqrt(np.linalg.eigvals(S @ R).real.clip(0)).sum()
    found = ((m - n) ** 2).sum() + np.trace(S + R) - 2 * shared
    expected = exact.squared_distance_gaussians(*AFFINE[d][0], *AFFINE[d][1])
    assert expected == pytest.approx(found, abs=1e-6)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.floats(0.1, 3), st.floats(0.1, 3))
@EXAMPLES
def test_the_flow_distance_of_normal_laws_has_no_absolute_value(numbers, s1, s2):
    m1, a1, b1, m2, a2, b2 = numbers
    flow = exact.squared_flow_distance_gaussians(m1, s1, a1, b1, m2, s2, a2, b2)
    static = exact.squared_distance_gaussians(
        [m1], [[s1 * s1]], [a1], b1, [m2], [[s2 * s2]], [a2], b2
    )
    difference = 2 * s1 * s2 * (abs(1 + a1 * a2) - (1 + a1 * a2))
    assert flow == pytest.approx(static + difference, rel=1e-9, abs=1e-11)


# ----------------------------------------------------------------------------------------------- gradients


def moved(a: jko.ChargedParticles, theta, H, weights) -> jko.ChargedParticles:
    return jko.ChargedParticles(a.theta + theta, a.H + H, a.weights + weights, a.domain)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("part", ["theta", "H", "weights"])
def test_the_gradient_of_atoms_agrees_with_finite_differences(kind, part):
    a, b = atoms(11), KINDS[kind](12)
    slope, g = jko.metrics.squared_gradient(a, b), np.random.default_rng(0)
    assert slope.unique_plan
    assert slope.unique_potentials
    assert slope.distance.squared == jko.distance(a, b).squared
    zero = {"theta": 0.0, "H": 0.0, "weights": 0.0}
    v = torch.from_numpy(g.normal(size=(7, 1) if part == "theta" else 7))
    v = v - v.mean() if part == "weights" else v
    h = 1e-5

    def at(t):
        return jko.distance(moved(a, **(zero | {part: t * v})), b).squared

    found = (at(h) - at(-h)) / (2 * h)
    assert float((getattr(slope, part) * v).sum()) == pytest.approx(found, rel=1e-7)
    assert float(a.integrate(slope.weights)) == pytest.approx(0.0, abs=1e-13)


def test_the_gradient_of_particles_agrees_with_finite_differences():
    a, b = (atoms(seed, 2).lift() for seed in (1, 2))
    slope = jko.metrics.squared_gradient(a, b)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=(7, 3)))
    h = 1e-5
    up, down = (jko.distance(jko.Particles(a.points + s * v, a.weights), b) for s in (h, -h))
    assert float((slope.points * v).sum()) == pytest.approx(
        (up.squared - down.squared) / (2 * h), rel=1e-7
    )


def test_the_gradient_on_a_grid_agrees_with_finite_differences():
    a, b = cells(1), mesh(2)
    slope, g, h = jko.metrics.squared_gradient(a, b), np.random.default_rng(0), 1e-5
    full = a.values > 0
    assert bool((~full).any())
    assert float(slope.H[~full].abs().max()) == 0.0
    v = torch.from_numpy(g.normal(size=9)) * full
    up, down = (jko.distance(jko.ChargedDensity(LINE, a.values, a.H + s * v), b) for s in (h, -h))
    expected = (up.squared - down.squared) / (2 * h)
    assert float((slope.H * v).nansum()) == pytest.approx(expected, rel=1e-7)
    v = (v - v.sum() / full.sum()) * full
    up, down = (jko.distance(jko.ChargedDensity(LINE, a.values + s * v, a.H), b) for s in (h, -h))
    expected = (up.squared - down.squared) / (2 * h)
    assert LINE.cell * float((slope.weights * v).sum()) == pytest.approx(expected, rel=1e-7)


def test_mass_that_appears_in_an_empty_cell_costs_its_potential():
    a, b = cells(1), mesh(2)
    a = jko.ChargedDensity(LINE, a.values, torch.where(a.values > 0, a.H, 0.8))
    slope, h = jko.metrics.squared_gradient(a, b), 1e-7
    for empty in torch.nonzero(a.values == 0).flatten():
        v = -a.values.clone() * LINE.cell
        v[empty] = 1.0
        grown = jko.ChargedDensity(LINE, a.values + h * v / LINE.cell, a.H)
        found = (jko.distance(grown, b).squared - slope.distance.squared) / h
        assert float((slope.weights * v).sum()) == pytest.approx(found, rel=1e-5)


@given(SEEDS, st.booleans(), st.floats(1e-3, 2.0))
@EXAMPLES
def test_the_gradients_bound_the_distance_also_at_kinks(seed, lattice, size):
    """From above in the points, up to the square of the move; from below in the weights."""
    g = np.random.default_rng(seed)
    x, y = g.normal(size=(6, 2)), g.normal(size=(5, 2))
    x, y = (x.round(), y.round()) if lattice else (x, y)
    a, b = jko.Particles(x), jko.Particles(y)
    slope = jko.metrics.squared_gradient(a, b)
    here = slope.distance.squared
    v = torch.from_numpy(size * g.normal(size=(6, 2)))
    there = jko.distance(jko.Particles(a.points + v), b).squared
    move = float(a.integrate(v.square().sum(1)))
    assert there <= here + float((slope.points * v).sum()) + move + 1e-12
    u = torch.from_numpy(g.dirichlet(np.ones(6))) - a.weights
    there = jko.distance(jko.Particles(a.points, (a.weights + 0.99 * u)), b).squared
    assert there >= here + 0.99 * float((slope.weights * u).sum()) - 1e-12


def optimal_faces(x, m, y, n, squared, g) -> tuple[float, float]:
    """How far optimal plans, and differences of optimal potentials, spread: by linear programs."""
    N, M = len(m), len(n)
    cost = ((x[:, None] - y) ** 2).sum(-1).ravel()
    sides = np.vstack([np.kron(np.eye(N), np.ones(M)), np.kron(np.ones(N), np.eye(M))])
    both, spread = np.concatenate([m, n]), []
    direction = g.normal(size=N * M)
    for A_ub, b_ub, A_eq, b_eq, c, bounds in (
        (cost[None], [squared + 1e-11], sides, both, direction, (0, None)),
        (
            np.vstack([sides.T, -both]),
            np.append(cost, 1e-11 - squared),
            np.eye(1, N + M),
            [0.0],
            np.concatenate([g.normal(size=N), np.zeros(M)]),
            (None, None),
        ),
    ):
        ends = [
            linprog(s * c, A_ub=A_ub, b_ub=b_ub, A_eq=A_eq, b_eq=b_eq, bounds=bounds).fun
            for s in (1, -1)
        ]
        spread.append(-ends[0] - ends[1])
    return spread[0], spread[1]


@pytest.mark.parametrize("seed", range(24))
def test_uniqueness_is_what_linear_programs_find(seed):
    """On a lattice with masses in sixths, ties are frequent."""
    g = np.random.default_rng(seed)
    x, y = (np.unique(g.integers(0, 3, size=(4, 2)), axis=0).astype(float) for _ in range(2))
    if seed % 3 == 0:
        x = x + g.normal(size=x.shape)
    m, n = (g.integers(1, 4, size=len(p)).astype(float) for p in (x, y))
    m, n = m / m.sum(), n / n.sum()
    slope = jko.metrics.squared_gradient(jko.Particles(x, m), jko.Particles(y, n))
    plans, potentials = optimal_faces(x, m, y, n, slope.distance.squared, g)
    assert slope.unique_plan == (plans < 1e-6)
    assert slope.unique_potentials == (potentials < 1e-6)


def test_a_swap_with_two_optimal_plans_says_so():
    one = jko.ChargedParticles([[1.0], [-1.0]], [1.0, -1.0])
    two = jko.ChargedParticles([[1.0], [-1.0]], [-1.0, 1.0])
    slope = jko.metrics.squared_gradient(one, two)
    assert not slope.unique_plan
    assert slope.unique_potentials
    assert jko.metrics.squared_gradient(one, one).unique_plan
    assert not jko.metrics.squared_gradient(one, one).unique_potentials


# ----------------------------------------------------------------------------------------------- geodesics


@pytest.mark.parametrize(("one", "two"), MIXED)
def test_a_geodesic_has_constant_speed(one, two):
    a, b = KINDS[one](1), KINDS[two](2)
    D = jko.distance(a, b).value
    path = [jko.geodesic(a, b, t) for t in (0.0, 0.3, 0.7, 1.0)]
    assert all(isinstance(state, jko.Particles) for state in path)
    assert jko.distance(path[0], a.lift()).value == pytest.approx(0.0, abs=1e-7)
    assert jko.distance(path[-1], b.lift()).value == pytest.approx(0.0, abs=1e-7)
    assert jko.distance(path[1], path[2]).value == pytest.approx(0.4 * D, rel=1e-10)
    assert jko.distance(path[0], path[2]).value == pytest.approx(0.7 * D, rel=1e-10)


def test_a_geodesic_on_one_theta_stays_in_it():
    a, b = cells(1, PLANE), cells(2, PLANE)
    again = cells(3, jko.Grid(PLANE.bounds, (3, 3)))
    assert jko.geodesic(a, b, 0.5).project().domain is not None
    assert jko.geodesic(a, again, 0.5).project().domain is not None
    assert jko.geodesic(a, atoms(1, 2), 0.5).domain is None


def test_the_midpoint_of_a_swap_is_no_graph_and_says_so():
    one = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    two = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    middle = jko.geodesic(one, two, 0.5)
    assert sorted(middle.points.tolist()) == [[-2.0, 0.0], [2.0, 0.0]]
    assert jko.metrics.projection_loss(middle) == 4.0
    pair = middle.project()
    assert pair.theta.tolist() == [[0.0]]
    assert pair.H.tolist() == [0.0]
    for t in (0.0, 0.2, 0.49, 0.51, 1.0):
        assert jko.metrics.projection_loss(jko.geodesic(one, two, t)) == 0.0


def test_the_geodesic_of_a_reflected_slope_turns_over():
    z = torch.from_numpy(norm.ppf((np.arange(200) + 0.5) / 200))
    a, b = (jko.ChargedParticles(z[:, None], s * z) for s in (2.0, -2.0))
    for t, slope in ((0.0, 2.0), (0.25, 4.0), (0.75, -4.0), (1.0, -2.0)):
        between = jko.geodesic(a, b, t)
        w, theta = between.points.T
        assert w.numpy() == pytest.approx(slope * theta.numpy(), abs=1e-12)
        assert float((theta**2).mean() / (z**2).mean()) == pytest.approx((1 - 2 * t) ** 2)
        assert jko.metrics.projection_loss(between) == 0.0
    middle = jko.geodesic(a, b, 0.5)
    assert float(middle.points[:, 1].abs().max()) < 1e-14
    assert jko.metrics.projection_loss(middle, 1e-9) == pytest.approx(
        4 * float((z**2).mean()), rel=1e-12
    )


def test_the_smooth_swap_leaves_the_graphs_before_its_midpoint():
    scale = 0.1
    z = torch.from_numpy(norm.ppf((np.arange(400) + 0.5) / 400))
    theta = torch.cat([scale * z - 1, scale * z + 1])
    a, b = (
        jko.ChargedParticles(theta[:, None], s * 2 * torch.tanh(theta / scale)) for s in (1, -1)
    )
    assert jko.distance(a, b).squared == pytest.approx(4.0, abs=1e-3)
    assert jko.metrics.flow_distance(a, b).squared == pytest.approx(16.0, abs=1e-3)
    losses = [
        jko.metrics.projection_loss(jko.geodesic(a, b, t), 0.02) for t in (0, 0.25, 0.4, 0.45, 0.5)
    ]
    assert losses == pytest.approx([0, 0, 0.28, 1.80, 4.00], abs=0.02)


def test_the_loss_is_the_gain_of_the_energy_and_bounds_the_distance():
    g = np.random.default_rng(1)
    points = np.column_stack([g.normal(size=30), g.integers(0, 4, size=(30, 2))])
    mu = jko.Particles(points, g.dirichlet(np.ones(30)))
    loss, pair = jko.metrics.projection_loss(mu), mu.project()
    half = jko.SquaredNorm()  # |xi|^2 / 2
    assert float(half(mu) - half(pair)) == pytest.approx(loss / 2, rel=1e-13)
    assert jko.distance(mu, pair.lift()).squared <= loss * (1 + 1e-12)
    assert jko.metrics.projection_loss(pair.lift()) == 0.0
    assert jko.metrics.projection_loss(mu, 100.0) == pytest.approx(
        float(mu.covariance()[0, 0]), rel=1e-13
    )


def test_bins_see_the_slope_of_a_graph():
    theta, width = torch.linspace(-1.05, 1.05, 4200, dtype=torch.float64), 0.1
    pair = jko.ChargedParticles(theta[:, None], 3 * theta)
    assert jko.metrics.projection_loss(pair.lift(), width) == pytest.approx(
        9 * width**2 / 12, rel=0.001
    )


# --------------------------------------------------------------------------------------------- barycentres


def value(states, weights, nu) -> float:
    return sum(lam * referee(nu, s) for lam, s in zip(weights, states, strict=True))


@pytest.mark.parametrize("lam", [0.5, 0.2])
def test_of_two_states_it_is_on_their_geodesic(lam):
    for a, b in ((atoms(1, 2), atoms(2, 2, 4)), (cells(1), mesh(2)), (cells(3), atoms(4))):
        found = jko.metrics.barycentre([a, b], [1 - lam, lam])
        squared = jko.distance(a, b).squared
        assert found.converged
        assert found.objective == pytest.approx(lam * (1 - lam) * squared, rel=1e-12)
        assert found.lower_bound == pytest.approx(found.objective, rel=1e-12)
        if found.states[0].N < found.states[1].N:
            a, b, lam = b, a, 1 - lam
        between = jko.geodesic(a, b, lam)
        assert jko.distance(found.state, between).value == pytest.approx(0.0, abs=1e-7)


def test_of_translates_it_is_the_mean_translate():
    rho = on_grid(AFFINE[2][0], 4.0, 8).to_particles()
    shifts = torch.from_numpy(np.array([[0.0, 0.0, 0.0], [3.0, 1.0, -1.0], [-1.0, 0.5, 2.0]]))
    states = [jko.ChargedParticles(rho.theta + c[1:], rho.H + c[0], rho.weights) for c in shifts]
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mean = weights @ shifts
    found = jko.metrics.barycentre(states, weights)
    expected = jko.ChargedParticles(rho.theta + mean[1:], rho.H + mean[0], rho.weights)
    assert found.iterations == 1
    assert (found.state.points - expected.lift().points).abs().max() < 1e-14
    spread = weights @ ((shifts - mean) ** 2).sum(1)
    assert found.objective == pytest.approx(float(spread), rel=1e-13)
    assert found.lower_bound == pytest.approx(float(spread), rel=1e-13)


def test_of_equal_masses_it_is_the_free_support_barycentre_of_others():
    g = np.random.default_rng(0)
    clouds = [g.normal(size=(20, 2)) + k for k in range(3)]
    start, weights, equal = g.normal(size=(20, 2)), np.array([0.2, 0.3, 0.5]), np.full(20, 0.05)
    found = jko.metrics.barycentre(
        [jko.Particles(x) for x in clouds], weights, start=jko.Particles(start)
    )
    theirs = ot.lp.free_support_barycenter(
        clouds, [equal] * 3, start, equal, weights, numItermax=100, stopThr=1e-20
    )
    assert found.converged
    assert found.state.points.numpy() == pytest.approx(theirs, abs=1e-12)


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_its_objective_falls_to_a_stationary_point_above_the_minimum(seed):
    """The minimum by a linear program over all joint couplings of the states."""
    g = np.random.default_rng(seed)
    states = [
        jko.Particles(g.normal(size=(n, 2)), g.dirichlet(np.ones(n)) * 0.8 + 0.2 / n)
        for n in (4, 3, 5)
    ]
    lam = g.dirichlet(np.ones(3)) * 0.7 + 0.1
    start = jko.Particles(g.normal(size=(2, 2)))
    found = jko.metrics.barycentre(states, lam, start=start, tol=1e-10)
    assert found.converged
    assert found.residual < 1e-8
    assert (np.diff(found.objectives) <= 1e-14).all()
    assert found.objective == pytest.approx(value(states, lam, found.state), rel=1e-11)
    every = list(itertools.product(*(range(s.N) for s in states)))
    x = np.array([[s.points[i].numpy() for s, i in zip(states, way, strict=True)] for way in every])
    mean = np.einsum("k,ika->ia", lam, x)
    cost = np.einsum("k,ika->i", lam, (x - mean[:, None]) ** 2)
    sides = [
        [float(way[k] == i) for way in every] for k, s in enumerate(states) for i in range(s.N)
    ]
    least = linprog(cost, A_eq=sides, b_eq=np.concatenate([s.weights.numpy() for s in states])).fun
    assert found.lower_bound <= least * (1 + 1e-9)
    assert least <= found.objective * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_on_a_line_it_is_the_mean_of_quantiles(seed):
    g = np.random.default_rng(seed)
    states = [
        jko.Particles(g.normal(size=(n, 1)), g.dirichlet(np.ones(n)) * 0.8 + 0.2 / n)
        for n in (6, 4, 5)
    ]
    found = jko.metrics.barycentre(states)
    assert found.objective == pytest.approx(found.lower_bound, rel=1e-11)
    levels = np.sort(
        np.concatenate([np.cumsum(arrays(s)[1][arrays(s)[0][:, 0].argsort()]) for s in states])
    )
    middle = 0.5 * (levels[1:] + levels[:-1])
    for u, width in zip(middle, np.diff(levels), strict=True):
        if width > 1e-9:
            quantiles = []
            for state in (*states, found.state):
                order = state.points[:, 0].argsort()
                index = int(torch.searchsorted(state.weights[order].cumsum(0), float(u)))
                quantiles.append(float(state.points[order][index, 0]))
            assert quantiles[-1] == pytest.approx(np.mean(quantiles[:-1]), abs=1e-9)


def test_of_pairs_it_may_leave_the_graphs():
    one = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    two = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    found = jko.metrics.barycentre([one, two])
    assert found.objective == 1.0
    assert jko.metrics.projection_loss(found.state) == 4.0
    assert found.state.project().H.tolist() == [0.0]


def test_of_densities_and_meshes_it_is_a_measure_of_mass_one_in_their_box():
    a, b = cells(1), cells(2)
    found = jko.metrics.barycentre([a, b, cells(3)])
    assert float(found.state.mass) == pytest.approx(1.0, abs=1e-13)
    assert found.state.project().domain is not None
    assert jko.metrics.barycentre([a, mesh(1)]).state.domain is None


def test_of_one_state_it_is_that_state_and_of_points_their_mean():
    a = atoms(1, 2)
    found = jko.metrics.barycentre([a])
    assert found.objective == 0.0
    assert found.lower_bound == 0
    assert torch.equal(found.state.points, a.lift().points)
    same = jko.metrics.barycentre([jko.Particles([[0.1, 0.7]])] * 3)
    assert same.converged


def test_too_few_iterations_are_reported():
    g = np.random.default_rng(0)
    states = [jko.Particles(g.normal(size=(20, 2)) + k) for k in range(3)]
    start = jko.Particles(g.normal(size=(20, 2)))
    found = jko.metrics.barycentre(states, start=start, max_iterations=1)
    assert not found.converged
    assert found.iterations == 1
    assert "raise max_iterations" in str(found)
    assert "stationary is not minimal" in str(jko.metrics.barycentre(states))


# ----------------------------------------------------------------------------------------------- bad input

PAIR, PLANAR = atoms(1), atoms(1, 2)
SPAN = jko.ChargedSpan(
    jko.Particles([[0.0]]), lambda theta: theta[:, 0], jko.GaussianBump(), [[0.0]]
)
SINGLE = jko.ChargedParticles(PAIR.theta.float(), PAIR.H.float(), PAIR.weights.float())
MU = PAIR.lift()
DENSITY = cells(1).rho


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.distance(PAIR, PLANAR), ValueError, r"a has d = 1 but b has d = 2"),
        (lambda: jko.distance(mesh(1), cells(1, PLANE)), ValueError, r"d = 1 but b has d = 2"),
        (lambda: jko.distance(cells(1), PAIR.lift()), TypeError, r"ChargedDensity .*\.lift\(\)"),
        (lambda: jko.distance(mesh(1), SPAN), TypeError, r"b is ChargedSpan; .* a span"),
        (lambda: jko.distance(cells(1), DENSITY), TypeError, r"b is GridDensity"),
        (lambda: jko.distance(PAIR, SINGLE), ValueError, r"float64 but b has dtype torch.float32"),
        (lambda: jko.GraphWasserstein().distance(PAIR, SPAN), TypeError, r"b must be .*lift"),
        (lambda: jko.geodesic(PAIR, SPAN, 0.5), TypeError, r"b is ChargedSpan"),
        (lambda: jko.geodesic(cells(1), PLANAR, 0.5), ValueError, r"d = 1 but b has d = 2"),
        (lambda: jko.geodesic(cells(1), PAIR, 1.5), ValueError, r"t = 1\.5"),
        (
            lambda: jko.metrics.squared_gradient(PAIR, MU),
            TypeError,
            r"pass the \.lift\(\) of the pair",
        ),
        (lambda: jko.metrics.squared_gradient(SPAN, SPAN), TypeError, r"of a span D between its"),
        (lambda: jko.metrics.squared_gradient(DENSITY, DENSITY), TypeError, r"\.to_particles\(\)"),
        (lambda: jko.metrics.squared_gradient(MU, PLANAR.lift()), ValueError, r"dimension 2 but b"),
        (lambda: jko.metrics.squared_gradient(PAIR, SINGLE), ValueError, r"float32"),
        (lambda: jko.metrics.projection_loss(PAIR), TypeError, r"is a graph and loses nothing"),
        (
            lambda: jko.metrics.projection_loss(jko.Particles([[0.0]])),
            ValueError,
            r"one coordinate",
        ),
        (lambda: jko.metrics.projection_loss(MU, 0.0), ValueError, r"width = 0"),
        (lambda: jko.metrics.barycentre(PAIR), TypeError, r"states must be list or tuple"),
        (lambda: jko.metrics.barycentre([]), ValueError, r"states is empty"),
        (
            lambda: jko.metrics.barycentre([PAIR, MU]),
            TypeError,
            r"states\[1\] must be .*\.lift\(\)",
        ),
        (
            lambda: jko.metrics.barycentre([MU, DENSITY]),
            TypeError,
            r"states\[1\] must be Particles",
        ),
        (lambda: jko.metrics.barycentre([PAIR], start=MU), TypeError, r"start must be Charged"),
        (lambda: jko.metrics.barycentre([PAIR, PLANAR]), ValueError, r"states\[1\] has d = 2"),
        (lambda: jko.metrics.barycentre([PAIR, SINGLE]), ValueError, r"states\[1\] has dtype"),
        (
            lambda: jko.metrics.barycentre([PAIR, PAIR], [0.5, 0.6]),
            ValueError,
            r"weights sums to 1\.1",
        ),
        (lambda: jko.metrics.barycentre([PAIR, PAIR], [1.0, 0.0]), ValueError, r"weights\[1\] = 0"),
        (lambda: jko.metrics.barycentre([PAIR], tol=0.0), ValueError, r"tol = 0"),
        (lambda: jko.metrics.barycentre([PAIR], max_iterations=0), ValueError, r"at least 1"),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
