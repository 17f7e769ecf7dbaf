"""The minimum over signed measures: scipy's least squares, equivalence with (2.6), what mass elsewhere would gain."""

import numpy as np
import pytest
import scipy.optimize
import torch

import jko
from jko.diagnostics import signed_minimum


def problem(seed, n=1, M=14, N=9):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(M, n, generator=generator, dtype=torch.float64)
    f = torch.randn(M, generator=generator, dtype=torch.float64)
    weights = torch.rand(M, generator=generator, dtype=torch.float64) + 0.2
    R = jko.Risk(jko.Data(x, f, weights), activation=jko.Ridge(torch.tanh))
    theta = torch.randn(N, n + 1, generator=generator, dtype=torch.float64)
    h = torch.tanh(theta[:, :-1] @ x.T + theta[:, -1:])
    return R, theta, h


@pytest.mark.parametrize(("seed", "n"), [(0, 1), (1, 2), (2, 3)])
def test_it_is_the_problem_of_least_squares(seed, n):
    R, theta, h = problem(seed, n)
    root = R.data.weights.sqrt().numpy()
    found = signed_minimum(R, theta)
    fit = scipy.optimize.lsq_linear(root[:, None] * h.numpy().T, root * R.data.f.numpy())
    assert found.value == pytest.approx(fit.cost, rel=1e-10)
    assert np.allclose(found.masses, fit.x, atol=1e-7)
    assert float(R(found.pair)) == pytest.approx(found.value, rel=1e-10)
    assert np.allclose(found.pair.signed_measure(), found.masses, atol=1e-12)
    assert found.slope(theta).abs().max() < 1e-14 * (1 + found.total)


def test_enough_places_fit_every_target_as_a_measure_on_neurons_does():
    R, _, _ = problem(4, n=1, M=5)
    grid = jko.Grid([(-3.0, 3.0), (-3.0, 3.0)], (8, 8))
    found = signed_minimum(R, grid)
    assert found.rank == 5
    assert found.value < 1e-20
    rest = jko.flow(
        R, found.pair.lift(), tau=1.0, steps=1
    )  # (2.6): the risk of the lift is zero too
    assert rest.energies.max() < 1e-20


def test_of_all_fits_it_has_the_least_norm_and_its_pair_the_least_charge():
    R, theta, _ = problem(5, M=6, N=12)
    found = signed_minimum(R, theta)
    other = torch.linalg.pinv(R.activation(theta, R.data.x).T) @ R.data.f
    assert torch.allclose(found.masses, other, atol=1e-9)
    uniform = jko.ChargedParticles(theta, 12 * found.masses)
    charges = [float(pair.integrate(pair.H**2)) for pair in (found.pair, uniform)]
    assert charges[0] == pytest.approx(found.total**2, rel=1e-12)
    assert charges[0] <= charges[1]


def test_the_slope_bounds_what_other_measures_gain():
    R, theta, _ = problem(6, N=3)
    found = signed_minimum(R, theta)
    generator = torch.Generator().manual_seed(7)
    for _ in range(20):
        places = torch.randn(4, 2, generator=generator, dtype=torch.float64)
        m = torch.randn(4, generator=generator, dtype=torch.float64)
        total = float(m.abs().sum())
        value = float(R(jko.ChargedParticles(places, 4 * m)))
        assert value >= found.value - total * float(found.slope(places).abs().max()) - 1e-12


def test_what_m_alone_does_not_decide_is_refused():
    R, theta, _ = problem(0)
    with pytest.raises(TypeError, match="without a potential"):
        signed_minimum(R + 0.1 * jko.SquaredNorm(), theta)
    logistic = jko.Risk(
        jko.Data(R.data.x, torch.sign(R.data.f)), jko.Ridge(torch.tanh), loss=jko.Logistic()
    )
    general = jko.Risk(R.data, features=lambda xi, x: xi[:, :1] * x[:, 0])
    for other in (logistic, general):
        with pytest.raises(ValueError, match="one output and the squared loss"):
            signed_minimum(other, theta)
