"""States are probability measures; a pair (rho, H) is its graph lift, and project() undoes lift()."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko


def cloud(N: int, dim: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, dim, generator=generator, dtype=torch.float64)


def random_weights(N: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
    return weights / weights.sum()


def test_integrate_is_the_weighted_sum_and_blocks_do_not_change_it():
    mu = jko.Particles(cloud(17, 3), random_weights(17))
    values = mu.points**2
    expected = sum(mu.weights[i] * values[i] for i in range(17))
    blocked = mu.integrate_blocks(lambda block: block.integrate(block.points**2), rows=5)
    assert torch.allclose(mu.integrate(values), expected, rtol=1e-14)
    assert torch.allclose(blocked, expected, rtol=1e-14)


@pytest.mark.parametrize("weights", [None, random_weights(9)])
def test_inner_is_the_integral_of_the_scalar_product(weights):
    mu = jko.Particles(cloud(9, 4), weights)
    u, v = cloud(9, 4, 1), cloud(9, 4, 2)
    assert float(mu.inner(u, v)) == pytest.approx(float(mu.integrate((u * v).sum(-1))), rel=1e-14)


@pytest.mark.parametrize("weights", [None, random_weights(9)])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 8), (8, 3), (0, 4)])
def test_products_are_the_inner_products_of_each_with_each(weights, k, n):
    mu = jko.Particles(cloud(9, 4), weights)
    left, right = cloud(k * 9, 4, 1).view(k, 9, 4), cloud(n * 9, 5, 2).view(n, 9, 5)[:, :, :4]
    expected = mu.integrate((left[:, None] * right).sum(-1).permute(2, 0, 1))
    assert mu.products(left, right).shape == (k, n)
    assert torch.allclose(mu.products(left, right), expected, rtol=1e-14, atol=1e-14)


def test_mean_and_covariance_are_those_of_the_atoms():
    mu = jko.Particles([[0.0, 1.0], [2.0, 1.0]], [0.25, 0.75])
    assert mu.mean().tolist() == [1.5, 1.0]
    assert mu.covariance().tolist() == [[0.75, 0.0], [0.0, 0.0]]
    assert float(mu.mass) == 1.0


def test_numpy_lists_and_tensors_give_the_same_float64_state():
    points = cloud(4, 2)
    for other in (points.numpy(), points.tolist(), points.numpy().astype("float64")):
        assert torch.equal(jko.Particles(other).points, points)
    assert jko.Particles(points.to(torch.float32)).weights.dtype == torch.float32


def test_constructors_draw_only_from_the_generator():
    before = torch.get_rng_state()
    first, again = (
        jko.Particles.normal(5, 2, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    box = jko.Box([0.0, 0.0], [1.0, 2.0])
    inside = jko.Particles.uniform(100, box, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first.points, again.points)
    assert torch.equal(torch.get_rng_state(), before)
    assert inside.domain is box
    assert float(inside.points[:, 1].max()) > 1


def test_lift_puts_the_charge_in_column_zero_and_project_undoes_it():
    pair = jko.ChargedParticles(cloud(6, 2), cloud(6, 1)[:, 0], random_weights(6))
    back = pair.lift().project()
    assert torch.equal(pair.lift().points[:, 0], pair.H)
    assert torch.equal(back.theta, pair.theta)
    assert torch.equal(back.H, pair.H)
    assert torch.equal(back.weights, pair.weights)


def test_project_merges_equal_theta_with_the_conditional_mean():
    mu = jko.Particles([[1.0, 5.0], [2.0, 0.0], [4.0, 5.0]], [0.25, 0.25, 0.5])
    pair = mu.project()
    assert pair.theta.tolist() == [[5.0], [0.0]]
    assert pair.H.tolist() == [3.0, 2.0]
    assert pair.weights.tolist() == [0.75, 0.25]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 99))
def test_project_keeps_mass_and_the_signed_measure(places, seed):
    theta = torch.tensor(places, dtype=torch.float64)[:, None]
    w, weights = cloud(len(places), 1, seed)[:, 0], random_weights(len(places), seed)
    mu = jko.Particles(torch.cat([w[:, None], theta], 1), weights)
    pair = mu.project()
    assert len(set(pair.theta[:, 0].tolist())) == pair.N
    for place in set(places):
        here, there = theta[:, 0] == place, pair.theta[:, 0] == place
        charge = float((weights * w)[here].sum())
        assert float(pair.signed_measure()[there]) == pytest.approx(charge, abs=1e-14)
        assert float(pair.weights[there]) == pytest.approx(float(weights[here].sum()), rel=1e-14)


def test_two_charges_at_one_theta_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"rows \[0, 2\].*project\(\)"):
        jko.ChargedParticles([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0]], [1.0, 0.0, 2.0])


def test_equal_charges_at_one_theta_are_a_function():
    assert jko.ChargedParticles([[1.0], [1.0]], [2.0, 2.0]).N == 2


def test_domains_follow_the_lift():
    ball = jko.Ball([0.0, 0.0], 1.0)
    pair = jko.ChargedParticles([[0.5, 0.0]], [9.0], domain=ball)
    assert isinstance(pair.lift().domain, jko.spaces.Cylinder)
    assert pair.lift().project().domain is ball
    boxed = jko.ChargedParticles([[0.5]], [9.0], domain=jko.Box(0.0, 1.0)).lift()
    assert boxed.domain.lower.tolist() == [-float("inf"), 0.0]
    assert boxed.project().domain.upper.tolist() == [1.0]


@given(st.integers(0, 10_000))
def test_projections_are_nearest_points(seed):
    """y = P(x) iff <x - y, z - y> <= 0 for all z of the convex set."""
    x = 3 * cloud(8, 3, seed)
    for domain in (
        jko.Box([-1.0, 0.0, -float("inf")], [1.0, 0.5, 2.0]),
        jko.Ball([0.5, 0.0, 0.0], 1.5),
        jko.spaces.Cylinder(jko.Ball([0.0, 0.0], 1.0)),
    ):
        y, z = domain.project(x), domain.project(3 * cloud(8, 3, seed + 1))
        assert float(((x - y) * (z - y)).sum(-1).max()) <= 1e-13
        assert float((domain.project(y) - y).abs().max()) <= 1e-15
