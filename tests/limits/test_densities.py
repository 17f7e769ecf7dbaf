"""Flows of densities against what is known exactly: the limit tau -> 0, rest, and solvers that share nothing."""

import numpy as np
import pytest
import torch

import jko
from jko import exact


def orders(errors):
    errors = np.abs(np.array(errors))
    return np.log2(errors[:-1] / errors[1:])


def variance(state):
    return float(state.covariance()[0, 0])


GRIDS = [
    pytest.param(1, 256, (8, 16, 32), id="line"),
    pytest.param(2, 128, (4, 8, 16), id="plane"),
    pytest.param(3, 48, (4, 8), id="space"),
]


@pytest.mark.parametrize(("d", "n", "counts"), GRIDS)
def test_fokker_planck_steps_converge_at_order_one(d, n, counts):
    grid, T = jko.Grid((-3.0, 3.0), (n,) * d), 0.4
    E = 1.5 * jko.SquaredNorm() + 0.6 * jko.Entropy()
    rho = jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1) / 0.5).exp())
    limit = 0.4 + (variance(rho) - 0.4) * np.exp(-3 * T)
    errors = []
    for K in counts:
        run = jko.flow(E, rho, tau=T / K, t1=T, solver=jko.Dynamic(tol=1e-5))
        errors.append(variance(run.final) - limit)
        assert run.slacks.min() > 0
        assert float(run.final.values.min()) >= 0
        assert abs(float(run.final.mass) - 1) < 1e-14
    assert np.abs(orders(errors) - 1).max() < 0.1


@pytest.mark.parametrize(("d", "n", "counts"), GRIDS)
def test_porous_medium_steps_converge_at_order_one(d, n, counts):
    grid, T, R = jko.Grid((-3.0, 3.0), (n,) * d), 1.0, 0.8
    rho = jko.GridDensity.from_function(
        grid, lambda x: torch.from_numpy(exact.barenblatt(x.numpy(), R=R))
    )
    radius = float(exact.barenblatt_flow(R, d=d, c=0.5, t=T))
    limit = radius**2 * exact.barenblatt_spread(d=d) / d
    errors = []
    for K in counts:
        run = jko.flow(
            0.5 * jko.PorousMedium(2), rho, tau=T / K, t1=T, solver=jko.Dynamic(tol=1e-5)
        )
        errors.append(variance(run.final) - limit)
        assert run.slacks.min() > 0
        assert abs(float(run.final.mass) - 1) < 1e-14
    assert np.abs(orders(errors) - 1).max() < 0.1


@pytest.mark.slow
def test_sdirk2_has_order_two_in_space():
    grid, T = jko.Grid((-3.0, 3.0), (64, 64, 64)), 0.2
    E = 1.5 * jko.SquaredNorm() + 0.6 * jko.Entropy()
    rho = jko.GridDensity.from_function(grid, lambda x: (-((x - 0.3) ** 2).sum(-1) / 0.5).exp())

    def final(K):
        options = {"scheme": jko.SDIRK2(), "solver": jko.Dynamic(tol=1e-8)}
        return jko.flow(E, rho, tau=T / K, t1=T, **options).final.values

    reference = final(32)
    errors = [float((final(K) - reference).abs().sum()) * grid.cell for K in (1, 2, 4)]
    assert orders(errors).min() > 1.9


def network():
    """E = s2 (A - a)^2 / 2 + lam |xi|^2 / 2 + beta Ent with A = int w theta, on the plane of (w, theta)."""
    data = jko.Data([[1.0]], [1.5], weights=[0.8])
    risk = jko.Risk(data, features=lambda xi, x: (xi[:, 0] * xi[:, 1])[:, None] * x[:, 0])
    return risk + jko.SquaredNorm() + 0.3 * jko.Entropy()


def test_the_mean_field_network_takes_the_steps_of_its_closed_form():
    law = exact.NormalLaw(np.zeros(2), np.diag([0.6, 0.9]))
    tau, errors = 0.1, []
    after = exact.network_step(*law, s2=0.8, target=1.5, lam=1.0, beta=0.3, tau=tau)
    for n in (48, 96):
        grid = jko.Grid((-5.0, 5.0), (n, n))
        rho = jko.GridDensity.from_function(
            grid, lambda x: torch.from_numpy(exact.gaussian(x.numpy(), *law))
        )
        result = jko.step(network(), rho, tau=tau, solver=jko.Dynamic(tol=1e-8))
        errors.append(np.abs(result.state.covariance().numpy() - after.covariance).max())
        assert result.slack > 0
    assert errors[1] < 2e-3  # the rest is O(tau^3): the action for W2^2
    assert errors[1] < 0.5 * errors[0] or errors[0] < 2e-3


