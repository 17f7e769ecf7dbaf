"""``optimality`` bounds min F over all measures from below, by (4.9)-(4.10)."""

import math

import numpy as np
import pytest
import torch

import jko

F64 = torch.float64
TANH = jko.Ridge(torch.tanh)
ACTIVATIONS = [(TANH, 3), (jko.Ridge(torch.sigmoid), 3), (jko.GaussianBump(0.5), 2)]


def curve(M: int = 30) -> jko.Data:
    x = torch.randn(M, 1, generator=torch.Generator().manual_seed(1), dtype=F64)
    return jko.Data(x, torch.sin(2 * x[:, 0]))


def minimum_on_a_grid(risk: jko.Risk, lam: float, theta: torch.Tensor) -> float:
    """min F over measures with theta on a grid, by cvxpy.

    An atom of mass p and charge w costs lam p (w^2 + |theta|^2) / 2; with u = p w that is u^2 / p: for a signed measure
    u and a probability p it is a cone program, whose value is above min F by the grid's error.
    """
    cp = pytest.importorskip("cvxpy")
    h = risk.activation(theta, risk.data.x).numpy()
    q, f, squares = risk.data.weights.numpy(), risk.data.f.numpy(), theta.square().sum(1).numpy()
    u, p, s = cp.Variable(len(h)), cp.Variable(len(h), nonneg=True), cp.Variable(len(h))
    # u^2 <= s p
    cones = [cp.SOC(s + p, cp.vstack([2 * u, s - p]), axis=0)]
    fit = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(q), h.T @ u - f))
    problem = cp.Problem(
        cp.Minimize(fit + 0.5 * lam * (cp.sum(s) + squares @ p)), [*cones, cp.sum(p) == 1]
    )
    problem.solve(cp.CLARABEL)
    return float(problem.value)


@pytest.mark.parametrize("lam", [1.0, 0.1, 0.01])
@pytest.mark.parametrize(("activation", "dim"), ACTIVATIONS)
def test_the_proved_bound_is_below_the_minimum_on_a_grid_and_close_to_it(
    activation, dim, lam, generator
):
    risk = jko.Risk(curve(), activation=activation)
    F = risk + lam * jko.SquaredNorm()
    mu = jko.step(
        F, jko.Particles.normal(40, dim, generator=generator), tau=300.0, throw=False
    ).state
    found = jko.optimality(F, mu)
    assert found.rigorous, found
    assert found.value == pytest.approx(float(F(mu)) - found.lower_bound, abs=1e-15)
    axis = torch.linspace(-6, 6, 401 if dim == 2 else 31, dtype=F64)
    theta = axis[:, None] if dim == 2 else torch.cartesian_prod(axis, axis)
    grid = minimum_on_a_grid(risk, lam, theta)
    assert found.lower_bound <= grid + 1e-7
    assert grid - found.lower_bound < (
        2e-4 if dim == 2 else 4e-3
    )  # spacing^2 / 8 times curvatures of order one
    assert found.reachable <= float(F(mu)) + 1e-14
    assert -1e-14 < found.reachable - found.lower_bound < 1e-9  # so min F is known to nine digits


def test_the_enclosed_minimum_contains_every_other_measure(generator):
    F = jko.Risk(curve(), activation=TANH) + 0.05 * jko.SquaredNorm()
    found = jko.optimality(F, jko.Particles.normal(10, 3, generator=generator))
    assert found.rigorous
    for N in (1, 3, 50):
        for _ in range(20):
            assert (
                float(F(jko.Particles.normal(N, 3, generator=generator, scale=0.7)))
                >= found.lower_bound
            )


def test_at_the_minimiser_the_gap_is_zero():
    # f is fitted best by nothing: with lam large, min F is at delta_0
    data = curve()
    F = jko.Risk(data, activation=TANH) + 5.0 * jko.SquaredNorm()
    found = jko.optimality(F, jko.Particles([[0.0, 0.0, 0.0]]))
    assert found.rigorous
    assert abs(found.value) < 1e-14
    assert found.lower_bound == pytest.approx(
        0.5 * float((data.weights * data.f**2).sum()), abs=1e-14
    )


def test_a_quadratic_has_its_minimum_at_zero_or_at_the_nearest_point_of_the_box():
    F = 3.0 * jko.SquaredNorm()
    found = jko.optimality(F, jko.Particles([[1.0, 2.0], [0.0, 1.0]]))
    assert (found.lower_bound, found.value, found.rigorous) == (0.0, 4.5, True)
    box = jko.Box([1.0, 1.0], [2.0, math.inf])
    found = jko.optimality(F, jko.Particles([[1.0, 2.0]], domain=box))
    assert found.lower_bound == pytest.approx(3.0, abs=1e-14)
    assert found.rigorous


@pytest.mark.parametrize("sigma", [torch.tanh, torch.relu])
def test_without_potential_only_zero_prices_bound_and_the_reason_says_so(sigma, generator):
    F = jko.Risk(curve(), activation=jko.Ridge(sigma))
    mu = jko.Particles.normal(10, 3, generator=generator)
    found = jko.optimality(F, mu)
    assert (found.lower_bound, found.value) == (0.0, float(F(mu)))
    assert found.rigorous
    assert "g = 0" in found.reason


