"""Claim: W2 and D are exact at every mixture of scales, or say that they are not; no false proof of optimality."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from fuzz import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from whole_numbers import KINDS, assignment, clouds, truth

import jko
from jko import ChargedParticles, Particles, Status, distance, geodesic
from jko.metrics import (
    SinkhornDivergence,
    by_assignment,
    by_potential,
    certify,
    referee,
    refinement,
    transport,
)
from jko.metrics.expansions import ReducedCosts

SEEDS = st.integers(0, 10**6)
EXACT = Fraction(1, 10**9)


def cost_beyond_translation(plan, x, y, t) -> Fraction:
    return sum(
        Fraction(float(m))
        * sum(
            (Fraction(float(p)) - Fraction(float(q)) - s) ** 2
            for p, q, s in zip(x[i], y[j], t, strict=True)
        )
        for i, j, m in zip(plan.rows, plan.cols, plan.mass, strict=True)
    )


def test_the_truth_is_right() -> None:
    g = np.random.default_rng(0)
    for _ in range(20):
        cost = g.integers(0, 50, (5, 5)).tolist()
        best = min(sum(cost[p[j]][j] for j in range(5)) for p in itertools.permutations(range(5)))
        assert sum(cost[i][j] for j, i in enumerate(assignment(cost))) == best


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=SEEDS, n=st.integers(1, 14), dim=st.integers(1, 4), power=st.sampled_from([0, -140, 140])
)
@pytest.mark.fuzz
@settings(max_examples=examples(25))
def test_distances_are_exact_at_every_mixture_of_scales(kind, seed, n, dim, power) -> None:
    g = np.random.default_rng(seed)
    x, y = clouds(g, kind, n, dim)
    x, y = x * 10.0**power, y * 10.0**power
    D = distance(Particles(x), Particles(y))
    square, centred = truth(x, y)
    assert D.exact
    assert abs(Fraction(D.value) ** 2 - square) <= 2 * EXACT * square
    assert D.gap <= 1e-9 * D.squared
    t = [
        (sum(map(Fraction, p.tolist())) - sum(map(Fraction, q.tolist()))) / n
        for p, q in zip(x.T, y.T, strict=True)
    ]
    rounding = 16 * sum((s / 2**52) ** 2 for s in t)  # of the translation
    assert cost_beyond_translation(D.plan, x, y, t) <= (1 + EXACT) * centred + rounding


@given(seed=SEEDS, kind=st.sampled_from(KINDS), dim=st.integers(2, 3), pair=st.booleans())
@pytest.mark.fuzz
@settings(max_examples=examples(60))
def test_unequal_masses_agree_with_atoms_that_are_split(seed, kind, dim, pair) -> None:
    g = np.random.default_rng(seed)
    copies = [g.integers(1, 4, 5), g.integers(1, 4, 5)]
    copies[0][0] += max(0, copies[1].sum() - copies[0].sum())
    copies[1][0] += max(0, copies[0].sum() - copies[1].sum())
    x, y = clouds(g, kind, 5, dim)
    a, b = (c / c.sum() for c in copies)
    if kind == "twins":
        x, y = np.unique(x, axis=0), np.unique(y, axis=0)
        copies, a, b = [np.ones(len(z), int) for z in (x, y)], None, None
        if len(x) != len(y):
            return
    if pair:
        one, two = ChargedParticles(x[:, 1:], x[:, 0], a), ChargedParticles(y[:, 1:], y[:, 0], b)
    else:
        one, two = Particles(x, a), Particles(y, b)
    D = distance(one, two)
    square, _ = truth(np.repeat(x, copies[0], 0), np.repeat(y, copies[1], 0))
    assert D.exact
    assert abs(Fraction(D.value) ** 2 - square) <= 2 * EXACT * square


@given(seed=SEEDS, dim=st.integers(1, 3))
@pytest.mark.fuzz
@settings(max_examples=examples(40))
def test_small_masses_far_away_keep_their_digits(seed: int, dim: int) -> None:
    """One atom sends all: each cost is its own mass times its own square, whatever the others are."""
    g = np.random.default_rng(seed)
    n = int(g.integers(2, 8))
    y = g.normal(size=(n, dim)) * 10.0 ** g.uniform(-3, 6, (n, 1))
    b = 10.0 ** g.uniform(-15, 0, n)
    b[0] = 1
    nu = Particles(y, b / b.sum())
    D = distance(Particles(np.zeros((1, dim))), nu)
    b = nu.weights.numpy()
    exact = sum(
        Fraction(m) * sum(Fraction(v) ** 2 for v in q)
        for m, q in zip(b.tolist(), y.tolist(), strict=True)
    )
    assert abs(Fraction(D.squared) - exact) <= EXACT * exact


@given(seed=SEEDS, dim=st.integers(1, 3), least=st.sampled_from([-20.0, -12.0, -4.0]))
@settings(max_examples=60, deadline=None)
def test_the_little_mass_between_two_groups_keeps_its_digits(seed, dim, least) -> None:
    """Each group sits at one place: what goes between is the difference of their masses, times the square."""
    g = np.random.default_rng(seed)
    n, m = g.integers(2, 9, 2)
    groups = [np.arange(k) % 2 for k in (n, m)]
    x, y = (np.eye(1, dim) * site[:, None] for site in groups)
    one, two = 10.0 ** g.uniform(least, -3, n), 10.0 ** g.uniform(least, -3, m)
    one[0] = two[0] = g.random()
    one[1], two[1] = 1 - (one.sum() - one[1]), 1 - (two.sum() - two[1])
    mu, nu = Particles(x, one), Particles(y, two)
    a, b = (list(map(Fraction, state.weights.tolist())) for state in (mu, nu))
    square = abs(sum(a[::2]) / sum(a) - sum(b[::2]) / sum(b))
    D = distance(mu, nu)
    unknown = abs(sum(a) - sum(b))  # masses are known up to rounding of their sum
    if D.exact:
        assert abs(Fraction(D.squared) - square) <= Fraction(1, 10**10) * square + unknown
    else:  # only masses below the rounding of their sum may be lost
        assert least < -15


def test_the_flow_distance_keeps_the_little_mass_too() -> None:
    small = 2.0**-45
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [2.0]])
    a, b = np.array([0.3, 0.7 - small, small]), np.array([0.3, 0.7 - 3 * small, 3 * small])
    D = jko.metrics.flow_distance(
        ChargedParticles(x, np.zeros(3), a), ChargedParticles(y, np.zeros(3), b)
    )
    moved = Fraction(b[2]) - Fraction(a[2])
    assert abs(Fraction(D.squared) / moved - 1) < Fraction(1, 10**10)


def test_masses_below_the_rounding_of_their_sum_are_not_called_exact() -> None:
    # 1e-17 sits on one side of a gap of length 1e6, and on the other side opposite
    x, y = np.array([[0.0, 0], [1, 0], [1e6, 0]]), np.array([[0.0, 0], [1, 1e-3], [1e6, 0]])
    a, b = np.array([1.0, 1e-17, 3e-17]), np.array([1.0, 3e-17, 1e-17])
    D = distance(Particles(x, a / a.sum()), Particles(y, b / b.sum()))
    assert not D.exact
    assert "not proved exact" in repr(D)
    assert "not proved" not in repr(distance(Particles(x), Particles(y)))


# ------------------------------------------------------------------------- squares that are no numbers


@pytest.mark.parametrize("size", [1e-300, 1e-163, 1e-155, 1e155, 1e200, 1e300])
@pytest.mark.parametrize("dim", [1, 2, 9])
def test_squares_neither_overflow_nor_underflow(size: float, dim: int) -> None:
    point = np.zeros((1, dim))
    point[0, 0] = size
    D = distance(Particles(np.zeros((1, dim))), Particles(point))
    assert D.value == size
    assert D.exact
    g = np.random.default_rng(0)
    x, y = g.uniform(-1, 1, size=(6, dim)), g.uniform(-1, 1, size=(9, dim))
    one = distance(Particles(x), Particles(y))
    other = distance(Particles(size * x), Particles(size * y))
    assert other.value == pytest.approx(size * one.value, rel=1e-13)
    assert other.exact
    middle = geodesic(Particles(size * x), Particles(size * y), 0.5)
    assert distance(Particles(size * x), middle).value == pytest.approx(
        0.5 * other.value, rel=1e-12
    )
    pairs = [ChargedParticles(size * z, size * z[:, 0]) for z in (x, y)]
    lifted = distance(*(ChargedParticles(z, z[:, 0]) for z in (x, y)))
    assert distance(*pairs).value == pytest.approx(size * lifted.value, rel=1e-13)


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_the_other_metrics_keep_their_scale(size: float) -> None:
    edges, g = np.array([0.0, 1.0, 3.0]), np.random.default_rng(0)
    one, other = (
        distance(jko.LineMesh(s * edges, [0.3, 0.7]), jko.LineMesh(s * (edges - 2), [0.6, 0.4]))
        for s in (1.0, size)
    )
    assert other.value == pytest.approx(size * one.value, rel=1e-13)
    theta, H = g.normal(size=(2, 5, 1)), g.normal(size=(2, 5))
    one, other = (
        jko.metrics.flow_distance(
            *(ChargedParticles(s * t, s * h) for t, h in zip(theta, H, strict=True))
        )
        for s in (1.0, size)
    )
    assert other.value == pytest.approx(size * one.value, rel=1e-13)
    spans = [
        jko.ChargedSpan(Particles([[0.0]]), lambda t, c=c: t[:, 0] + c, jko.GaussianBump(), [[0.0]])
        for c in (0.0, size)
    ]
    assert distance(*spans).value == pytest.approx(size, rel=1e-13)


def test_points_that_differ_have_a_distance_beside_points_that_are_far_apart() -> None:
    a, b = Particles([[0.0], [1.0]]), Particles([[1e-163], [1.0]])
    assert distance(a, b).value == pytest.approx(1e-163 / math.sqrt(2), rel=1e-12)


def test_ordinary_scales_are_not_touched() -> None:
    g = np.random.default_rng(0)
    x, y = g.normal(size=(30, 2)), g.normal(size=(30, 2))
    one, other = (distance(Particles(s * x), Particles(s * y)) for s in (1.0, 2.0**20))
    assert other.squared == 2.0**40 * one.squared
    assert np.array_equal(other.potentials[0], 2.0**40 * one.potentials[0])


# ------------------------------------------------------------------------------------------- proofs


@given(
    seed=SEEDS,
    kind=st.sampled_from(KINDS),
    n=st.integers(2, 12),
    dim=st.integers(1, 3),
    known=st.booleans(),
)
@example(seed=237, kind="far", n=8, dim=3, known=True)  # a bound that was rounding
@pytest.mark.fuzz
@settings(max_examples=examples(150))
def test_no_coupling_is_certified_that_is_not_optimal(seed, kind, n, dim, known) -> None:
    g = np.random.default_rng(seed)
    x, y = clouds(g, kind, n, dim)
    m = np.full(n, 1 / n)
    best = transport(x, m, y, m)
    if g.random() < 0.5:  # the best pairing, or one with two partners exchanged
        y = y[best.plan.cols[np.argsort(best.plan.rows)]]
        if g.random() < 0.5:
            y[:2] = y[1::-1].copy()
    potential = -0.5 * best.alpha if known else g.normal(size=n) * float(np.abs(x).max()) ** 2
    own = sum(
        sum((Fraction(float(p)) - Fraction(float(q))) ** 2 for p, q in zip(u, v, strict=True)) / n
        for u, v in zip(x, y, strict=True)
    )
    square, _ = truth(x, y)
    for proof in (
        certify(x, y, m),
        certify(x, y, m, potential),
        by_potential(x, y, m, potential),
        by_assignment(x, y, m),
    ):
        assert own - square <= Fraction(proof.bound) + EXACT * own
        if proof.optimal:
            assert own - square <= EXACT * own
    assert certify(x, y, m).optimal or own - square > EXACT * own / 100


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150])
def test_a_potential_of_another_scale_proves_nothing_without_a_warning(size: float) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2)) * size
    m = np.full(5, 0.2)
    found = certify(x[::-1].copy(), x, m, np.arange(5.0))
    assert not found.optimal  # its cost is not 0, and the order of x is free


def test_certificates_hold_where_squares_are_no_numbers() -> None:
    g = np.random.default_rng(0)
    x, y, m = g.normal(size=(9, 2)), g.normal(size=(9, 2)), np.full(9, 1 / 9)
    plan = transport(x, m, y, m).plan
    y = y[plan.cols[np.argsort(plan.rows)]]
    for size in (1e-200, 1.0, 1e200):
        assert certify(size * x, size * y, m).optimal
        assert not certify(size * x, size * y[::-1], m).optimal


def test_the_referee_refuses_what_it_cannot_decide() -> None:
    far = [[1e8, 0.0]]
    x, y, m = (
        np.array([[4.0, 3], [2, 1], *far]),
        np.array([[1.0, 0], [0, 0], *far]),
        np.full(3, 1 / 3),
    )
    with pytest.raises(ValueError, match="rounding of the largest cost"):
        referee(x, m, y, m)
    assert transport(x, m, y, m).squared == pytest.approx(23 / 3, rel=1e-15)


@given(seed=SEEDS)
@pytest.mark.fuzz
@settings(max_examples=examples(30))
def test_reduced_costs_keep_their_digits(seed: int) -> None:
    g = np.random.default_rng(seed)
    x, y = (g.normal(size=(4, 2)) * 10.0 ** g.uniform(-6, 6, (4, 1)) for _ in range(2))
    t = g.normal(size=2) * 1e3
    alpha, beta = ([g.normal(size=4) * s for s in (1e12, 1.0, 1e-9)] for _ in range(2))
    found = ReducedCosts(x, y, t, alpha, beta).at(*np.divmod(np.arange(16), 4))
    for r, (i, j) in zip(found, itertools.product(range(4), repeat=2), strict=True):
        exact = sum((Fraction(x[i, k]) - Fraction(y[j, k]) - Fraction(t[k])) ** 2 for k in range(2))
        exact -= sum(Fraction(p[i]) for p in alpha) + sum(Fraction(p[j]) for p in beta)
        assert abs(Fraction(float(r)) - exact) <= abs(exact) / 2**51


@pytest.mark.parametrize("kept", [0, refinement.KEPT])
def test_many_pairs_at_two_scales(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More pairs than are tried at once, and the near ones below rounding of the far ones; costs kept or not."""
    monkeypatch.setattr(refinement, "KEPT", kept)
    g = np.random.default_rng(0)
    x, y = g.normal(size=(520, 2)), g.normal(size=(520, 2))
    near = distance(Particles(x), Particles(y))
    far = np.array([[1e9, 0.0]])
    D = distance(Particles(np.concatenate([x, far])), Particles(np.concatenate([far, y])))
    assert D.exact
    assert D.squared == pytest.approx(near.squared * 520 / 521, rel=1e-12)


