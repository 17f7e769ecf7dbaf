"""SDIRK2 is of second order in tau for atoms, meshes and densities; what goes beyond a step goes along its geodesic."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from problems import split, tanh_energy, tanh_network
from scipy.special import ndtr

import jko
from jko import exact
from jko.schemes import SDIRK2, Implicit
from jko.schemes.sdirk2 import GAMMA, RATIO
from jko.steps.beyond import beyond
from jko.steps.dynamic import Dynamic
from jko.steps.line import Quantile
from jko.steps.push import push

NEWTON = jko.BlockNewton(tol=1e-12)


def orders(errors):
    return np.log2(np.divide(errors[:-1], errors[1:]))


def mesh_of(mass, lower, upper, N):
    edges = np.linspace(lower, upper, N + 1)
    masses = np.diff(mass(edges))
    return jko.LineMesh(edges, masses / masses.sum())


def mass_error(mesh, mass):
    return np.abs(np.diff(mass(mesh.edges.numpy())) - mesh.masses.numpy()).sum()


def on_cells(grid, function, points=4):
    """Means of a function over the cells of a grid, normalised."""
    offsets = (np.arange(points) + 0.5) / points - 0.5
    centres, h = grid.centres.numpy(), np.array(grid.spacing)
    shifts = itertools.product(offsets, repeat=grid.dim)
    values = sum(function(centres + np.array(shift) * h) for shift in shifts)
    return values.reshape(grid.shape) / (values.sum() * grid.cell)


# Order


@pytest.mark.parametrize("kind", ["measure", "pair"])
def test_second_order_on_atoms(kind):
    x, f, lam, xi = tanh_network()
    energy = tanh_energy(x, f, lam)
    start = jko.Particles(xi) if kind == "measure" else jko.ChargedParticles(xi[:, 1:], xi[:, 0])
    table = jko.convergence(
        lambda tau: jko.flow(energy, start, tau=tau, t1=0.5, solver=NEWTON, scheme=SDIRK2()),
        jko.limits.wasserstein(energy, start, t1=0.5, rtol=1e-11),
        parameters=(1 / 8, 1 / 16, 1 / 32, 1 / 64),
    )
    assert np.abs(table.orders - 2).max() < 0.06, f"\n{table}"
    assert table.errors[-1] < 1e-5


def test_second_order_on_the_line_for_a_porous_medium():
    R, S = (float(exact.barenblatt_flow(0.0, m=2, d=1, c=2.0, t=t)) for t in (2e-4, 1.2e-3))
    start, errors = mesh_of(lambda x: exact.barenblatt_mass(x, R=R), -R, R, 1000), []
    for steps in (4, 8, 16):
        run = jko.flow(
            2 * jko.PorousMedium(2), start, tau=1e-3 / steps, steps=steps, scheme=SDIRK2()
        )
        errors.append(mass_error(run.final, lambda x: exact.barenblatt_mass(x, R=S)))
    assert orders(errors).min() > 1.8
    assert errors[-1] < 2e-4


def test_second_order_on_the_line_for_ornstein_and_uhlenbeck():
    energy, start = (
        jko.Entropy() + 2 * jko.SquaredNorm(),
        mesh_of(lambda x: ndtr((x - 1) / 0.4), -1.6, 3.6, 1000),
    )
    law, errors = exact.gaussian_flow([1.0], [[0.16]], A=2.0, beta=1.0, t=0.4), []
    for steps in (2, 4, 8, 16):
        mu = jko.flow(energy, start, tau=0.4 / steps, steps=steps, scheme=SDIRK2()).final
        end = lambda x: ndtr((x - law.mean[0]) / law.covariance[0, 0] ** 0.5)  # noqa: E731
        errors.append(mass_error(mu, end))
    assert orders(errors).min() > 1.9


def test_second_order_on_a_grid():
    """A normal law under entropy and a quadratic well, against many steps on the same grid."""
    grid = jko.Grid((0.0, 1.0), (64, 64))
    energy = jko.Entropy() + jko.Potential(lambda x: 50 * ((x - 0.5) ** 2).sum(-1))
    normal = on_cells(grid, lambda x: np.exp(-((x - 0.4) ** 2).sum(-1) / 0.0072))
    start = jko.GridDensity(grid, normal)

    def run(steps):
        solver = Dynamic(tol=1e-8)
        return jko.flow(
            energy, start, tau=5e-3 / steps, steps=steps, scheme=SDIRK2(), solver=solver
        )

    exact_, errors = run(40).final.values, []
    for steps in (1, 2, 4, 8):
        trajectory = run(steps)
        assert (trajectory.columns["fallback"] == 0).all()
        errors.append(float((trajectory.final.values - exact_).abs().sum()) * grid.cell)
    assert orders(errors).min() > 1.9


def test_a_few_steps_on_a_grid_come_near_the_porous_medium_equation():
    grid = jko.Grid((0.0, 1.0), (128, 128))
    start, end = (
        on_cells(
            grid,
            lambda x, t=t: exact.barenblatt(
                x, R=float(exact.barenblatt_flow(0.0, m=2, d=2, c=2.0, t=t)), centre=0.5
            ),
        )
        for t in (2e-4, 1.2e-3)
    )
    errors = []
    for scheme in (Implicit(), SDIRK2()):
        run = jko.flow(
            2 * jko.PorousMedium(2),
            jko.GridDensity(grid, start),
            tau=1e-3 / 12,
            steps=12,
            scheme=scheme,
        )
        errors.append(np.abs(run.final.values.numpy() - end).sum() * grid.cell)
        assert (np.diff(run.energies) < 0).all()
    assert errors[1] < 1e-3
    assert errors[0] > 20 * errors[1]


# One step of it


def test_the_recipe_on_a_quadratic_well_is_the_rational_function_of_the_method():
    """``R(z) = (1 + (1 - 2 g) z) / (1 - g z)^2`` with z = -tau, for x' = -x."""
    z = -0.7
    rate = (1 + (1 - 2 * GAMMA) * z) / (1 - GAMMA * z) ** 2
    result = SDIRK2().advance(jko.SquaredNorm(), jko.Particles([[2.0]]), tau=0.7, solver=NEWTON)
    assert float(result.state.points) == pytest.approx(2 * rate, rel=1e-11)
    assert result.figures == {"fallback": 0.0}
    assert pytest.approx((1 - 2 * GAMMA) / GAMMA) == RATIO


