"""The risk of a network in the grid step: its prices join the potential in one convex dual, whatever its strength."""

import cvxpy
import numpy as np
import pytest
import torch

import jko
from jko.status import Status
from jko.steps.dynamic import Dynamic
from jko.steps.dynamic.conjugates import Logarithmic, Quadratic
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.path import CornerPath, Moved
from jko.steps.dynamic.primal_dual import primal_dual
from jko.steps.dynamic.stepper import GridStep, Stepper

SPACINGS = {1: (0.2,), 2: (0.2, 0.13), 3: (0.2, 0.13, 0.3)}
SHAPES = {1: (9,), 2: (5, 6), 3: (3, 4, 3)}


def network(n, scale=1.0, internal=None, M=40):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(M)
    data = jko.Data(x[:, None], np.sin(2 * x) + 0.5 * x)
    risk = jko.Risk(data, features=lambda xi, x: torch.tanh(xi[:, 1:] * x[:, 0]) * xi[:, :1])
    internal = 0.05 * jko.Entropy() if internal is None else internal
    grid = jko.Grid((-4, 4), (n, n))
    rho = jko.GridDensity.from_function(
        grid, lambda z: torch.exp(-((z[:, 0] - 0.5) ** 2 + (z[:, 1] - 0.3) ** 2) / 2)
    )
    return scale**2 * risk + 0.1 * jko.SquaredNorm() + internal, rho


def on_the_line(n=24, internal=None):
    theta = jko.Data([[-1.0], [0.5], [2.0]], [1.0, -0.5, 0.3])
    risk = jko.Risk(theta, features=lambda t, x: torch.sin(3 * t * x[:, 0] + x[:, 0]))
    rho = jko.GridDensity.from_function(jko.Grid((-1, 1), n), lambda t: 1.3 + t[:, 0])
    return 4 * risk + (internal or 0.1 * jko.Entropy()), rho


def steps(energy, rho, tau, count, **options):
    results, memory = [], {}
    for _ in range(count):
        problem = jko.steps.StepProblem(energy, jko.Wasserstein(), rho, tau, memory)
        results.append(Dynamic(**options).solve(problem))
        rho, memory = results[-1].state, results[-1].memory
    return results


def joint_dual(kind, dim, obstacle=True):
    rng = np.random.default_rng(dim)
    shape = SHAPES[dim]
    V = 0.1 * rng.normal(size=shape)
    if obstacle:
        V.ravel()[2] = np.inf
    rho0 = rng.uniform(0.5, 1.5, shape) * np.isfinite(V)
    step = Stepper(GridStep(kind, rho0, V, SPACINGS[dim], 0.05, 1e-2))
    features = Features(rng.normal(size=(3, *shape)), rng.normal(size=3))
    phi = step.pad((1.0 + 0.2 * rng.normal(size=shape)) * np.isfinite(V))
    return Joint(step, features), phi, 0.3 * rng.normal(size=3), rng


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_gradient_of_the_joint_dual_is_that_of_finite_differences(dim):
    joint, phi, lam, rng = joint_dual(Logarithmic(0.7), dim)
    v = joint.stepper.pad(rng.normal(size=SHAPES[dim])) * (joint.stepper.rho0 > 0)
    u, h = rng.normal(size=3), 1e-5
    numeric = (joint.at(phi + h * v, lam + h * u) - joint.at(phi - h * v, lam - h * u)) / (2 * h)
    joint.outcome(phi, lam)
    assert numeric == pytest.approx(joint.stepper.F @ v + joint.F_lam @ u, rel=1e-7)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_newtons_step_solves_the_joint_newton_equation(dim):
    joint, phi, lam, _ = joint_dual(Logarithmic(0.7), dim)
    joint.outcome(phi, lam)
    F, F_lam = joint.stepper.F.copy(), joint.F_lam.copy()
    joint.stepper.prepare()
    dphi, dlam, _ = joint.newton(1e-13)
    h = 1e-5
    joint.outcome(phi + h * dphi, lam + h * dlam)
    up, up_lam = joint.stepper.F.copy(), joint.F_lam.copy()
    joint.outcome(phi - h * dphi, lam - h * dlam)
    assert (up - joint.stepper.F) / (2 * h) == pytest.approx(F, abs=1e-6 * abs(F).max())
    assert (up_lam - joint.F_lam) / (2 * h) == pytest.approx(F_lam, abs=1e-6 * abs(F_lam).max())