# ------------------------------------------------------------------------------------ entropic distances


def normal(seed: int, n: int, dtype: torch.dtype = torch.float64, shift: float = 0.0) -> Particles:
    points = np.random.default_rng(seed).normal(size=(n, 2)) + shift
    return Particles(torch.tensor(points, dtype=dtype))


@pytest.mark.parametrize("epsilon", [0.1, 0.01])
def test_single_precision_clouds_have_a_sinkhorn_divergence(epsilon: float) -> None:
    S = SinkhornDivergence(epsilon)
    for n in (8, 60):
        pairs = [(normal(1, n, t), normal(2, n, t, 1.0)) for t in (torch.float64, torch.float32)]
        one, two = (S.distance(*pair).squared for pair in pairs)
        assert two == pytest.approx(one, rel=1e-5)
    assert S.cost(*pairs[1]).dtype == torch.float32


def test_more_points_than_elimination_takes_meet_the_same_marginals() -> None:
    S = SinkhornDivergence(0.05, tol=1e-9)
    a, b = normal(1, 520), normal(2, 530, shift=1.0)
    found = S.distance(a, b)
    assert found.residual <= 1e-9
    assert S.distance(b, a).squared == pytest.approx(found.squared, abs=1e-8)


def test_an_entropic_distance_that_misses_tol_is_not_lost() -> None:
    a, b = normal(1, 30), normal(2, 30, shift=1.0)
    right = SinkhornDivergence(0.1, tol=1e-12).distance(a, b)
    with pytest.raises(RuntimeError, match="pass tol = ") as caught:
        SinkhornDivergence(0.1, tol=1e-20).distance(a, b)
    best = caught.value.best
    assert best == SinkhornDivergence(0.1, tol=1e-20).distance(a, b, throw=False)
    assert (best.status, right.status) == (Status.MAX_ITERATIONS, Status.CONVERGED)
    assert abs(best.squared - right.squared) <= best.error + right.error
    assert best.error < 1e-10


@pytest.mark.parametrize("n", [2, 5])
def test_an_entropic_step_of_coincident_atoms(n: int) -> None:
    V = jko.Potential(lambda x: x.square().sum(-1))
    same = jko.step(V, Particles(np.ones((n, 2))), tau=0.1, solver=jko.Sinkhorn(0.05))
    assert same.status is jko.Status.CONVERGED
    assert same.energy == pytest.approx(2.0)


def test_an_entropic_step_in_single_precision() -> None:
    V = jko.Potential(lambda x: x.square().sum(-1))
    one, two = (
        jko.step(V, normal(1, 30, t), tau=0.1, solver=jko.Sinkhorn(0.1, debiased=False))
        for t in (torch.float64, torch.float32)
    )
    assert two.state.points.dtype == torch.float32
    assert two.energy == pytest.approx(one.energy, rel=1e-5)
