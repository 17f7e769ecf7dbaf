"""Claim: the screened bound is that of the potential, as coordinate differences give it, and never below the gap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from whole_numbers import KINDS, clouds, truth

import jko
from jko.metrics import (
    Proof,
    by_assignment,
    by_potential,
    certify,
    repair,
    screening,
    small_displacement,
    transport,
)
from jko.metrics.couplings import all_costs
from jko.metrics.pricing import costs_for
from jko.metrics.repair import repaired
from jko.metrics.screening import parts, screened

SEEDS = st.integers(0, 10**6)


def exact_bound(x, y, m, p) -> Fraction:
    """``2 sum_i m_i max_j violation_ij`` in rational arithmetic."""
    X, Y = ([[Fraction(v) for v in row] for row in cloud.tolist()] for cloud in (x, y))
    P = [Fraction(v) for v in p.tolist()]

    def half(u, v):
        return sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) / 2

    total = Fraction(0)
    for i, mass in enumerate(m.tolist()):
        top = max(P[i] - P[j] - half(X[j], Y[i]) for j in range(len(X)))
        total += 2 * Fraction(mass) * (half(X[i], Y[i]) + top)
    return total


def paired(x, y):
    """The best pairing of two clouds, and the potential that proves it, tight on a spanning tree of pairs."""
    m = np.full(len(x), 1 / len(x))
    best = transport(x, m, y, m)
    return y[best.plan.cols[np.argsort(best.plan.rows)]], -0.5 * best.alpha


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that few atoms fill several."""
    shrink(monkeypatch)


def shrink(patch: pytest.MonkeyPatch) -> None:
    for name, value in (("HEIGHT", 3), ("WIDTH", 4), ("PART", 5), ("FIRST", 2)):
        patch.setattr(screening, name, value)


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("dim", [2, 7, 30])
@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-9, 1e-7, 1e-5, 0.1])
def test_violations_below_single_precision_are_counted(size, dim, precision, small_blocks) -> None:
    """A potential that is tight, but for changes that float32 sees, nearly sees, or does not see."""
    g = np.random.default_rng(dim)
    x = g.normal(size=(24, dim))
    y, p = paired(x, x + 0.5 * g.normal(size=x.shape))
    m = g.dirichlet(np.ones(24))
    p = p + size * g.normal(size=24)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = screened(x, y, m, p).bound
    finally:
        torch.set_float32_matmul_precision(before)
    exact = exact_bound(x, y, m, p)
    assert exact <= Fraction(found) <= exact + Fraction(1, 10**13) * (1 + exact)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [1, 2, 12])
def test_products_are_above_every_violation_and_not_far(dim, precision, monkeypatch) -> None:
    """Each pair, in extended precision: rows and columns far from the origin and near it, moves long and short."""
    unit = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}[precision]
    monkeypatch.setattr(screening, "_precision", lambda: (unit, precision))
    g = np.random.default_rng(dim)
    for _ in range(30):
        x, y = (0.1 * g.uniform(-1, 1, (60, dim)) * 10.0 ** g.uniform(-9, 0, (60, 1)) for _ in "xy")
        x[::2] = y[::2] + x[::2] * 1e-3
        own, p = ((x - y) ** 2).sum(1), 0.01 * g.normal(size=60) * 10.0 ** g.uniform(-20, 0, 60)
        room = torch.empty(screening.HEIGHT * screening.WIDTH, dtype=precision)
        found = screening.Violations(x, y, own, p, 0, 60, room)
        ((_, _, block, shares),) = found._blocks(np.arange(60))
        X, Y, P = (v.astype(np.longdouble) for v in (x, y, p))
        half = ((X[None] - Y[:, None]) ** 2).sum(-1) / 2
        right = half.diagonal()[:, None] - half + P[:, None] - P
        above = block.numpy().astype(np.longdouble) + found.offset[:, None] - right
        np.fill_diagonal(above, 0)
        assert above.min() >= 0
        assert (above <= 2.0001 * (found.share[:, None] + shares)).all()


