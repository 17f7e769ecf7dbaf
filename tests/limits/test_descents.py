"""Gradient descent (2.4): torch's own, its closed form, and the flow that it approximates."""

import numpy as np
import pytest
import torch

import jko

X = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
F = (
    jko.Risk(jko.Data(X, torch.sin(2 * X[:, 0])), activation=jko.Ridge(torch.tanh))
    + 0.05 * jko.SquaredNorm()
)


def cloud(N=8, seed=0):
    return jko.Particles.normal(N, 3, generator=torch.Generator().manual_seed(seed))


def test_it_is_torchs_descent_of_the_network_with_the_rate_times_N():
    start = cloud()
    run = jko.limits.gradient_descent(F, start, t1=1.0, rate=0.1, save=3)
    xi = start.points.clone().requires_grad_()
    torchs = torch.optim.SGD([xi], lr=0.1 * start.N)
    for _ in range(10):
        torchs.zero_grad()
        out = (xi[:, :1] * torch.tanh(xi[:, 1:2] * X[:, 0] + xi[:, 2:])).mean(0)
        r = out - torch.sin(2 * X[:, 0])
        (0.5 * (r**2).mean() + 0.025 * (xi**2).sum(1).mean()).backward()
        torchs.step()
    assert torch.allclose(run.final.points, xi.detach(), atol=1e-12)
    assert run.kept.tolist() == [0, 3, 6, 9, 10]


def test_pairs_go_the_same_way():
    start = cloud()
    pair = jko.ChargedParticles(start.points[:, 1:], start.points[:, 0])
    one, other = (jko.limits.gradient_descent(F, s, t1=2.0, rate=0.25).final for s in (start, pair))
    assert torch.equal(one.points, other.lift().points)


def test_it_is_of_first_order_to_the_flow():
    start = cloud()
    flow = jko.limits.wasserstein(F, start, t1=2.0).final

    def descent(rate):
        return jko.limits.gradient_descent(F, start, t1=2.0, rate=rate).final

    found = jko.convergence(descent, flow, [0.2, 0.1, 0.05, 0.025])
    assert found.orders[-1] == pytest.approx(1, abs=0.05)


def test_walls_hold_and_large_rates_say_what_they_are():
    inside = jko.Particles([[0.5]], domain=jko.Box(0.0, 1.0))
    down = jko.Potential(lambda x: -x[:, 0])
    assert float(jko.limits.gradient_descent(down, inside, t1=2.0, rate=0.5).final.points) == 1.0
    steep = jko.Potential(lambda x: (x**4).sum(-1))
    with pytest.raises(jko.limits.LimitStopped, match="lower the rate") as stopped:
        jko.limits.gradient_descent(steep, jko.Particles([[3.0]]), t1=9.0, rate=1.0)
    assert np.isfinite(stopped.value.trajectory.energies[:3]).all()
    with pytest.raises(TypeError, match="no density"):
        jko.limits.gradient_descent(F + jko.Entropy(), cloud(), t1=1.0, rate=0.1)