def test_the_result_speaks_of_the_whole_step():
    energy = jko.Entropy() + jko.SquaredNorm()
    start = mesh_of(lambda x: ndtr((x - 1) / 0.5), -1, 3, 200)
    result = SDIRK2().advance(energy, start, tau=0.2)
    way = jko.distance(result.state.atoms, start.atoms).squared
    assert way * (1 - 1e-3) <= result.cost <= way * 1.05
    assert result.energy == pytest.approx(float(energy(result.state)), rel=1e-12)
    slack = float(energy(start)) - result.energy - result.cost / 0.4
    assert result.slack == pytest.approx(slack, rel=1e-9)
    assert result.objective == result.energy + result.cost / 0.4
    assert result.problem.tau == 0.2
    assert result.problem.previous is start
    assert not result.coupling.optimal


def test_where_the_mesh_folds_one_plain_step_is_taken():
    energy, start = jko.SquaredNorm() + 0.01 * jko.Entropy(), mesh_of(ndtr, -3, 3, 50)
    result = SDIRK2().advance(energy, start, tau=10.0)
    assert result.figures == {"fallback": 1.0}
    plain = jko.step(energy, start, tau=10.0)
    assert torch.equal(result.state.edges, plain.state.edges)
    assert result.iterations > plain.iterations


def test_where_the_energy_would_rise_one_plain_step_is_taken():
    """Down a slope to x = 1, then up a cliff: the move beyond 1 ends in a hollow on the cliff's top."""

    def V(z):
        x = z[:, 0]
        return -x + 10 * torch.sigmoid(40 * (x - 1.3)) - 5 * (-10 * (x - 2.4) ** 2).exp()

    start, tau = jko.Particles([[0.0]]), 1 / GAMMA
    result = SDIRK2().advance(jko.Potential(V), start, tau=tau, solver=NEWTON)
    plain = jko.step(jko.Potential(V), start, tau=tau, solver=NEWTON)
    assert result.figures == {"fallback": 1.0}
    assert torch.equal(result.state.points, plain.state.points)
    assert result.energy < 0 < float(V(torch.tensor([[1 + RATIO]], dtype=torch.float64)))


def test_a_failing_stage_is_not_hidden():
    energy = jko.Entropy() + 100 * jko.SquaredNorm()
    start = mesh_of(ndtr, -5, 5, 50)
    result = SDIRK2().advance(energy, start, tau=1.0, solver=Quantile(max_iterations=1))
    assert result.status is jko.Status.MAX_ITERATIONS
    with pytest.raises(jko.StepFailed, match="MAX_ITERATIONS"):
        jko.flow(
            energy, start, tau=1.0, steps=3, scheme=SDIRK2(), solver=Quantile(max_iterations=1)
        )


