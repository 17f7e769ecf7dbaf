"""Half of W2^2 to a measure: against jko.distance, POT and differences; its flow is the geodesic."""

import numpy as np
import ot
import pytest
import torch

import jko
from jko.testing import check_energy, samples


def nu(dim):
    return samples.cloud(dim, 5, N=4)


def clouds(N=25, dim=2):
    generator = torch.Generator().manual_seed(4)
    a = jko.Particles.normal(N, dim, generator=generator)
    return a, a.moved(2 * jko.Particles.normal(N, dim, generator=generator).points + 1)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_it_keeps_the_contract_of_an_energy(dim):
    E = jko.Attraction(nu(dim))
    assert E.convex
    check_energy(E, [samples.cloud(dim)])
    check_energy(0.5 * E + jko.SquaredNorm(), [samples.cloud(dim)])


def test_it_is_one_of_densities_and_pairs_too():
    check_energy(jko.Attraction(nu(2)), [samples.bump(2), samples.pair(1)])
    check_energy(jko.Attraction(nu(1)), [samples.mesh(), samples.bump(1)])
    check_energy(jko.Attraction(samples.bump(2)), [samples.cloud(2)])


def test_value_and_gradient_are_those_of_pot():
    mu = samples.cloud(2)
    x, y = mu.points.numpy(), nu(2).points.numpy()
    a, b = mu.weights.numpy(), nu(2).weights.numpy()
    plan = ot.emd(a, b, ot.dist(x, y))
    value, _, gradient = jko.Attraction(nu(2)).evaluate(mu)
    assert float(value) == pytest.approx(0.5 * float((plan * ot.dist(x, y)).sum()), rel=1e-12)
    assert gradient.numpy() == pytest.approx(x - plan @ y / a[:, None], abs=1e-12)


def test_the_variation_is_a_potential_whose_integral_is_the_value_twice():
    mu, E = samples.cloud(2), jko.Attraction(nu(2))
    found = E.distance(mu)
    assert found.exact
    variation = E.variation(mu)
    assert float(mu.integrate(variation)) == pytest.approx(0.5 * found.squared, rel=1e-12)
    # dual feasibility at points beside the atoms, with equality on the plan
    at = samples.points(50, 2, 9)
    alpha = 2 * E.variation(mu, at).numpy() - nu(2).weights.numpy() @ found.beta
    apart = np.square(at.numpy()[:, None] - nu(2).points.numpy()).sum(-1)
    assert (alpha[:, None] + found.beta <= apart + 1e-12).all()
    assert (apart - alpha[:, None] - found.beta).min(1) == pytest.approx(np.zeros(50), abs=1e-12)


def test_cells_without_mass_have_a_slope():
    grid = jko.Grid((0.0, 3.0), 3)
    rho = jko.GridDensity(grid, [1.0, 0.0, 0.0])
    gradient = jko.Attraction([[2.0]]).gradient(rho)
    assert gradient[:, 0].tolist() == pytest.approx([-1.5, -0.5, 0.5])


@pytest.mark.parametrize("solver", [jko.LBFGS(tol=1e-12), jko.BlockNewton(tol=1e-12)])
def test_a_flow_goes_along_the_geodesic(solver):
    """A step is ``tau / (1 + tau)`` of what is left."""
    a, b = clouds()
    tau = 0.5
    run = jko.flow(jko.Attraction(b), a, tau=tau, steps=4, solver=solver)
    length = jko.distance(a, b).value
    for k, state in enumerate(run.states):
        left = (1 + tau) ** -k
        assert jko.distance(state, b).value == pytest.approx(left * length, rel=1e-12)
        there = jko.geodesic(a, b, 1 - left)
        assert jko.distance(state, there).value == pytest.approx(0, abs=1e-9)


def test_a_pair_goes_along_the_geodesic_of_D():
    a, b = (jko.ChargedParticles(c.points[:, 1:], c.points[:, 0]) for c in clouds(8))
    result = jko.step(jko.Attraction(b), a, tau=1.0, solver=jko.LBFGS(tol=1e-12))
    assert jko.distance(result.state, b).value == pytest.approx(0.5 * jko.distance(a, b).value)


def test_with_a_potential_it_is_the_step_of_that_potential():
    """J of a step of V from b with tau = 1 is Attraction(b) + V: a large step of the latter is the small one of V."""
    a, b = clouds(12)
    V = jko.Potential(lambda x: 0.5 * (x[:, 0] ** 2 + 3 * x[:, 1] ** 2))
    run = jko.flow(jko.Attraction(b) + V, a, tau=100.0, steps=3, solver=jko.LBFGS(tol=1e-10))
    step = jko.step(V, b, tau=1.0, solver=jko.LBFGS(tol=1e-12))
    assert run.energies[-1] == pytest.approx(step.objective, rel=1e-4)


def test_the_value_has_its_slopes_in_points_and_weights_by_torch():
    mu, E = samples.cloud(2), jko.Attraction(nu(2))
    x, m = mu.points.clone().requires_grad_(), mu.weights.clone().requires_grad_()
    slope_x, slope_m = torch.autograd.grad(E(jko.Particles.of(x, m)), (x, m))
    assert torch.allclose(slope_x, mu.weights[:, None] * E.gradient(mu))
    assert torch.allclose(slope_m, E.variation(mu))


def test_another_dimension_is_a_sentence():
    with pytest.raises(ValueError, match="points of the measure have dimension 2 but the state"):
        jko.Attraction(nu(2))(samples.cloud(3))