@pytest.mark.parametrize("kind", ["entropy", "quadratic"])
def test_the_minimum_is_that_of_a_conic_solver(kind):
    n, h, tau, eps = 6, 0.25, 0.3, 1e-2
    rng = np.random.default_rng(3)
    rho0 = rng.uniform(0.3, 1.0, n)
    rho0 /= rho0.sum() * h
    V, A, b = 0.2 * rng.normal(size=n), 3 * rng.normal(size=(2, n)), rng.normal(size=2)
    r, flux = cvxpy.Variable((2, n), nonneg=True), cvxpy.Variable(n + 1)
    rho = (r[0] + r[1]) / 2
    U = -cvxpy.entr(r) if kind == "entropy" else cvxpy.square(r) / 2
    # the mobility of a face: half the mean of rho_0, eps, and the corners next to it
    M = [(rho0[k] + rho0[k + 1]) / 4 + eps + (r[1, k] + r[0, k + 1]) / 4 for k in range(n - 1)]
    action = sum(cvxpy.quad_over_lin(flux[k + 1], M[k]) for k in range(n - 1))
    value = h * (0.4 * cvxpy.sum(U) / 2 + V @ rho + tau / 2 * action)
    value += cvxpy.sum_squares(h * A @ rho - b) / 2
    balance = [rho - rho0 + tau * (flux[1:] - flux[:-1]) / h == 0, flux[0] == 0, flux[n] == 0]
    best = cvxpy.Problem(cvxpy.Minimize(value), balance).solve(solver="CLARABEL")

    ours = Logarithmic(0.4) if kind == "entropy" else Quadratic(0.4)
    found = primal_dual(GridStep(ours, rho0, V, (h,), tau, eps), Features(A, b), 1e-11, 100, 0.0)
    assert found.outcome.residual <= 1e-11
    assert -h * found.joint.at(found.outcome.phi, found.lam) == pytest.approx(best, abs=1e-6)
    assert found.joint.stepper.crop(found.joint.stepper.rho) == pytest.approx(rho.value, abs=1e-4)
    assert found.lam == pytest.approx(h * A @ rho.value - b, abs=1e-4)


@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
def test_an_ordinary_step_takes_few_iterations_and_is_proved(tau):
    energy, rho = network(24)
    for result in steps(energy, rho, tau, 3, tol=1e-7):
        assert result.status is Status.CONVERGED
        assert result.slack > 0
        assert result.figures["newton"] <= 8
        assert abs(result.certificate().value) < 1e-8


@pytest.mark.parametrize(
    ("scale", "sigma", "tau"), [(5, 0.05, 0.1), (10, 0.05, 0.2), (10, 0.005, 0.02)]
)
def test_a_strong_risk_converges_and_the_energy_falls(scale, sigma, tau):
    energy, rho = network(24, scale, sigma * jko.Entropy())
    before = float(energy(rho))
    for k, result in enumerate(steps(energy, rho, tau, 3, tol=1e-6)):
        assert result.status is Status.CONVERGED
        assert result.residual <= 1e-6
        assert result.energy + result.cost / (2 * tau) <= before
        assert result.figures["newton"] <= (40 if k == 0 else 25)
        assert result.certificate().value < 1e-5
        before = result.energy


def test_a_porous_medium_regularisation_converges_to_its_own_dual():
    energy, rho = network(16, 1.0, 0.05 * jko.PorousMedium(2))
    for result in steps(energy, rho, 0.2, 2, tol=1e-6):
        assert result.status is Status.CONVERGED
        assert result.slack > 0
        assert abs(result.certificate().value) < 1e-8


@pytest.mark.parametrize("c", [0.1, 0.01])
def test_a_weak_porous_medium_with_a_risk_descends(c):
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    data = jko.Data(x, 0.5 * torch.sin(2 * x[:, 0]))
    risk = jko.Risk(data, features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T))
    rho = jko.GridDensity.from_function(
        jko.Grid((-4, 4), (40, 40)), lambda xi: (1 - (xi**2).sum(-1) / 1.5).clamp(min=0)
    )
    F = risk + 1e-3 * jko.SquaredNorm() + c * jko.PorousMedium(2)
    for result in steps(F, rho, 0.5, 3, tol=1e-6):
        assert result.status is Status.CONVERGED
        assert result.slack > 0
        assert -1e-12 < result.certificate().value < 1e-7


@pytest.mark.parametrize("scale", [5.0, 10.0])
def test_features_scaled_up_against_the_same_targets_converge(scale):
    x = np.random.default_rng(0).standard_normal(40)
    data = jko.Data(x[:, None], np.sin(2 * x) + 0.5 * x)
    risk = jko.Risk(
        data, features=lambda xi, x: scale * torch.tanh(xi[:, 1:] * x[:, 0]) * xi[:, :1]
    )
    _, rho = network(32)
    F = risk + 0.1 * jko.SquaredNorm() + 0.05 * jko.Entropy()
    for result in steps(F, rho, 0.1, 3, tol=1e-6):
        assert result.status is Status.CONVERGED
        assert result.slack > 0