def test_relu_with_a_potential_is_a_finite_estimate_below_what_a_measure_attains(generator):
    F = jko.Risk(curve(), activation=jko.Ridge(torch.relu)) + 0.1 * jko.SquaredNorm()
    mu = jko.Particles.normal(20, 3, generator=generator)
    found = jko.optimality(F, mu)
    assert not found.rigorous
    assert "multistart estimate" in found.reason
    assert 0 < found.lower_bound <= found.reachable + 1e-9
    assert found.reachable - found.lower_bound < 1e-3


def test_a_bounded_box_without_potential_is_enclosed(generator):
    box = jko.Box([-1.0, -2.0], [1.0, 2.0])
    mu = jko.Particles.uniform(20, box, generator=generator)
    risk = jko.Risk(curve(), activation=jko.GaussianBump(0.5))
    found = jko.optimality(risk, mu)
    assert found.rigorous
    cp = pytest.importorskip("cvxpy")
    h = risk.activation(torch.linspace(-2, 2, 401, dtype=F64)[:, None], risk.data.x).numpy()
    u = cp.Variable(len(h))  # int w dmu at each theta: |u| <= p, sum p = 1
    q, f = risk.data.weights.numpy(), risk.data.f.numpy()
    fit = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(q), h.T @ u - f))
    reference = cp.Problem(cp.Minimize(fit), [cp.norm1(u) <= 1])
    reference.solve(cp.CLARABEL)
    assert found.lower_bound <= reference.value + 1e-8
    assert found.lower_bound == pytest.approx(reference.value, abs=1e-5)


def test_a_pair_has_the_bound_of_its_lift(generator):
    F = jko.Risk(curve(), activation=TANH) + 0.1 * jko.SquaredNorm()
    mu = jko.Particles.normal(10, 3, generator=generator)
    pair = jko.ChargedParticles(mu.points[:, 1:], mu.points[:, 0])
    assert jko.optimality(F, pair).lower_bound == pytest.approx(
        jko.optimality(F, mu).lower_bound, abs=1e-12
    )


def test_weights_of_the_quadrature_count(generator):
    data = curve(12)
    mu = jko.Particles.normal(10, 3, generator=generator)
    doubled = jko.Data(data.x, data.f, weights=2 * data.weights)
    one = jko.optimality(2.0 * jko.Risk(data, activation=TANH) + 0.1 * jko.SquaredNorm(), mu)
    other = jko.optimality(jko.Risk(doubled, activation=TANH) + 0.1 * jko.SquaredNorm(), mu)
    assert one.lower_bound == pytest.approx(other.lower_bound, abs=1e-12)


def test_what_is_not_convex_has_an_infinite_gap_with_the_reason(generator):
    mu = jko.Particles.normal(5, 2, generator=generator)
    found = jko.optimality(jko.Interaction(lambda z: z.square().sum(-1)), mu)
    assert (found.value, found.lower_bound) == (math.inf, -math.inf)
    assert "not declared convex" in found.reason


def test_a_potential_without_known_bounds_is_an_estimate(generator):
    F = jko.Potential(lambda z: (z.square().sum(-1) - 1) ** 2)
    mu = jko.Particles.normal(5, 2, generator=generator)
    found = jko.optimality(F, mu)
    assert found.lower_bound == pytest.approx(0, abs=1e-12)
    assert found.value == pytest.approx(float(F(mu)), abs=1e-12)
    assert not found.rigorous


def test_bad_arguments_are_sentences(generator):
    mu = jko.Particles.normal(5, 2, generator=generator)
    with pytest.raises(TypeError, match="energy must be Energy"):
        jko.optimality(lambda mu: 0, mu)
    with pytest.raises(TypeError, match="state must be"):
        jko.optimality(jko.SquaredNorm(), mu.points)
    with pytest.raises(ValueError, match="max_iterations = -1"):
        jko.optimality(jko.SquaredNorm(), mu, max_iterations=-1)


def test_a_network_of_a_thousand_neurons_in_32_dimensions_gets_an_estimate_that_says_so(generator):
    x = torch.randn(398, 30, generator=generator, dtype=F64)
    f = torch.sign(x[:, 0] + 0.5 * torch.randn(398, generator=generator, dtype=F64))
    F = jko.Risk(jko.Data(x, f), activation=TANH) + 1e-3 * jko.SquaredNorm()
    mu = jko.Particles.normal(1000, 32, generator=generator)
    for _ in range(3):
        mu = jko.step(F, mu, tau=30.0, throw=False).state
    found = jko.optimality(F, mu)
    assert not found.rigorous
    assert 0 <= found.lower_bound < float(F(mu))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("activation", "dim"), [(jko.GaussianBump(0.5), 2), (TANH, 3)])
def test_the_minimum_is_enclosed_within_a_millionth_and_brute_force_finds_it_there(
    activation, dim, seed
):
    # theta has dimension 1 (bumps) and 2 (ridges)
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(15, 1, generator=g, dtype=F64)
    risk = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0] + seed)), activation=activation)
    F = risk + 0.05 * jko.SquaredNorm()
    mu = jko.flow(F, jko.Particles.normal(40, dim, generator=g), tau=50.0, steps=20).final
    found = jko.optimality(F, mu)
    assert found.rigorous
    assert -1e-14 < found.reachable - found.lower_bound < 1e-6
    axis = torch.linspace(-4, 4, 801 if dim == 2 else 61, dtype=F64)
    theta = axis[:, None] if dim == 2 else torch.cartesian_prod(axis, axis)
    brute = minimum_on_a_grid(risk, 0.05, theta)
    # brute force over a grid is above the minimum, by the square of its spacing
    assert found.lower_bound - 1e-7 <= brute <= found.reachable + (1e-5 if dim == 2 else 1e-3)
