"""The descent of a Lagrangian step: where it may stop."""

import pytest
import torch

import jko


def normal(seed: int, N: int = 40, dim: int = 3) -> jko.Particles:
    return jko.Particles.normal(N, dim, generator=torch.Generator().manual_seed(seed))


def risk(activation=torch.tanh) -> jko.Energy:
    x = torch.linspace(-1, 1, 15, dtype=torch.float64)[:, None]
    fit = jko.Risk(jko.Data(x, (3 * x[:, 0]).sin()), activation=jko.Ridge(activation))
    return fit + 1e-3 * jko.SquaredNorm()


@pytest.mark.parametrize("fraction", [0.5, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("activation", [torch.tanh, torch.relu])
@pytest.mark.parametrize("tau", [1.0, 100.0])
def test_any_fraction_gives_sufficient_decrease_and_relative_error(fraction, activation, tau):
    E, mu, memory = risk(activation), normal(0), None
    solver = jko.LBFGS(fraction=fraction)
    for _ in range(8):
        result = jko.step(E, mu, tau=tau, solver=solver, memory=memory)
        length = result.problem.norm(result.state.points - mu.points)
        assert result.slack >= 0
        if result.status is jko.Status.CONVERGED and result.coupling.bound == 0:
            assert result.residual <= fraction * length / tau * (1 + 1e-12) or length == 0
        mu, memory = result.state, result.memory


@pytest.mark.parametrize("fraction", [0.1, 5.0])
def test_a_step_at_rest_has_no_negative_slack(fraction):
    """Near the minimum of a double well values differ by rounding: the line search accepts on slopes."""
    E, mu = jko.Potential(lambda z: ((z**2 - 1) ** 2).sum(-1) + 1e3), normal(1, 20, 2)
    memory = None
    for _ in range(30):
        result = jko.step(E, mu, tau=0.5, solver=jko.LBFGS(fraction=fraction), memory=memory)
        assert result.status.ok
        assert result.slack >= 0
        mu, memory = result.state, result.memory