@pytest.mark.parametrize("internal", [0.1 * jko.Entropy(), 0.5 * jko.PorousMedium(2)])
def test_general_features_on_the_line_have_no_gap(internal):
    energy, rho = on_the_line(internal=internal)
    (result,) = steps(energy, rho, 0.3, 1, tol=1e-9)
    assert result.status is Status.CONVERGED
    gap = result.certificate()
    assert gap.rigorous
    assert abs(gap.value) < 1e-9
    # the densities of a cell's corners have no less energy than their mean
    assert result.objective <= gap.reachable + 1e-9
    assert result.energy == pytest.approx(float(energy(result.state)), abs=1e-9)


def test_a_step_satisfies_the_equation_of_euler_and_lagrange():
    # phi + tau/4 |grad phi|^2 = E'(rho) + V + A^T (A m - b): phi belongs to the middle of the time step
    tau, beta = 0.05, 0.1
    energy, rho = on_the_line(400, beta * jko.Entropy())
    (result,) = steps(energy, rho, tau, 1, tol=1e-10)
    phi, state = result.memory["potential"], result.state
    slope = torch.gradient(phi, spacing=float(rho.grid.spacing[0]))[0]
    risk = next(E for c, E in energy.terms if isinstance(E, jko.Risk))
    total = 4 * risk.variation(state) + beta * state.values.log()
    difference = (phi + tau / 4 * slope**2 - total)[2:-2]
    assert float(difference.max() - difference.min()) < 1e-3


def test_a_risk_in_three_dimensions_converges():
    data = jko.Data([[0.5], [-1.0]], [0.5, -0.5])
    risk = jko.Risk(data, activation=jko.Ridge(torch.tanh))
    rho = jko.GridDensity.from_function(
        jko.Grid((-2, 2), (8, 6, 8)), lambda z: torch.exp(-(z**2).sum(-1))
    )
    (result,) = steps(20 * risk + 0.05 * jko.Entropy(), rho, 0.1, 1, tol=1e-8)
    assert result.status is Status.CONVERGED
    assert result.slack > 0
    assert abs(result.certificate().value) < 1e-8


def test_a_risk_beside_an_interaction_and_an_obstacle_converges():
    energy, rho = on_the_line()
    wall = jko.Potential(lambda t: torch.where(t[:, 0] > 0.9, torch.inf, 0 * t[:, 0]))
    pair = jko.Interaction(lambda z: 0.5 * (z**2).sum(-1))
    values = rho.values * (rho.grid.axes[0] <= 0.9)
    rho = jko.GridDensity(rho.grid, values / (values.sum() * rho.grid.cell))
    (result,) = steps(energy + wall + pair, rho, 0.1, 1, tol=1e-7)
    assert result.status is Status.CONVERGED
    assert result.slack > 0
    assert float(result.state.values[-1]) == 0


def test_features_are_compressed_once_for_a_flow():
    energy, rho = network(12)
    calls = []
    features = energy.terms[0][1].features
    risk = jko.Risk(
        energy.terms[0][1].data, features=lambda xi, x: (calls.append(1), features(xi, x))[1]
    )
    steps(risk + 0.05 * jko.Entropy(), rho, 0.1, 3)
    once = len(calls)
    steps(risk + 0.05 * jko.Entropy(), rho, 0.1, 3)  # another energy
    assert len(calls) == 2 * once


def test_paths_lead_to_the_energy_of_the_step():
    data = GridStep(Logarithmic(0.2), np.ones(4), np.zeros(4), (1.0,), 1.0, 1e-3)
    joint = Joint(Stepper(data), Features.none((4,)))
    good = Moved(0.01, 0.0)
    entropic = CornerPath.of(joint, 10.0)
    assert entropic.kind == Logarithmic(0.2 * 16)
    entropic.closer(0.01, good, 1e-4)
    entropic.closer(1.0, good, 1e-4)  # too far off to go on
    assert entropic.kind == Logarithmic(0.2 * 4)
    entropic.closer(0.01, good, 1e-4)
    entropic.closer(0.01, good, 1e-4)
    assert entropic.kind == Logarithmic(0.2)
    joint = Joint(Stepper(data._replace(kind=Quadratic(2.0))), Features.none((4,)))
    power, longer = CornerPath.of(joint), CornerPath.of(joint, 7.0)
    assert power.mu == pytest.approx(0.1 * 1.0 * 2.0)
    assert longer.mu == pytest.approx(7 * power.mu)
    for path in (power, longer):
        assert path.r * path.s == pytest.approx(path.mu)
    power.closer(1.0, good, 1e-4)
    assert power.mu == pytest.approx(0.1 * 1.0 * 2.0)
    power.closer(0.01, Moved(0.01, 0.1), 1e-4)  # densities were cut off
    assert power.mu == pytest.approx(0.1 * 1.0 * 2.0)
    power.closer(0.01, good, 1e-4)
    assert power.mu == pytest.approx(0.02 * 0.1 * 1.0 * 2.0)
