"""Meshes of the line below a limit, against a quadratic program, and where their cells end."""

import cvxpy as cp
import numpy as np
import pytest
import torch

import jko
from jko import Status
from jko.energies import Congestion


def mesh(seed, n=40, domain=None):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(np.r_[0, rng.uniform(0.2, 1.8, n)]) / n
    masses = rng.uniform(0.2, 2, n)
    return jko.LineMesh(edges, masses / masses.sum(), domain)


def check(result, limit):
    rho, p = result.state.values, result.pressure
    assert result.status is Status.CONVERGED
    assert float(rho.max()) <= limit * (1 + 1e-8)
    assert float(p.min()) >= 0
    assert float((p * (limit - rho)).abs().max()) <= 1e-8 * limit * float(p.max())
    assert result.certificate().value < 1e-7


def action(masses):
    n = len(masses)
    Q = np.zeros((n + 1, n + 1))
    for i, m in enumerate(masses):
        Q[i : i + 2, i : i + 2] += m / 6 * np.array([[2, 1], [1, 2]])
    return Q


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("well", [0.0, 3.0])
def test_a_step_is_the_quadratic_program(seed, well):
    start, limit, tau = mesh(seed), 1.3, 0.1
    E = well * jko.Potential(lambda x: 0.5 * (x[:, 0] - 0.2).square()) + Congestion(limit)
    result = jko.step(E, start, tau=tau, solver=jko.Quantile())
    check(result, limit)
    m, at, Q = (start.masses.numpy(), start.edges.numpy(), action(start.masses.numpy()))
    X = cp.Variable(len(at))
    room = X[1:] - X[:-1] >= m / limit
    quadratic = cp.quad_form(X - at, cp.psd_wrap(Q)) / (2 * tau)
    quadratic += well / 2 * cp.quad_form(X - 0.2, cp.psd_wrap(Q))
    program = cp.Problem(cp.Minimize(quadratic), [room])
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-13, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert result.objective == pytest.approx(program.value, rel=1e-5, abs=1e-8)
    assert np.abs(X.value - result.state.edges.numpy()).max() < 1e-4
    price = np.asarray(room.dual_value) / limit
    assert np.abs(price - result.pressure.numpy()).max() < 1e-3 * price.max()


def test_a_crowd_in_a_well_ends_as_a_block_and_at_a_wall_too():
    well = jko.Potential(lambda x: 2 * (x[:, 0] - 0.3).square()) + Congestion(2.0)
    ends = jko.flow(well, mesh(0), tau=1.0, steps=12, solver=jko.Quantile()).final.edges[[0, -1]]
    assert ends.numpy() == pytest.approx([0.05, 0.55], abs=1e-3)
    down = jko.Potential(lambda x: x[:, 0]) + Congestion(2.0)
    walled = mesh(0, domain=jko.Box([0.0], [1.1]))
    ends = jko.flow(down, walled, tau=1.0, steps=4, solver=jko.Quantile()).final.edges[[0, -1]]
    assert ends.numpy() == pytest.approx([0.0, 0.5], abs=1e-6)


@pytest.mark.parametrize("more", [jko.Entropy(), jko.PorousMedium(2), jko.PorousMedium(0.5)])
def test_limits_go_with_other_internal_energies(more):
    E = jko.Potential(lambda x: 5 * x[:, 0].square()) + 0.1 * more + Congestion(1.5)
    result = jko.step(E, mesh(1), tau=0.2, solver=jko.Quantile())
    check(result, 1.5)
    assert float(result.pressure.max()) > 0


def test_a_domain_that_is_too_short_is_refused():
    start = mesh(0, domain=jko.Box([0.0], [1.1]))
    with pytest.raises(ValueError, match="leaves no room"):
        jko.step(Congestion(0.9), start, tau=0.1, solver=jko.Quantile())


@pytest.mark.parametrize("m", [0.4, 0.5, 0.8])
def test_fast_diffusion_on_a_mesh_is_a_dilation(m):
    edges = np.sinh(np.linspace(-6, 6, 400)) / np.sinh(6) * (60 if m < 0.6 else 8)
    cdf = jko.exact.barenblatt_mass(edges, R=0.5, m=m)
    masses = np.diff(cdf)
    start = jko.LineMesh(edges, masses / masses.sum())
    after = jko.step(jko.PorousMedium(m), start, tau=0.05, solver=jko.Quantile()).state
    R = jko.exact.barenblatt_step(0.5, m=m, d=1, tau=0.05)
    inner = torch.from_numpy(np.abs(edges) < 2)
    factor = after.edges[inner] / torch.from_numpy(edges)[inner]
    assert float((factor - R / 0.5).abs().max()) < 0.02 * (R / 0.5 - 1)
