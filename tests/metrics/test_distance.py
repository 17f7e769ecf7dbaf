"""Claim: ``jko.distance`` is a metric on states, D of Remark 3.4 is W2 of the lifts, and geodesics are straight."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jko import ChargedParticles, GraphWasserstein, Particles, Wasserstein, distance, geodesic
from jko.metrics import referee

SEEDS = st.integers(0, 10**6)


def cloud(g: np.random.Generator, dim: int, equal: bool) -> Particles:
    N = int(g.integers(1, 8))
    return Particles(
        g.normal(size=(N, dim)), None if equal else g.dirichlet(np.ones(N)) * 0.9 + 0.1 / N
    )


# ------------------------------------------------------------------------------------------- W2


@given(SEEDS, st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_distance_is_symmetric(seed: int, dim: int, equal: bool) -> None:
    g = np.random.default_rng(seed)
    a, b = cloud(g, dim, equal), cloud(g, dim, equal)
    assert distance(a, b).squared == pytest.approx(distance(b, a).squared, rel=1e-12)


@given(SEEDS, st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_triangle_inequality_holds(seed: int, dim: int, equal: bool) -> None:
    g = np.random.default_rng(seed)
    a, b, c = (cloud(g, dim, equal) for _ in range(3))
    assert distance(a, c).value <= distance(a, b).value + distance(b, c).value + 1e-12


@given(SEEDS, st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_order_of_atoms_does_not_matter(seed: int, dim: int, equal: bool) -> None:
    g = np.random.default_rng(seed)
    a, b = cloud(g, dim, equal), cloud(g, dim, equal)
    order = torch.from_numpy(g.permutation(a.N))
    shuffled = Particles(a.points[order], a.weights[order])
    assert distance(shuffled, b).squared == pytest.approx(distance(a, b).squared, rel=1e-12)
    assert distance(shuffled, a).value <= 1e-7


@given(SEEDS, st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_translation_adds_its_square_and_twice_the_mean_displacement(
    seed: int, dim: int, equal: bool
) -> None:
    g = np.random.default_rng(seed)
    a, b = cloud(g, dim, equal), cloud(g, dim, equal)
    c = torch.from_numpy(g.normal(size=dim))
    moved = distance(Particles(a.points + c, a.weights), b).squared
    expected = distance(a, b).squared + float(c @ c + 2 * c @ (a.mean() - b.mean()))
    assert moved == pytest.approx(expected, abs=1e-12)


@given(SEEDS, st.integers(1, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_distance_equals_the_referee(seed: int, dim: int, equal: bool) -> None:
    g = np.random.default_rng(seed)
    a, b = cloud(g, dim, equal), cloud(g, dim, equal)
    arrays = (t.numpy() for t in (a.points, a.weights, b.points, b.weights))
    found = distance(a, b)
    assert found.squared == pytest.approx(referee(*arrays)[0], rel=1e-12)
    assert found.gap <= 1e-12 * max(1.0, found.squared)


def test_potentials_bound_the_distance_from_below() -> None:
    g = np.random.default_rng(0)
    a, b = Particles(g.normal(size=(40, 2))), Particles(g.normal(size=(60, 2)))
    found = distance(a, b)
    alpha, beta = found.potentials
    assert a.weights.numpy() @ alpha + b.weights.numpy() @ beta == pytest.approx(
        found.squared, rel=1e-12
    )
    assert float(found) == found.value == math.sqrt(found.squared)
    assert "gap" in repr(found)


def test_single_precision_states_have_a_distance() -> None:
    a = Particles(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]))
    b = Particles(torch.tensor([[0.0, 3.0], [1.0, 3.0], [2.0, 4.0]]))
    assert distance(a, b).value == pytest.approx(3.0, rel=1e-6)


def test_cost_is_the_index_coupling_with_a_gradient() -> None:
    g = torch.Generator().manual_seed(0)
    base = Particles.normal(20, 3, generator=g)
    points = (base.points + 0.1).requires_grad_()
    cost = Wasserstein().cost(base.moved(points), base)
    assert float(cost.detach()) == pytest.approx(0.03, rel=1e-12)
    (gradient,) = torch.autograd.grad(cost, points)
    torch.testing.assert_close(gradient, 2 * base.weights[:, None] * (points - base.points))
    lifted = GraphWasserstein().cost(base.moved(points), base)
    assert lifted.requires_grad


# -------------------------------------------------------------------------------------------- D


def test_D_between_diracs() -> None:
    a, b = ChargedParticles([[1.0, 2.0]], [0.5]), ChargedParticles([[0.0, 4.0]], [-1.5])
    assert distance(a, b).squared == pytest.approx(1 + 4 + 4, rel=1e-15)


def test_D_of_a_translation() -> None:
    g = np.random.default_rng(0)
    theta, H, m = g.normal(size=(30, 2)), g.normal(size=30), g.dirichlet(np.ones(30))
    c, k = np.array([3.0, -4.0]), 2.0
    a, b = ChargedParticles(theta, H, m), ChargedParticles(theta + c, H + k, m)
    assert distance(a, b).squared == pytest.approx(25 + 4, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.3), (0.3, 1.0), (2.0, 5.0)])
def test_D_of_a_swap_moves_what_is_cheaper(a: float, b: float) -> None:
    theta = [[-a], [a]]
    one, two = ChargedParticles(theta, [b, -b]), ChargedParticles(theta, [-b, b])
    assert distance(one, two).squared == pytest.approx(4 * min(a * a, b * b), rel=1e-15)


def test_D_is_W2_of_the_lifts() -> None:
    g = np.random.default_rng(1)
    a = ChargedParticles(g.normal(size=(25, 2)), g.normal(size=25), g.dirichlet(np.ones(25)))
    b = ChargedParticles(g.normal(size=(40, 2)), g.normal(size=40))
    lifts = distance(a.lift(), b.lift()).squared
    assert distance(a, b).squared == pytest.approx(lifts, rel=1e-14)
    assert GraphWasserstein().distance(a, b).value == distance(a, b).value


# ------------------------------------------------------------------------------------------ geodesics


@given(SEEDS, st.integers(1, 3), st.booleans(), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_geodesic_divides_the_distance(seed: int, dim: int, equal: bool, t: float) -> None:
    g = np.random.default_rng(seed)
    a, b = cloud(g, dim, equal), cloud(g, dim, equal)
    middle, whole = geodesic(a, b, t), distance(a, b).value
    assert distance(a, middle).value == pytest.approx(t * whole, abs=1e-7)
    assert distance(middle, b).value == pytest.approx((1 - t) * whole, abs=1e-7)


def test_geodesic_along_a_permutation_keeps_atoms_and_order() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = Particles.normal(50, 2, generator=g), Particles.normal(50, 2, generator=g)
    assert torch.equal(geodesic(a, b, 0.0).points, a.points)
    assert torch.equal(geodesic(a, b, 0.5).weights, a.weights)
    assert geodesic(a, b, 1.0).N == 50


def test_geodesic_between_pairs_may_leave_the_graphs() -> None:
    a, b = 0.5, 2.0
    theta = [[-a], [a]]
    middle = geodesic(ChargedParticles(theta, [b, -b]), ChargedParticles(theta, [-b, b]), 0.5)
    assert isinstance(middle, Particles)
    assert sorted(middle.points.tolist()) == [[-b, 0.0], [b, 0.0]]
    pair = middle.project()
    assert pair.N == 1
    assert pair.H.tolist() == [0.0]


# ------------------------------------------------------------------------------------------ bad input


def test_two_kinds_of_state_point_to_the_lift() -> None:
    pair = ChargedParticles([[0.0]], [1.0])
    with pytest.raises(TypeError, match=r"\.lift\(\)"):
        distance(pair, pair.lift())
    with pytest.raises(TypeError, match=r"\.lift\(\)"):
        Wasserstein().distance(pair, pair)
    with pytest.raises(TypeError, match=r"\.project\(\)"):
        GraphWasserstein().distance(pair.lift(), pair.lift())


def test_different_spaces_are_refused_by_name() -> None:
    a, b = Particles([[0.0]]), Particles([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"a has dimension 1 but b has dimension 2"):
        distance(a, b)
    with pytest.raises(
        ValueError, match=r"a has dtype torch.float64 but b has dtype torch.float32"
    ):
        distance(a, Particles(torch.zeros(1, 1)))


def test_index_coupling_needs_equal_numbers() -> None:
    with pytest.raises(ValueError, match="2 atoms"):
        Wasserstein().cost(Particles([[0.0], [1.0]]), Particles([[0.0]]))


@pytest.mark.parametrize("t", [-0.1, 1.5, math.nan])
def test_geodesic_times_are_between_zero_and_one(t: float) -> None:
    a = Particles([[0.0]])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        geodesic(a, a, t)


def test_a_pot_without_its_simplex_is_named_with_what_helps(monkeypatch):
    monkeypatch.delattr("ot.lp.emd_wrap.emd_c_sparse")
    with pytest.raises(
        ImportError, match=r"has no ot\.lp\.emd_wrap\.emd_c_sparse, .*pip install 'POT>=0"
    ):
        distance(
            Particles([[0.0, 1.0], [1.0, 3.0], [5.0, 2.0]]), Particles([[0.5, 0.0], [2.0, 9.0]])
        )