def test_memory_changes_the_work_and_not_the_step():
    x, f, lam, xi = tanh_network()
    energy, scheme = tanh_energy(x, f, lam), SDIRK2()
    first = scheme.advance(energy, jko.Particles(xi), tau=0.2, solver=NEWTON)
    pair = [
        scheme.advance(energy, first.state, tau=0.2, solver=NEWTON, memory=memory)
        for memory in (None, first.memory)
    ]
    assert float((pair[0].state.points - pair[1].state.points).abs().max()) < 1e-11
    assert pair[0].slack == pytest.approx(pair[1].slack, abs=1e-13)


@pytest.mark.parametrize("scheme", [Implicit(), SDIRK2()], ids=["implicit", "sdirk2"])
def test_a_resumed_run_has_the_bits_of_the_whole(scheme, tmp_path):
    energy, start = (
        jko.Entropy() + jko.SquaredNorm(),
        mesh_of(lambda x: ndtr(2 * x - 2), -1, 3, 100),
    )
    whole = jko.flow(energy, start, tau=0.05, steps=4, scheme=scheme)
    jko.flow(energy, start, tau=0.05, steps=2, scheme=scheme, checkpoint=tmp_path / "run")
    half = jko.Trajectory.load(next(tmp_path.iterdir()))
    again = jko.flow(energy, half, tau=0.05, steps=4, scheme=scheme)
    assert torch.equal(whole.final.edges, again.final.edges)
    assert (whole.slacks == again.slacks).all()


# Beyond a step


def test_going_on_by_nothing_stays_and_by_one_doubles_the_step():
    start = jko.Particles([[2.0, 0.0], [-1.0, 1.0]], [0.3, 0.7])
    result = jko.step(jko.SquaredNorm(), start, tau=0.5, solver=NEWTON)
    assert torch.equal(beyond(result, 0.0).points, result.state.points)
    twice = 2 * result.state.points - start.points
    assert torch.equal(beyond(result, 1.0).points, twice)


def test_what_goes_on_stops_at_the_walls():
    box, energy = jko.Box(-1.0, 1.0), jko.Potential(lambda z: -z[:, 0])
    atoms = jko.step(energy, jko.Particles([[0.0], [0.5]], domain=box), tau=0.3, solver=NEWTON)
    assert beyond(atoms, 2.0).points[:, 0].tolist() == pytest.approx([0.9, 1.0], abs=1e-9)
    cells = jko.LineMesh([-0.5, 0.0, 0.5], [0.5, 0.5], box)
    mesh = jko.step(jko.Entropy(), cells, tau=0.2)
    assert beyond(mesh, 10.0).edges.tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-9)


def test_a_mesh_that_folds_and_atoms_that_meet_have_no_beyond():
    mesh = jko.step(jko.SquaredNorm(), jko.LineMesh([-1.0, 0.0, 1.0], [0.5, 0.5]), tau=1.0)
    assert beyond(mesh, 0.9) is not None
    assert beyond(mesh, 1.1) is None
    pair = jko.ChargedParticles([[-1.0], [1.0]], [0.5, -0.25])
    result = jko.step(jko.SquaredNorm(), pair, tau=1.0, solver=NEWTON)
    halves = jko.ChargedParticles([[-0.5], [0.5]], [0.3, -0.1])
    met = replace(result, state=halves, cost=float(jko.GraphWasserstein().cost(halves, pair)))
    assert beyond(met, 1.0) is None


def test_atoms_that_were_split_go_on_along_the_gradient():
    """-tau grad dE/dmu is where they came from, with the plan of the step and where it is not known."""
    problem = split()
    solver = jko.Plans(jko.BlockNewton(tol=1e-11))
    result = jko.step(problem.energy, problem.start, tau=problem.tau, solver=solver)
    assert result.state.N == 3
    move = -problem.tau * problem.energy.gradient(result.state)
    for cost in (result.cost, 2 * result.cost):  # the second is not that of the indices
        new = beyond(replace(result, cost=cost), 0.5)
        assert float((new.points - result.state.points - 0.5 * move).abs().max()) < 1e-10


def test_a_grid_solver_without_a_potential_is_refused():
    rho = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 16), lambda x: 1 + x[:, 0])
    result = replace(jko.step(jko.Entropy(), rho, tau=0.01, solver=Dynamic()), memory={})
    with pytest.raises(ValueError, match=r"no potential.*jko\.Dynamic\(\)"):
        beyond(result, 1.0)