@given(
    seed=SEEDS,
    kind=st.sampled_from([*KINDS, "plain"]),
    n=st.integers(1, 14),
    dim=st.sampled_from([1, 2, 3, 9, 20]),
    known=st.sampled_from(["tight", "nearly", "random", "zero"]),
    blocks=st.booleans(),
)
@pytest.mark.fuzz
@settings(max_examples=examples(120))
def test_no_bound_is_ever_below_the_gap(seed, kind, n, dim, known, blocks) -> None:
    """At mixed scales and far from the origin, in rational arithmetic, without a tolerance."""
    g = np.random.default_rng(seed)
    x, y = clouds(g, kind, n, dim)
    y, p = paired(x, y)
    if g.random() < 0.4 and n > 1:  # not the best pairing, but near it
        i, j = g.choice(n, 2, replace=False)
        y[[i, j]] = y[[j, i]]
    size = float(np.abs(x).max())
    if known == "nearly":
        p = p * (1 + 10.0 ** g.uniform(-16, 0) * g.normal(size=n))
    elif known != "tight":
        p = (known == "random") * size * size * 10.0 ** g.uniform(-9, 0) * g.normal(size=n)
    m = np.full(n, 1 / n)
    own = sum(
        (Fraction(a) - Fraction(b)) ** 2
        for a, b in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
    )
    least = truth(x, y)[0] * n
    gap = Fraction(m[0]) * (own - least)
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            shrink(patch)
        proofs = [certify(x, y, m, p), certify(x, y, m), by_potential(x, y, m, p)]
        proofs.append(by_assignment(x, y, m))
        assert gap <= Fraction(screened(x, y, m, p).bound)
    for proof in proofs:
        assert gap <= Fraction(proof.bound)
        assert not proof.optimal or gap <= Fraction(1.0001e-10) * Fraction(m[0]) * own


def step(N: int, dim: int, seed: int = 0):
    """An implicit step ``x = y - grad p(x)``: x, y and p."""
    g = np.random.default_rng(seed)
    x = g.normal(size=(N, dim))
    K, phase = g.normal(size=(8, dim)) / np.sqrt(dim), g.uniform(0, 6.3, 8)
    wave = x @ K.T + phase
    return x, x - np.sin(wave) @ K / 8, np.cos(wave).mean(1)


@pytest.mark.parametrize("N", [50, 1100, 3000])
@pytest.mark.parametrize("shift", [0.0, 1e4])
@pytest.mark.parametrize("dim", [2, 12])
def test_a_step_is_proved_by_its_potential_with_no_doubt_left(N, dim, shift) -> None:
    x, y, p = step(N, dim)
    m = np.random.default_rng(1).dirichlet(np.ones(N))
    found = screened(x + shift, y + shift, m, p + shift).bound
    assert found <= 1e-14 * max(1.0, shift) ** 2
    assert certify(x + shift, y + shift, m, p + shift).proof in (Proof.POTENTIAL, Proof.NEAREST)


@pytest.mark.parametrize("s", [0.5, 0.75])
def test_parts_of_the_potential_prove_what_the_whole_does_not(s: float) -> None:
    """An inexact step that moves less than its potential says."""
    x, y, p = step(1000, 3)
    m = np.full(1000, 1e-3)
    assert not by_potential(x, y, m, p / s).optimal
    assert not small_displacement(x, y)
    found = certify(x, y, m, p / s)
    assert found.optimal
    assert found.proof is Proof.POTENTIAL
    assert found.bound <= 1e-14


def test_what_is_not_optimal_is_found_out_by_the_longest_moves(monkeypatch) -> None:
    x, y, p = step(5000, 3)
    far = int(((x - y) ** 2).sum(1).argmax())
    near = int(np.argsort(((x - x[far]) ** 2).sum(1))[1])
    y[[far, near]] = y[[near, far]]
    looked = []
    largest = screening.Violations.largest
    monkeypatch.setattr(
        screening.Violations, "largest", lambda rows: looked.append(len(rows.left)) or largest(rows)
    )
    bound, seen = screened(x, y, np.full(5000, 1 / 5000), p, 1e-10)
    assert bound == np.inf
    assert seen > 1e-10
    assert sum(looked) <= 64


def test_parts_are_all_atoms_once() -> None:
    points = np.random.default_rng(0).normal(size=(1000, 3))
    found = parts(points, 100)
    assert max(map(len, found)) <= 100
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(1000))
    assert len(parts(np.zeros((300, 2)), 100)) == 4


