"""Claim: transport between weighted clouds is exact, its potentials prove it, and no certificate is ever wrong."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jko.metrics import (
    Plan,
    Proof,
    by_assignment,
    by_potential,
    certify,
    certify_plan,
    referee,
    small_displacement,
    transport,
)
from jko.metrics.couplings import all_costs
from jko.metrics.pricing import price
from jko.metrics.repair import repaired
from jko.metrics.supplies import staircase, supplies

EXACT = 1e-12  # relative, against the dense simplex: N rounding errors of 1e-16
KINDS = ["random", "jko", "swirl", "noise", "far"]


def clouds(kind: str, N: int, dim: int, equal: bool, seed: int = 0, M: int | None = None):
    """(x, a, y, b) of one kind of move; a = b where the clouds are paired."""
    g = np.random.default_rng(seed)
    y = g.normal(size=(N, dim))
    K, phase, V = g.normal(size=(8, dim)), g.uniform(0, 6.3, 8), g.normal(size=(8, dim))
    wave = y @ K.T + phase
    x = {
        "random": g.normal(size=(M or N, dim)),
        "jko": y - 0.4 * (0.2 * y - np.sin(wave) @ K / 8),
        "swirl": y + np.sin(wave) @ V / 6,
        "noise": y + 0.3 * g.normal(size=(N, dim)),
        "far": 5 + g.normal(size=(M or N, dim)) * np.linspace(0.2, 2, dim),
    }[kind]
    paired = kind in ("jko", "swirl", "noise")
    b = np.ones(N) if equal else g.uniform(0.1, 2, N)
    a = b if paired else np.ones(len(x)) if equal else g.uniform(0.1, 2, len(x))
    return x, a / a.sum(), y, b / b.sum()


def assert_proved(found, x, a, y, b) -> None:
    """Marginals, feasibility of the potentials for every pair, and no gap."""
    rows, cols = found.plan.marginals()
    np.testing.assert_allclose(rows, a, rtol=0, atol=1e-14)
    np.testing.assert_allclose(cols, b, rtol=0, atol=1e-14)
    assert (found.plan.mass > 0).all()
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    assert (cost - found.alpha[:, None] - found.beta).min() >= -1e-13 * cost.max()
    assert 0 <= found.gap <= 1e-12 * found.squared
    assert found.squared - a @ found.alpha - b @ found.beta == pytest.approx(
        0, abs=1e-12 * cost.max()
    )


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("N", "dim"), [(200, 3), (700, 2), (150, 1), (120, 12)])
def test_transport_equals_dense_simplex(kind: str, equal: bool, N: int, dim: int) -> None:
    x, a, y, b = clouds(kind, N, dim, equal)
    found = transport(x, a, y, b)
    assert found.squared == pytest.approx(referee(x, a, y, b)[0], rel=EXACT)
    assert_proved(found, x, a, y, b)


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize(("N", "M", "dim"), [(1, 7, 2), (60, 91, 3), (50, 20, 1), (600, 800, 2)])
def test_numbers_of_atoms_may_differ(N: int, M: int, dim: int, equal: bool) -> None:
    x, a, y, b = clouds("random", N, dim, equal, M=M)
    found = transport(x, a, y, b)
    assert found.squared == pytest.approx(referee(x, a, y, b)[0], rel=EXACT)
    assert_proved(found, x, a, y, b)


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 3])
def test_translation_far_from_the_origin_costs_no_accuracy(
    kind: str, equal: bool, dim: int
) -> None:
    x, a, y, b = clouds(kind, 200, dim, equal)
    # multiples of 2^-30 shift without rounding, so the two answers are one number
    x, y = np.rint(x * 2**30) / 2**30, np.rint(y * 2**30) / 2**30
    shifted = transport(x + 1024.0, a, y + 1024.0, b)
    assert shifted.squared == pytest.approx(transport(x, a, y, b).squared, rel=EXACT)
    assert shifted.gap <= 1e-12 * max(shifted.squared, 1e-3)


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize(("N", "dim"), [(200, 1), (600, 3), (100, 12)])
def test_tiny_displacements_keep_relative_accuracy(
    N: int, dim: int, shift: float, equal: bool
) -> None:
    """The dense simplex is no referee here (its tolerance is above the cost): exact rational arithmetic is."""
    _, a, y, b = clouds("noise", N, dim, equal)
    y = y + shift
    x = y + 1e-7 * np.random.default_rng(1).normal(size=y.shape)
    exact = sum(
        Fraction(m) * sum((Fraction(p) - Fraction(q)) ** 2 for p, q in zip(u, v, strict=True))
        for m, u, v in zip(a.tolist(), x.tolist(), y.tolist(), strict=True)
    )
    found = transport(x, a, y, b)
    assert found.plan.is_permutation
    assert found.squared == pytest.approx(float(exact), rel=EXACT, abs=0)
    assert found.gap <= 1e-9 * found.squared if dim == 1 else found.gap <= EXACT * found.squared


def test_equal_weights_give_a_permutation() -> None:
    for N in (3, 7, 49, 600):
        x, a, y, b = clouds("random", N, 2, equal=True)
        assert transport(x, a, y, b).plan.is_permutation


def test_mass_splits_where_weights_differ() -> None:
    x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    m = np.array([1 / 3, 2 / 3])
    found = transport(x, m, y, m)
    assert found.squared == pytest.approx(1 / 3, rel=1e-15)
    np.testing.assert_allclose(found.plan.to_dense(), [[0, 1 / 3], [1 / 3, 1 / 3]], atol=1e-15)


def test_masses_that_nearly_balance_are_still_exact() -> None:
    g = np.random.default_rng(3)
    x, y = g.normal(size=(40, 2)), g.normal(size=(40, 2))
    a, b = np.full(40, 1 / 40), np.full(40, 1 / 40) * (1 + 1e-11 * g.normal(size=40))
    b /= b.sum()
    found = transport(x, a, y, b)
    assert found.squared == pytest.approx(referee(x, a, y, b)[0], rel=EXACT)
    assert found.gap <= EXACT


def test_very_unequal_masses() -> None:
    g = np.random.default_rng(4)
    x, y = g.normal(size=(50, 2)), g.normal(size=(30, 2))
    a, b = 10 ** g.uniform(-9, 0, 50), 10 ** g.uniform(-9, 0, 30)
    a, b = a / a.sum(), b / b.sum()
    found = transport(x, a, y, b)
    assert found.squared == pytest.approx(referee(x, a, y, b)[0], rel=EXACT)


def test_coincident_atoms_cost_nothing() -> None:
    y = np.repeat(np.arange(6.0).reshape(3, 2), 4, axis=0)
    m = np.full(12, 1 / 12)
    found = transport(y[::-1].copy(), m, y, m)
    assert found.squared == 0
    assert found.gap == 0


@pytest.mark.parametrize("name", ["lattice", "duplicates"])
def test_ties_and_coincident_atoms_stay_exact(name: str) -> None:
    g = np.random.default_rng(0)
    if name == "lattice":
        y = np.stack(np.meshgrid(np.arange(25.0), np.arange(25.0)), -1).reshape(-1, 2)
        x = y[::-1] + 0.5
    else:
        y = np.repeat(g.normal(size=(25, 2)), 25, axis=0)
        x = g.permutation(y) + 0.1
    m = np.full(625, 1 / 625)
    found = transport(x, m, y, m)
    assert found.squared == pytest.approx(referee(x, m, y, m)[0], rel=EXACT)
    assert found.gap <= EXACT * found.squared


def test_same_input_gives_the_same_bits() -> None:
    problem = clouds("noise", 700, 3, equal=False)
    one, two = transport(*problem), transport(*problem)
    assert np.array_equal(one.plan.mass, two.plan.mass)
    assert np.array_equal(one.alpha, two.alpha)
    assert one.squared == two.squared


def test_referee_refuses_a_matrix_beyond_memory() -> None:
    x, m = np.zeros((5000, 1)), np.full(5000, 1 / 5000)
    with pytest.raises(ValueError, match="5000 x 5000"):
        referee(x, m, x, m)


def test_mismatched_masses_are_a_sentence_not_an_assertion() -> None:
    from jko.metrics.simplex import network_simplex
    from jko.metrics.supplies import Supplies

    x, zero = np.zeros((2, 1)), np.zeros(2)
    arcs = np.array([0, 1])
    with pytest.raises(RuntimeError, match="POT's network simplex"):
        network_simplex(x, x, Supplies(np.ones(2), 2 * np.ones(2)), arcs, arcs, zero, zero)


# ------------------------------------------------------------------------------------------------ plans


def test_barycentres_are_conditional_means_both_ways() -> None:
    plan = Plan(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.25, 0.25, 0.5]), (2, 2))
    y = np.array([[0.0], [4.0]])
    np.testing.assert_array_equal(plan.barycentres(y), [[2.0], [4.0]])
    np.testing.assert_allclose(plan.transposed.barycentres(y), [[0.0], [8 / 3]], rtol=1e-15)


def test_barycentres_of_a_permutation_are_the_partners_without_rounding() -> None:
    g = np.random.default_rng(0)
    y, order, m = 1e3 + g.normal(size=(50, 3)), g.permutation(50), g.uniform(size=50)
    plan = Plan(np.arange(50), order, m, (50, 50))
    assert np.array_equal(plan.barycentres(y), y[order])
    assert plan.is_permutation


@given(
    st.lists(st.floats(1e-6, 1), min_size=1, max_size=9),
    st.lists(st.floats(1e-6, 1), min_size=1, max_size=9),
)
@settings(max_examples=60, deadline=None)
def test_staircase_is_a_coupling_of_whole_numbers(a: list[float], b: list[float]) -> None:
    masses = supplies(np.array(a), np.array(b))
    rows, cols, flow = staircase(*masses)
    assert np.array_equal(np.bincount(rows, flow, len(a)), masses.a)
    assert np.array_equal(np.bincount(cols, flow, len(b)), masses.b)
    assert flow.min() >= 0
    assert masses.a.sum() == masses.b.sum()


def test_pricing_finds_the_deficit_of_every_column() -> None:
    g = np.random.default_rng(0)
    for shift in (0.0, 300.0):
        x, y = shift + g.normal(size=(900, 3)), shift + g.normal(size=(700, 3))
        alpha, beta = 0.1 * g.normal(size=900), 0.1 * g.normal(size=700)
        violation = alpha[:, None] + beta - ((x[:, None] - y) ** 2).sum(-1)
        found = price(x, y, alpha, beta)
        np.testing.assert_allclose(found.deficit, np.maximum(0, violation.max(0)), atol=1e-12)
        assert (violation[found.rows, found.cols] > 0).all()
        assert set(np.flatnonzero(violation.max(0) > 1e-12)) <= set(found.cols)


# ------------------------------------------------------------------------------------------- certificates


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    """W2^2 with equal weights, over all permutations."""
    N = len(x)
    cost = ((x[:, None] - y) ** 2).sum(-1)
    return min(cost[range(N), list(p)].sum() for p in itertools.permutations(range(N))) / N


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 3), st.floats(1e-3, 3))
@settings(max_examples=150, deadline=None)
def test_certificates_are_never_wrong(seed: int, N: int, dim: int, size: float) -> None:
    g = np.random.default_rng(seed)
    y = g.normal(size=(N, dim))
    x = y + size * g.normal(size=(N, dim))
    potential = size * g.normal(size=N)
    m = np.full(N, 1 / N)
    best, cost = brute_force(x, y), ((x - y) ** 2).sum(1).mean()
    proofs = [certify(x, y, m, potential), certify(x, y, m), by_assignment(x, y, m)]
    proofs += [by_potential(x, y, m, potential), certify_plan(x, y, m, Plan.identity(m))]
    for proof in proofs:
        assert cost - best <= proof.bound + 1e-12 * cost
        if proof.optimal:
            assert cost - best <= 1e-9 * cost
        if proof.plan is not None:
            assert proof.plan.cost(x, y) == pytest.approx(best, rel=1e-9)
    for decided in (proofs[0], proofs[1], proofs[2], proofs[4]):
        assert decided.optimal == (cost - best <= 1e-10 * cost)
    if small_displacement(x, y):
        assert cost == pytest.approx(best, rel=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(1e-3, 3))
@settings(max_examples=60, deadline=None)
def test_bounds_hold_for_unequal_weights(seed: int, N: int, size: float) -> None:
    g = np.random.default_rng(seed)
    y = g.normal(size=(N, 2))
    x = y + size * g.normal(size=(N, 2))
    m = g.uniform(0.1, 1, N)
    m /= m.sum()
    best, cost = referee(x, m, y, m)[0], float(m @ ((x - y) ** 2).sum(1))
    for proof in (by_potential(x, y, m, size * g.normal(size=N)), certify(x, y, m)):
        assert cost - best <= proof.bound + 1e-12 * cost
        assert not proof.optimal or cost - best <= 1e-9 * cost


def jko_step(N: int, dim: int, tau: float, seed: int = 0):
    """An implicit step x = y - tau grad phi(x): x, y and the potential tau phi(x)."""
    g = np.random.default_rng(seed)
    x = g.normal(size=(N, dim))
    K, phase = g.normal(size=(8, dim)) / np.sqrt(dim), g.uniform(0, 6.3, 8)
    wave = x @ K.T + phase
    phi, gradient = np.cos(wave).mean(1), -np.sin(wave) @ K / 8
    return x, x + tau * gradient, tau * phi


@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize(("dim", "tau"), [(2, 0.5), (6, 1.0), (32, 1.0)])
def test_potential_of_a_step_certifies_its_coupling(dim: int, tau: float, shift: float) -> None:
    x, y, potential = jko_step(1000, dim, tau)
    g = np.random.default_rng(2)
    for m in (np.full(1000, 1e-3), g.dirichlet(np.ones(1000))):
        proof = by_potential(x + shift, y + shift, m, potential + shift)
        assert proof.optimal
        assert proof.bound <= 1e-12 * max(1, shift) * proof.cost


def test_wrong_potential_proves_nothing() -> None:
    x, y, potential = jko_step(300, 2, 0.5)
    assert not by_potential(x, y, np.full(300, 1 / 300), -potential).optimal


def test_cheapest_proof_comes_first() -> None:
    m = np.full(300, 1 / 300)
    x, y, potential = jko_step(300, 2, 1e-4)
    assert certify(x, y, m, potential).proof is Proof.NEAREST
    x, y, potential = jko_step(300, 2, 0.5)
    assert certify(x, y, m, potential).proof is Proof.POTENTIAL
    assert certify(x, y, m).proof is Proof.ASSIGNMENT
    m = np.random.default_rng(0).dirichlet(np.ones(300))
    assert certify(x, y, m).proof is Proof.SIMPLEX
    x, y, potential = jko_step(300, 1, 0.5)
    assert certify(x, y, m).proof is Proof.LINE


def test_assignment_refuses_unequal_weights() -> None:
    with pytest.raises(ValueError, match="equal"):
        by_assignment(np.zeros((2, 2)), np.zeros((2, 2)), np.array([0.4, 0.6]))


def test_a_plan_is_certified_against_the_best() -> None:
    x, a, y, _ = clouds("swirl", 80, 2, equal=False)
    best = transport(x, a, y, a).plan
    assert certify_plan(x, y, a, best).optimal
    worse = certify_plan(x, y, a, Plan.identity(a))
    assert not worse.optimal
    assert worse.plan is not None
    above = worse.cost - worse.plan.cost(x, y)
    assert above <= worse.bound <= above + 2e-10 * worse.cost  # what "exact" leaves open


def test_clouds_in_parts_that_balance_each_other_exactly():
    # square waves against both values at each theta: two sheets far apart, of 512 and 1024 atoms with tied masses
    cells = 512
    theta = (np.arange(cells) + 0.5) / cells
    wave = np.stack([1.0 - 2.0 * (np.floor(4 * theta) % 2), theta], axis=1)
    sheets = np.concatenate([np.stack([s * np.ones(cells), theta], axis=1) for s in (1.0, -1.0)])
    a, b = np.full(cells, 1 / cells), np.full(2 * cells, 0.5 / cells)
    found = transport(wave, a, sheets, b)
    assert abs(found.squared - (1 / 2) ** 2 / 12) < 1e-5
    assert found.gap < 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_a_potential_that_is_nearly_right_is_raised_to_one_that_proves(seed):
    """x + grad p(x) = y with p + |x|^2 / 2 convex: the index coupling is optimal, and p proves it; a bent p nearly."""
    rng = np.random.default_rng(seed)
    N, dim = int(rng.integers(2, 60)), int(rng.integers(1, 5))
    x = rng.normal(size=(N, dim)) * 10.0 ** rng.uniform(-1, 1)
    y, p = x + 0.3 * x**3, 0.075 * (x**4).sum(1)
    squares = ((x[:, None] - y[None]) ** 2).sum(-1)  # of new atom j and old atom i

    def short(p):  # how far p_j lies below what atom i asks of it
        return p[None, :] + (squares.diagonal()[None, :] - squares) / 2 - p[:, None]

    room = -(short(p) - 1e300 * np.eye(N)).max(1)  # of each atom
    bent = p + 2 * room.min() * rng.normal(size=N)
    found = repaired(all_costs(y, x), bent)
    assert found is not None
    assert short(found).max() <= 1e-12 * (np.abs(found).max() + squares.max())
    assert (found >= bent - np.median(bent) - 1e-12 * np.abs(bent).max()).all()
    assert repaired(all_costs(y, x), p) is not None
    swapped = y.copy()
    swapped[[0, 1]] = y[[1, 0]]  # no potential proves what is not optimal
    assert repaired(all_costs(swapped, x), p) is None
    certificate = certify(x, swapped, np.full(N, 1 / N), p)
    assert certificate.plan is not None or not certificate.optimal