# The push of a density


def squeezed(d, n, time, tau=0.1, a=1.2, c=0.1):
    """A normal law, pushed by ``p = a |x|^2/2 + c x_1``, and where it should be: at (1 - time a) x - time c e_1."""
    h = 2.0 / n
    axis = -1 + h * (np.arange(n) + 0.5)
    x = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1)
    A = (np.sqrt(1 + 2 * tau * a) - 1) / tau  # phi + tau/4 |grad phi|^2 = p up to a constant
    phi = A / 2 * (x**2).sum(-1) + c / (1 + tau * A / 2) * x[..., 0]
    away = np.array([-time * c] + [0.0] * (d - 1))
    rho, end = (
        np.exp(-((x - m) ** 2).sum(-1) / (2 * s**2))
        for m, s in ((0, 0.15), (away, 0.15 * (1 - time * a)))
    )
    rho, end = (r / (r.sum() * h**d) for r in (rho, end))
    new = push(rho, phi, (h,) * d, tau=tau, time=time)
    return rho, new, np.abs(new - end).sum() * h**d


@pytest.mark.parametrize(
    ("d", "cells"), [(1, (64, 128, 256)), (2, (32, 64, 128)), (3, (16, 32, 64))]
)
def test_a_push_is_of_second_order_in_the_cells(d, cells):
    errors = [squeezed(d, n, 0.01)[2] for n in cells]
    assert orders(errors).min() > 1.8


def test_a_push_is_of_third_order_in_its_time():
    errors = [squeezed(1, 2000, time)[2] for time in (0.2, 0.1, 0.05)]
    assert np.abs(orders(errors) - 3).max() < 0.2


@pytest.mark.parametrize("shape", [(40,), (12, 17), (6, 9, 7)], ids=len)
def test_a_push_keeps_mass_sign_and_closed_cells(shape):
    rng = np.random.default_rng(len(shape))
    closed = rng.uniform(size=shape) < 0.15
    rho = np.where(closed | (rng.uniform(size=shape) < 0.5), 0.0, rng.uniform(size=shape))
    phi = np.where(closed, np.inf, 0.05 * rng.standard_normal(shape))
    new = push(rho, phi, (0.1,) * len(shape), tau=0.01, time=0.1, closed=closed)
    assert abs(new.sum() - rho.sum()) <= 1e-14 * rho.sum()
    assert new.min() >= 0
    assert (new[closed] == 0).all()
    assert np.abs(new - rho).max() > 0.1


def test_a_push_does_not_care_for_the_order_of_axes():
    rng = np.random.default_rng(0)
    rho, phi = rng.uniform(size=(6, 9, 7)), 0.05 * rng.standard_normal((6, 9, 7))
    one = push(rho, phi, (0.1, 0.2, 0.3), tau=0.01, time=0.1)
    two = push(rho.transpose(2, 0, 1), phi.transpose(2, 0, 1), (0.3, 0.1, 0.2), tau=0.01, time=0.1)
    assert two.transpose(1, 2, 0) == pytest.approx(one, rel=1e-13)


def test_a_push_without_end_is_given_up():
    phi = 1e9 * np.random.default_rng(0).standard_normal(50)
    assert push(np.ones(50), phi, (0.02,), tau=0.1, time=0.1) is None


def test_an_obstacle_keeps_its_density_out_of_the_second_stage():
    grid = jko.Grid((0.0, 1.0), (24, 24))
    x = grid.centres
    inside = ((x - 0.5) ** 2).sum(-1) < 0.02
    wall = jko.Potential(
        lambda z: torch.where(((z - 0.5) ** 2).sum(-1) < 0.02, torch.inf, 2 * z[:, 0])
    )
    start = torch.where(inside, 0.0, 1.0).reshape(grid.shape).to(torch.float64)
    start = jko.GridDensity(grid, start / (start.sum() * grid.cell))
    run = jko.flow(
        wall + 0.1 * jko.Entropy(),
        start,
        tau=0.02,
        steps=4,
        scheme=SDIRK2(),
        solver=Dynamic(tol=1e-6),
    )
    assert float(run.final.values.reshape(-1)[inside].max()) == 0
    assert float(run.final.values.min()) >= 0
    assert float(run.final.mass) == pytest.approx(1.0, abs=1e-13)
    assert (np.diff(run.energies) < 0).all()