@pytest.mark.parametrize("internal", [0.3 * jko.Entropy(), 0.3 * jko.PorousMedium(2)])
def test_a_long_flow_ends_in_the_minimiser(internal):
    grid = jko.Grid((-4.0, 4.0), (40, 40))
    E = internal + jko.Potential(lambda x: 0.5 * (x[:, 0] - 0.5) ** 2 + x[:, 1] ** 2)
    start = jko.GridDensity.from_function(grid, lambda x: (-((x + 1) ** 2).sum(-1)).exp())
    run = jko.flow(E, start, tau=5.0, steps=12, solver=jko.Dynamic(tol=1e-9))
    rest = jko.minimiser(E, grid)
    assert float((run.final.values - rest.state.values).abs().sum()) * grid.cell < 1e-6
    assert run.energies[-1] - rest.energy < 1e-9


def step_on_the_line(n):
    grid = jko.Grid((-3.0, 3.0), n)
    rho = jko.GridDensity.from_function(grid, lambda x: (-((x[:, 0] - 0.4) ** 2) / 0.5).exp())
    E = jko.Entropy() + jko.Potential(lambda x: 0.5 * x[:, 0] ** 2 + 0.1 * torch.cos(3 * x[:, 0]))
    return E, rho


def test_the_grid_step_and_the_mesh_step_meet_as_cells_and_tau_shrink():
    errors = []
    for n, tau in ((200, 0.04), (400, 0.02), (800, 0.01)):
        E, rho = step_on_the_line(n)
        on_grid = jko.step(E, rho, tau=tau, solver=jko.Dynamic(tol=1e-10))
        on_mesh = jko.step(E, jko.LineMesh.from_density(rho), tau=tau)
        difference = on_mesh.state.to_density(rho.grid).values - on_grid.state.values
        errors.append(float(difference.abs().sum()) * rho.grid.cell)
    assert errors[-1] < 5e-4
    assert orders(errors).min() > 1.8


def test_the_entropic_step_meets_the_grid_step_as_epsilon_shrinks():
    E, rho = step_on_the_line(400)
    on_grid = jko.step(E, rho, tau=0.02, solver=jko.Dynamic(tol=1e-10)).state.values
    errors = []
    for epsilon in (0.04, 0.02, 0.01):
        entropic = jko.step(E, rho, tau=0.02, solver=jko.Sinkhorn(epsilon, tol=1e-9)).state.values
        errors.append(float((entropic - on_grid).abs().sum()) * rho.grid.cell)
    assert np.abs(orders(errors) - 1).max() < 0.1


def test_an_interaction_enters_a_grid_step_as_it_enters_a_particle_step():
    """W = |z|^2 / 2 moves a density as the potential |x - mean|^2 / 2 does."""
    grid = jko.Grid((-3.0, 3.0), (32, 32))
    rho = jko.GridDensity.from_function(grid, lambda x: (-((x - 0.5) ** 2).sum(-1) * 2).exp())
    mean = rho.mean()
    attract = jko.Interaction(lambda z: 0.5 * (z**2).sum(-1))
    trap = jko.Potential(lambda x: 0.5 * ((x - mean) ** 2).sum(-1))
    solver = jko.Dynamic(tol=1e-9)
    one, two = (
        jko.step(0.2 * jko.Entropy() + V, rho, tau=0.1, solver=solver) for V in (attract, trap)
    )
    # the mean stays, so both variations agree but for a constant
    assert float((one.state.values - two.state.values).abs().sum()) * grid.cell < 1e-6
    assert one.slack > 0


def test_a_flow_of_densities_resumes_with_the_same_bits(tmp_path):
    grid = jko.Grid((-2.0, 2.0), (24, 20))
    rho = jko.GridDensity.from_function(grid, lambda x: (1 - (x**2).sum(-1)).clamp(min=0))
    E = jko.PorousMedium(2) + 0.1 * jko.SquaredNorm()
    whole = jko.flow(E, rho, tau=0.02, steps=6)
    jko.flow(E, rho, tau=0.02, steps=3, checkpoint=tmp_path / "run")
    resumed = jko.flow(E, jko.Trajectory.load(tmp_path / "run"), tau=0.02, steps=6)
    assert torch.equal(whole.final.values, resumed.final.values)
    assert np.array_equal(whole.columns["newton"], resumed.columns["newton"])
