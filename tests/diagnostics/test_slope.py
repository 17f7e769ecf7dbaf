"""Curves of maximal slope: against closed forms, brute force over the line, and what Gauss's rule is known to do."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

import jko
from jko.diagnostics import energy_dissipation, maximal_slope, variational


def generator(seed):
    return torch.Generator().manual_seed(seed)


def network(seed, d=1, sigma=torch.tanh):
    x = torch.randn(16, d, generator=generator(seed), dtype=torch.float64)
    f = torch.randn(16, generator=generator(seed + 50), dtype=torch.float64)
    return jko.Risk(jko.Data(x, f), activation=jko.Ridge(sigma)) + 0.02 * jko.SquaredNorm()


def pair(seed, N, d):
    charges = torch.randn(N, generator=generator(seed + 7), dtype=torch.float64)
    theta = torch.randn(N, d, generator=generator(seed), dtype=torch.float64)
    return jko.ChargedParticles(theta, charges)


@pytest.mark.parametrize("seed", range(4))
def test_the_identity_is_exact_on_networks(seed):
    d = 1 + seed % 2
    energy = network(seed, d, (torch.tanh, torch.sigmoid)[seed // 2])
    state = (
        jko.Particles.normal(12, d + 2, generator=generator(seed))
        if seed % 2
        else pair(seed, 9, d + 1)
    )
    found = variational(energy, state, tau=0.2)
    assert abs(found.residual) < 1e-10
    assert not found.jumps
    step = jko.step(energy, state, tau=0.2, solver=jko.BlockNewton())
    assert found.moved == pytest.approx(step.cost / 0.4, rel=1e-8)
    assert found.lowered == pytest.approx(step.before - step.energy, rel=1e-8)
    assert found.speeds == pytest.approx(
        found.slopes, rel=1e-6
    )  # Euler and Lagrange: nothing is left


def test_quadratic_wells_have_a_closed_form():
    a, x = 1.7, torch.tensor([[1.0, -2.0], [0.3, 0.5]], dtype=torch.float64)
    found = variational(a * jko.SquaredNorm(), jko.Particles(x), tau=0.8)
    size = float((x**2).sum(1).mean()) ** 0.5
    assert found.speeds == pytest.approx(a * size / (1 + a * found.lengths), rel=1e-10)
    exact = quad(lambda s: 0.5 * (a * size / (1 + a * s)) ** 2, 0, 0.8, epsabs=1e-13)[0]
    assert found.sloped == pytest.approx(exact, rel=2e-9)


def ou(m, s, a, beta, tau):
    """Mean, deviation, energy and squared move of the JKO step from N(m, s^2)."""
    new = jko.exact.gaussian_step([m], [[s * s]], A=a, beta=beta, tau=tau)
    M, S = float(new.mean[0]), float(new.covariance[0, 0]) ** 0.5
    energy = float(jko.exact.gaussian_energy([M], [[S * S]], A=a, beta=beta))
    return energy, (M - m) ** 2 + (S - s) ** 2


@pytest.mark.parametrize(("a", "beta", "m", "s"), [(1.5, 0.6, 1.0, 0.5), (0.4, 1.0, -2.0, 1.5)])
def test_ornstein_uhlenbeck_in_closed_form_and_on_a_mesh(a, beta, m, s):
    tau = 0.2
    energy, square = ou(m, s, a, beta, tau)
    before = float(jko.exact.gaussian_energy([m], [[s * s]], A=a, beta=beta))
    integral = quad(lambda r: 0.5 * ou(m, s, a, beta, r)[1] / r**2, 0, tau, epsabs=1e-12)[0]
    assert abs(before - energy - square / (2 * tau) - integral) < 1e-10
    found = {}
    for n in (100, 200):
        edges = m + s * torch.linspace(-7, 7, n + 1, dtype=torch.float64)
        cdf = torch.special.ndtr((edges - m) / s)
        masses = cdf.diff() / (cdf[-1] - cdf[0])
        F = a * jko.SquaredNorm() + beta * jko.Entropy()
        found[n] = variational(F, jko.LineMesh(edges, masses), tau=tau)
        assert abs(found[n].residual) < 1e-10
    errors = [abs(found[n].sloped - integral) for n in (100, 200)]
    assert errors[1] < 0.3 * errors[0] < 1e-2 * integral  # of second order in the cells


def test_pairs_on_a_mesh_leave_nothing():
    mesh = jko.ChargedMesh.from_function(
        lambda x: (-(x[:, 0] ** 2)).exp(), lambda x: x[:, 0].sin(), (-4.0, 4.0), 60
    )
    data = jko.Data([[0.3], [-1.0], [2.0]], [1.0, -0.5, 0.2])
    G = (
        jko.Risk(data, activation=lambda theta, x: torch.tanh(theta + x.T))
        + 0.3 * jko.Entropy()
        + jko.SquaredNorm()
    )
    found = variational(G, mesh, tau=0.3)
    assert abs(found.residual) < 1e-9
    assert abs(found.left) < 1e-7


def test_on_a_grid_the_residual_is_of_second_order_in_the_cells():
    F = 1.5 * jko.SquaredNorm() + 0.6 * jko.Entropy()
    left = []
    for n in (50, 100):
        rho = jko.GridDensity.from_function(
            jko.Grid((-5, 5), n), lambda x: (-((x[:, 0] - 1) ** 2) * 0.5).exp()
        )
        left.append(abs(variational(F, rho, tau=0.2).residual))
    assert left[0] < 2e-4
    assert left[1] < 0.3 * left[0]


def shoulder(height, steep, tilt):
    """A slope, then a fall at 1, then a slope: a short step stays before it, a long one goes beyond."""
    return lambda x: 0.5 * height * torch.tanh(steep * (1 - x)) - tilt * x


def meeting(V, y):
    """By brute force: the length of step where the minima before and beyond the fall are equally low."""

    def least(s, bounds):
        found = minimize_scalar(
            lambda x: float(V(torch.tensor(x, dtype=torch.float64))) + (x - y) ** 2 / (2 * s),
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-12},
        )
        return found.fun, found.x

    def over(s):
        return least(s, (y, 0.75))[0] - least(s, (0.9, 2.5))[0]

    s = brentq(over, 0.05, 1.5, xtol=1e-10)
    return s, [abs(least(s, bounds)[1] - y) for bounds in ((y, 0.75), (0.9, 2.5))]


@pytest.mark.parametrize(
    ("height", "steep", "tilt", "y", "tau"),
    [
        (1.0, 4.0, 0.02, 0.3, 0.5),
        (1.0, 4.0, 0.02, 0.3, 3.0),
        pytest.param(1.6, 5.0, 0.05, 0.2, 1.0, marks=pytest.mark.slow),
    ],
)
def test_a_jump_is_where_two_minima_are_equally_low(height, steep, tilt, y, tau):
    V = shoulder(height, steep, tilt)
    found = variational(jko.Potential(lambda x: V(x[:, 0])), jko.Particles([[y]]), tau=tau)
    s, (below, above) = meeting(V, y)
    (jump,) = found.jumps
    assert jump.s == pytest.approx(s, abs=1e-7)
    assert (jump.below, jump.above) == pytest.approx((below, above), abs=1e-5)
    assert abs(jump.gap) < 1e-9
    assert abs(found.residual) < 1e-8  # all the same


def test_a_step_that_misses_the_lowest_minimum_is_told():
    V = shoulder(1.0, 4.0, 0.02)
    E, start = jko.Potential(lambda x: V(x[:, 0])), jko.Particles([[0.3]])
    near = jko.step(E, start, tau=0.5, solver=jko.BlockNewton())
    run = jko.flow(E, start, tau=0.5, steps=1, solver=jko.BlockNewton())
    found = maximal_slope(E, run)
    lowest = variational(E, start, tau=0.5)
    gap = near.objective - (float(E(lowest.end)) + lowest.moved)
    assert found.missed[0] == pytest.approx(gap, abs=1e-9)
    assert found.residuals[0] == pytest.approx(-gap, abs=1e-8)


def test_walls_hold_back_a_slope():
    """V = -x from 1/2 in [0, 1]: mu_s = min(1/2 + s, 1), whose slope is 0 at the wall."""
    start = jko.Particles([[0.5]], domain=jko.Box(0.0, 1.0))
    found = variational(jko.Potential(lambda x: -x[:, 0]), start, tau=1.0)
    assert abs(found.residual) < 1e-8
    assert found.left == pytest.approx(0.125, abs=1e-4)


def test_a_run_sums_to_the_equality_of_energy_and_dissipation():
    energy, start = network(3), pair(2, 8, 2)
    run = jko.flow(energy, start, tau=0.3, steps=4, solver=jko.BlockNewton())
    found = maximal_slope(energy, run)
    assert found.worst < 1e-9
    assert found.total == pytest.approx(found.residuals.sum())
    fall = run.energies[0] - run.energies[-1]
    assert (found.moved + found.sloped).sum() == pytest.approx(fall, rel=1e-8)
    coarse = maximal_slope(energy, jko.flow(energy, start, tau=0.3, steps=4))
    assert (coarse.missed > 0).all()
    assert coarse.residuals == pytest.approx(
        -coarse.missed, abs=1e-9
    )  # steps of one length from the run's own states


def test_the_order_of_what_is_not_exact():
    energy, start = network(1), pair(1, 6, 2)
    found = energy_dissipation(energy, start, t1=0.2, taus=[0.1, 0.05])
    assert np.abs(found.residuals).max() < 1e-9
    assert found.ends.order == pytest.approx(1, abs=0.2)
    for nodes in (1, 2):
        few = energy_dissipation(
            energy, start, t1=0.2, taus=[0.2, 0.1], nodes=nodes, tol=float("inf")
        )
        orders = [np.log2(abs(a / b)) for a, b in pairwise(few.residuals)]
        assert orders[-1] == pytest.approx(2 * nodes, abs=0.4)


def test_what_is_refused_says_what_to_do():
    grid = jko.Grid((0.0, 1.0), 4)
    pairs = jko.ChargedDensity(grid, torch.ones(4), torch.zeros(4))
    with pytest.raises(TypeError, match=r"to_particles"):
        variational(jko.SquaredNorm(), pairs, tau=0.1)
    mesh = jko.LineMesh([0.0, 1.0, 2.0], [0.5, 0.5])
    crowd = jko.SquaredNorm() + jko.energies.Congestion(1.0)
    with pytest.raises(ValueError, match="PorousMedium"):
        variational(crowd, mesh, tau=0.1)
    with pytest.raises(ValueError, match="tol"):
        variational(jko.SquaredNorm(), mesh, tau=0.1, tol=0.0)
    start = jko.Particles([[1.0, 2.0]])
    scaled = jko.metrics.ScaledWasserstein([1.0, 2.0])
    run = jko.flow(jko.SquaredNorm(), start, tau=0.1, steps=2, metric=scaled)
    with pytest.raises(ValueError, match="natural metric"):
        maximal_slope(jko.SquaredNorm(), run)
    run = jko.flow(jko.SquaredNorm(), start, tau=0.1, steps=2, scheme=jko.SDIRK2())
    with pytest.raises(ValueError, match="without scheme="):
        maximal_slope(jko.SquaredNorm(), run)
    with pytest.raises(ValueError, match="save=1"):
        maximal_slope(
            jko.SquaredNorm(), jko.flow(jko.SquaredNorm(), start, tau=0.1, steps=4, save=2)
        )
