"""Steps with interactions on grids: Newton's method with the kernel's curvature; laws that are known exactly."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.steps.dynamic.collapse import gathered
from jko.steps.dynamic.curvature import SecondVariation
from jko.steps.dynamic.reduced import Reduced
from jko.steps.dynamic.response import responds
from jko.steps.dynamic.setting import GridSetting


def bump(shape, bounds=(-1.0, 1.0), centre=0.1, width=0.3):
    grid = jko.Grid(bounds, shape)
    return jko.GridDensity.from_function(
        grid, lambda x: (-((x - centre) ** 2).sum(-1) / width**2).exp()
    )


def log(z):
    return z.norm(dim=1).log()


def gauss(z):
    return torch.exp(-z.square().sum(-1) / 0.3)


def square(z):
    return z.square().sum(-1)


def second_moment(state):
    return float(state.integrate(state.support.square().sum(-1)))


@pytest.mark.parametrize(
    ("energy", "shape"),
    [
        (5 * jko.Interaction(gauss) + 0.1 * jko.Entropy(), (40,)),
        (jko.Interaction(gauss) + 0.05 * jko.PorousMedium(2), (24, 20)),
        (0.5 * jko.Interaction(log) + 0.2 * jko.PorousMedium(3), (10, 8, 9)),
    ],
)
def test_the_response_is_the_difference_of_two_solutions(energy, shape):
    """``S G`` and the slope of the objective, against solutions at z - h G."""
    rho = bump(shape)
    setting = GridSetting(jko.steps.StepProblem(energy, jko.Wasserstein(), rho, 0.05), None)
    step, cell = Reduced(setting, 1e-10, 200), rho.grid.cell
    with np.errstate(all="ignore"):
        at = step.reach(setting.variation(rho), None, 1e-10, None)
        S, _, _ = responds(at.solved).respond(at.G, 1e-8)
        step.spare, h = None, 1e-3
        there = step.reach(at.z - h * at.G, at.phi, 1e-10, 0)
    moved = (there.state.values - at.state.values).numpy() / h
    assert np.abs(moved - S).sum() <= 0.02 * np.abs(S).sum()
    slope = -cell * float((at.G * S).sum())
    assert (there.value - at.value) / h == pytest.approx(slope, rel=0.05)


class Rough(jko.Energy):
    """``1/3 sum_K |K| rho^3 x_0^2``, whose second variation torch knows, or not."""

    def __init__(self, recorded=True):
        self.recorded = recorded

    def __call__(self, state):
        return (self.variation(state) * state.weights).sum() / 3

    def variation(self, state, at=None):
        values = state.values if self.recorded else state.values.detach()
        return values.reshape(-1) ** 2 * state.support[:, 0] ** 2


@pytest.mark.parametrize("recorded", [True, False])
def test_second_variations(recorded):
    rho = bump((8, 6))
    energy = Rough(recorded) + 2 * jko.Interaction(gauss) + jko.Entropy()
    setting = GridSetting(jko.steps.StepProblem(energy, jko.Wasserstein(), rho, 0.05), None)
    d = np.random.default_rng(0).standard_normal(rho.grid.shape)
    found = SecondVariation(setting, rho)(d)
    mass = torch.from_numpy(d * rho.grid.cell).ravel()
    dense = 2 * jko.Interaction(gauss).between(rho.support, rho.support) @ mass
    own = 2 * rho.values.ravel() * rho.support[:, 0] ** 2 * torch.from_numpy(d).ravel()
    wanted = (dense + own).reshape(d.shape).numpy()
    exact = 1e-12 if recorded else 1e-4  # differences do not pass zero
    assert np.abs(found - wanted).max() <= exact * np.abs(wanted).max()


@pytest.mark.parametrize("c", [2.0, 3.5, 4.5, 6.0])
def test_keller_segel_spreads_or_gathers_at_its_rate(c):
    """``d_t rho = Lap rho + c div(rho grad log * rho)`` has ``d/dt int |x|^2 = 4 - c`` for a probability.

    Half of the double integral of ``x . (x - y) / |x - y|^2 + y . (y - x) / |x - y|^2 = 1``, twice.
    """
    rho = bump((96, 96), (-3.0, 3.0), 0.0, 0.7)
    E, tau = jko.Entropy() + c * jko.Interaction(log), 5e-3
    run = jko.flow(E, rho, tau=tau, steps=3, solver=jko.Dynamic(tol=1e-6))
    moments = [second_moment(state) for state in run.states]
    assert np.diff(moments) / tau == pytest.approx(4 - c, abs=0.02)
    assert min(run.slacks) >= 0


def test_keller_segel_far_above_the_critical_mass_collapses_and_says_so():
    rho = bump((48, 48), (-3.0, 3.0), 0.0, 0.7)
    E = jko.Entropy() + 16 * jko.Interaction(log)
    run = jko.flow(E, rho, tau=5e-3, steps=20, throw=False)
    assert run.status is jko.Status.COLLAPSED
    assert 0.01 < run.times[-1] < 0.04  # it must before var / 12
    assert not gathered(rho.values.numpy(), run.final.values.numpy())


@pytest.mark.parametrize("D", [1e-3 * jko.PorousMedium(2), 2e-4 * jko.Entropy()])
def test_the_ring_of_a_repulsion_that_an_attraction_ends(D):
    """``|z|^4/4 - |z|^2/2`` on a ring of radius R: ``1/2 (3/2 R^4 - R^2)``, least at ``R = 1/sqrt 3``."""
    rho = bump((48, 48), (-1.2, 1.2), 0.0, 0.6)
    E = jko.Interaction(lambda z: square(z) ** 2 / 4 - square(z) / 2)
    run = jko.flow(E + D, rho, tau=2.0, steps=12)
    radius = float(run.final.integrate(run.final.support.norm(dim=1)))
    assert radius == pytest.approx(3**-0.5, abs=0.5 * rho.grid.spacing[0])
    assert run.energies[-1] == pytest.approx(-1 / 12, abs=5e-3)


@pytest.mark.parametrize("D", [0.1 * jko.PorousMedium(2), 0.1 * jko.Entropy()])
@pytest.mark.parametrize("tau", [0.01, 1.0])
@pytest.mark.parametrize("shape", [(60,), (24, 24), (12, 10, 11)])
def test_a_square_is_a_well_about_the_mean(shape, tau, D):
    """``1/2 int int |x - y|^2 = int |x - mean|^2``, and the mean stays."""
    rho = bump(shape, (-1.0, 1.0), 0.0)
    tight = jko.Dynamic(tol=1e-8)
    pair = jko.step(jko.Interaction(square) + D, rho, tau=tau, solver=tight)
    well = jko.step(2 * jko.SquaredNorm() + D, rho, tau=tau, solver=tight)
    assert float((pair.state.values - well.state.values).abs().sum()) * rho.grid.cell < 1e-6
    assert pair.energy == pytest.approx(well.energy, abs=1e-8)


@pytest.mark.parametrize("D", [0.1 * jko.Entropy(), 0.1 * jko.PorousMedium(2)])
@pytest.mark.parametrize(("tau", "c"), [(0.01, 2.0), (1.0, 2.0), (0.1, 50.0)])
def test_a_repulsion_is_solved_to_its_gap(tau, c, D):
    """Where linearising again and again moves back and forth."""
    rho = bump((32, 32), (-2.0, 2.0))
    E = c * jko.Interaction(gauss, convex=True) + D
    result = jko.step(E, rho, tau=tau, solver=jko.Dynamic(tol=1e-7))
    found = result.certificate()
    assert result.status is jko.Status.CONVERGED
    assert result.slack >= 0
    assert found.rigorous
    assert 0 <= found.value < 1e-6 * c
    assert found.lower_bound <= found.reachable


@pytest.mark.parametrize(
    "W",
    [
        lambda z: square(z) ** 2 / 4 - square(z) / 2,
        lambda z: square(z) / 2 - log(z),
        lambda z: square(z) / 2 + 2 * torch.exp(-z.norm(dim=1) / 0.2),
        lambda z: -torch.exp(-z.norm(dim=1)) + 0.5 * torch.exp(-z.norm(dim=1) / 0.3),
    ],
    ids=["ring", "coulomb", "cusp", "morse"],
)
@pytest.mark.parametrize("tau", [0.05, 0.5])
@pytest.mark.parametrize("D", [1e-2 * jko.PorousMedium(2), 1e-3 * jko.Entropy()])
def test_attraction_and_repulsion_beside_little_diffusion(W, tau, D):
    rho = bump((32, 32), (-1.5, 1.5), 0.1, 0.5)
    run = jko.flow(jko.Interaction(W) + D, rho, tau=tau, steps=3)
    assert (np.diff(run.energies) <= 0).all()
    assert min(run.slacks) >= -1e-7


def test_beside_obstacles_and_in_chambers():
    """Two chambers that see each other through a wall: the masses stay, and the gap closes."""
    rho = bump((30, 20), (-1.0, 1.0), 0.0, 1.0)
    wall = jko.Potential(lambda x: torch.where(x[:, 0].abs() < 0.1, torch.inf, 0.0))
    open_ = wall.variation(rho).isfinite().reshape(rho.grid.shape)
    values = rho.values * open_
    rho = jko.GridDensity(rho.grid, values / values.sum() / rho.grid.cell)
    E = 3 * jko.Interaction(gauss, convex=True) + 0.1 * jko.Entropy() + wall
    result = jko.step(E, rho, tau=0.5, solver=jko.Dynamic(tol=1e-8))
    left, was = (float(state.values[:15].sum()) for state in (result.state, rho))
    assert left == pytest.approx(was, rel=1e-12)
    assert result.certificate().value < 1e-7


def test_the_tensor_path_is_the_same():
    rho = bump((20, 24))
    E = 3 * jko.Interaction(gauss) + 0.1 * jko.Entropy()
    one, two = (
        jko.step(E, rho, tau=0.3, solver=jko.Dynamic(tol=1e-9, compiled=compiled))
        for compiled in (True, False)
    )
    assert torch.allclose(one.state.values, two.state.values, rtol=1e-6, atol=1e-9)


def test_a_risk_beside_it():
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    risk = jko.Risk(
        jko.Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T),
    )
    rho = bump((20, 20), (-2.0, 2.0), 0.0, 1.0)
    E = risk + 0.5 * jko.Interaction(gauss, convex=True) + 0.05 * jko.Entropy()
    result = jko.step(E, rho, tau=0.5, solver=jko.Dynamic(tol=1e-8))
    assert result.slack >= 0
    assert result.certificate().value < 1e-7


def test_an_odd_kernel_is_refused_in_a_step():
    with pytest.raises(ValueError, match="kernel W is odd"):
        jko.step(jko.Interaction(lambda z: z[:, 0]) + jko.Entropy(), bump((8, 8)), tau=0.1)


def test_an_attraction_on_the_line_as_the_mesh_has_it():
    """Against :class:`jko.Quantile`, which has another discretisation of everything."""
    rho = bump((160,), (-2.0, 2.0), 0.3, 0.5)
    E = jko.Interaction(gauss) * -1.5 + 0.3 * jko.PorousMedium(2)
    grid = jko.flow(E, rho, tau=0.02, steps=5, solver=jko.Dynamic(tol=1e-7)).final
    mesh = jko.flow(E, jko.LineMesh.from_density(rho), tau=0.02, steps=5).final
    wrong = float((mesh.to_density(rho.grid).values - grid.values).abs().sum()) * rho.grid.cell
    assert wrong < 1e-2
    assert math.isclose(
        second_moment(grid), float(mesh.integrate(mesh.support[:, 0] ** 2)), rel_tol=2e-3
    )


def test_finite_volumes_have_the_same_aggregation():
    rho = bump((32, 32), (-3.0, 3.0), 0.0, 0.9)
    E = jko.Entropy() + 3 * jko.Interaction(log)
    limit = jko.limits.wasserstein(E, rho, t1=0.02).final
    found = jko.flow(E, rho, tau=2e-3, steps=10, scheme=jko.SDIRK2()).final
    assert float((found.values - limit.values).abs().sum()) * rho.grid.cell < 2e-3