def test_coincident_atoms_leave_no_doubt() -> None:
    x = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 200, axis=0)
    m = np.full(600, 1 / 600)
    assert screened(x + 0.25, x, m, np.zeros(600)).bound <= 1e-14
    assert certify(x + 0.25, x, m, np.zeros(600)).optimal


def test_a_potential_that_is_no_number_proves_nothing() -> None:
    x, y, p = step(20, 3)
    m = np.full(20, 0.05)
    for value in (np.nan, np.inf, 1e308):
        p[3] = value
        assert not by_potential(x, y, m, p).optimal
        p[4] = -value
        assert not by_potential(x, y, m, p).optimal


@given(seed=SEEDS, n=st.integers(2, 40), dim=st.integers(1, 4), swap=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_potential_is_repaired_if_and_only_if_the_coupling_is_optimal(seed, n, dim, swap) -> None:
    g = np.random.default_rng(seed)
    x = g.normal(size=(n, dim))
    y, p = paired(x, x + 0.3 * g.normal(size=(n, dim)))
    if swap:
        y[:2] = y[1::-1].copy()
    costs = all_costs(y, x)
    gap = float(costs.diagonal().sum() - costs[linear_sum_assignment(costs)].sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repair, "WORK", n)  # as long as paths can be
        found = repaired(costs, p + 0.01 * g.normal(size=n))
    assert (found is None) == (gap > 1e-9)
    if found is not None:
        short = found[:, None] + (costs.diagonal()[:, None] - costs) / 2 - found
        assert short.max() <= 1e-12


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e7])
def test_costs_come_from_products_only_where_these_are_safe(shift: float) -> None:
    x, y, _ = step(100, 12)
    x, y = x + shift, y + shift
    right = all_costs(y, x)
    for limit in (1e-6, 1e-14):
        costs, error = costs_for(x, y, limit)
        assert np.abs(costs - right).max() <= error + 1e-15 * right.max()
        assert 20 * error <= limit
    x, y = x - shift, y - shift
    m = np.full(100, 0.01)
    assert by_assignment(x, y, m, *costs_for(x, y, 1e-9)).optimal


# ------------------------------------------------------------------------------------- steps of training


def training(seed: int, n: int, N: int) -> tuple[jko.Energy, jko.Particles]:
    """A random network with random data, and its neurons."""
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(30, n, generator=g, dtype=torch.float64)
    data = jko.Data(inputs, torch.sin(2 * inputs[:, 0]))
    energy = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 1e-3 * jko.SquaredNorm()
    return energy, jko.Particles(torch.randn(N, n + 2, generator=g, dtype=torch.float64))


@pytest.mark.parametrize("tau", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("fraction", [0.1, 0.9, 5.0])
def test_the_bounds_of_training_steps_hold(tau: float, fraction: float) -> None:
    """Against the exact gap by an assignment of its own; what is said to be optimal is."""
    for seed, n in enumerate((1, 3, 12)):
        energy, mu = training(seed, n, 100)
        seen = []

        def look(k, t, result, seen=seen):
            x, y = result.state.points.numpy(), result.problem.base.points.numpy()
            p = result.problem.tau * result.problem.energy.variation(result.state).numpy()
            seen.append((x, y, p))

        solver = jko.LBFGS(fraction=fraction, examine=False)
        jko.flow(energy, mu, tau=tau, steps=4, solver=solver, observers=[look])
        for x, y, p in seen:
            m, costs = np.full(100, 0.01), all_costs(x, y)
            cost, best = costs.diagonal().mean(), costs[linear_sum_assignment(costs)].mean()
            proofs = [certify(x, y, m, p), certify(x, y, m)]
            proofs += [by_potential(x, y, m, s * p) for s in (0.0, 0.5, 0.75, 1.0)]
            for proof in proofs:
                assert cost - best <= proof.bound + 1e-13 * cost
                assert not proof.optimal or cost - best <= 1.0001e-10 * cost
            for decided in proofs[:2]:
                assert decided.optimal == (cost - best <= 1e-10 * cost)
            assert not small_displacement(x, y) or proofs[0].proof is Proof.NEAREST or n > 6
