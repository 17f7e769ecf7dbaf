"""The Kullback-Leibler divergence up to log Z: closed forms of Gaussians, and every solver that knows its terms."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.testing import check_energy, samples

LOG_Z = 0.5 * math.log(2 * math.pi * 0.25) + 1.0  # of exp(1 - 2 (x - 1/2)^2)
GRID = jko.Grid((-4.0, 4.0), 160)


def log_density(x):
    return 1 - 2 * (x[:, 0] - 0.5) ** 2


def bell(mean, variance, grid=GRID):
    return jko.GridDensity.from_function(
        grid, lambda x: torch.exp(-((x[:, 0] - mean) ** 2) / (2 * variance))
    )


KL = jko.KullbackLeibler(log_density)


def test_it_keeps_the_contract_of_an_energy():
    assert KL.convex
    check_energy(jko.KullbackLeibler(lambda x: -(x**4).sum(-1)))
    check_energy(jko.KullbackLeibler(lambda x: -(x**4).sum(-1), bandwidth=0.5), samples.atoms())


def test_it_is_the_divergence_less_log_z():
    """KL between N(0, 1) and N(1/2, 1/4): (s^2 + m^2) / (2 / 4) - 1/2 - log s / (1/2)."""
    exact = (1 + 0.25) / 0.5 - 0.5 + math.log(0.5)
    assert float(KL(bell(0.0, 1.0))) == pytest.approx(exact - LOG_Z, abs=2e-3)
    mesh = jko.LineMesh.from_density(bell(0.0, 1.0))
    assert float(KL(mesh)) == pytest.approx(exact - LOG_Z, abs=2e-3)


def test_the_minimum_is_minus_log_z():
    found = jko.minimiser(KL, GRID)
    assert found.energy == pytest.approx(-LOG_Z, abs=1e-6)
    assert float(found.state.covariance()) == pytest.approx(0.25, abs=1e-3)


SOLVERS = {
    "Dynamic": (jko.Dynamic(), lambda: bell(0.0, 1.0)),
    "Quantile": (jko.Quantile(), lambda: jko.LineMesh.from_density(bell(0.0, 1.0))),
    "Sinkhorn": (jko.Sinkhorn(0.02), lambda: bell(0.0, 1.0)),
    "Conic": (jko.Conic(), lambda: bell(0.0, 1.0, jko.Grid((-4.0, 4.0), 40))),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_of_densities_takes_a_step_of_it(name):
    """The step of a Gaussian is Gaussian: m' = (m + tau / s / 2) / (1 + tau / s)."""
    solver, start = SOLVERS[name]
    state = jko.step(KL, start(), tau=0.25, solver=solver).state
    assert float(state.mean()) == pytest.approx(0.25, abs=5e-3)


def test_a_flow_ends_at_the_target():
    run = jko.flow(KL, jko.LineMesh.from_density(bell(-1.0, 1.0)), tau=0.5, t1=6.0)
    assert run.energies[-1] == pytest.approx(-LOG_Z, abs=1e-3)
    assert (np.diff(run.energies) < 0).all()
    assert float(run.final.mean()) == pytest.approx(0.5, abs=1e-3)


def test_particles_take_a_bandwidth_and_end_near_the_target():
    start = jko.Particles(torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None])
    with pytest.raises(TypeError, match=r"atoms have no density.*KernelEntropy\(bandwidth"):
        jko.step(KL, start, tau=0.1)
    E = jko.KullbackLeibler(log_density, bandwidth=0.15)
    run = jko.flow(E, start, tau=0.2, t1=3.0)
    assert float(run.final.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(run.final.covariance()) == pytest.approx(0.25, abs=0.05)


def test_solvers_see_a_potential_and_an_entropy():
    terms = jko.energies.sorted_terms(2 * KL)
    assert [type(E) for _, E in terms.all] == [jko.Potential, jko.Entropy]


def test_a_density_of_torch_and_a_gradient_of_numpy():
    normal = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    mu = samples.cloud(2)
    one = jko.KullbackLeibler(normal.log_prob, bandwidth=0.5)
    other = jko.KullbackLeibler(
        lambda x: -0.5 * np.sum(np.square(x), axis=1), gradient=lambda x: -x, bandwidth=0.5
    )
    assert float(one(mu) - other(mu)) == pytest.approx(math.log(2 * math.pi))
    assert torch.allclose(one.gradient(mu), other.gradient(mu))


def test_obstacles_are_where_the_density_is_zero():
    E = jko.KullbackLeibler(lambda x: torch.where(x[:, 0] > 0, 0.0, -torch.inf))
    found = jko.minimiser(E, jko.Grid((-1.0, 1.0), 20))
    assert found.energy == pytest.approx(0, abs=1e-9)
    assert float(found.state.weights[:10].sum()) == 0


def test_what_cannot_be_called_is_a_sentence():
    with pytest.raises(TypeError, match="log_density must be callable"):
        jko.KullbackLeibler(3.0)
    with pytest.raises(TypeError, match="gradient must be callable"):
        jko.KullbackLeibler(log_density, 3.0)
    with pytest.raises(ValueError, match="bandwidth"):
        jko.KullbackLeibler(log_density, bandwidth=-1.0)
