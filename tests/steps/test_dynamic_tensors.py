"""The torch path of the grid step, on CPU tensors: its own derivatives, its hierarchy, and the compiled path."""

import numpy as np
import pytest
import torch

import jko
from jko.steps.dynamic.conjugates import kind_of
from jko.steps.dynamic.guess import first_guess
from jko.steps.dynamic.layout import layout
from jko.steps.dynamic.newton import newton
from jko.steps.dynamic.stepper import GridStep, Stepper
from jko.steps.dynamic.tensors import TensorStepper
from jko.steps.dynamic.tensors.conjugates import conjugate
from jko.steps.dynamic.tensors.dual import evaluate
from jko.steps.dynamic.tensors.multigrid import StencilHierarchy

CPU = torch.device("cpu")
SUMS = {
    "heat": ((0.3, jko.Entropy()),),
    "m = 2": ((2.0, jko.PorousMedium(2.0)),),
    "m = 1.5": ((1.0, jko.PorousMedium(1.5)),),
    "m = 3": ((1.0, jko.PorousMedium(3.0)),),
    "a sum": ((0.3, jko.Entropy()), (1.0, jko.PorousMedium(2.0)), (0.5, jko.PorousMedium(3.0))),
}


@pytest.mark.parametrize("name", SUMS)
def test_the_conjugate_attains_its_supremum(name):
    p = torch.tensor([-torch.inf, -3.0, -0.2, 0.0, 0.4, 1.0, 1.6], dtype=torch.float64)
    value, r, w = conjugate(jko.energies.Mixture.of(SUMS[name]), p)
    rho = torch.logspace(-12, 2, 40001, dtype=torch.float64)
    U = sum(c * E.U(rho) for c, E in SUMS[name])
    brute = (p[1:, None] * rho - U).amax(1).clamp(min=0)
    assert torch.allclose(value[1:], brute, rtol=1e-6, atol=1e-12)
    e = 1e-6
    up, down = (conjugate(jko.energies.Mixture.of(SUMS[name]), p[4:] + s * e) for s in (1, -1))
    assert torch.allclose((up[0] - down[0]) / (2 * e), r[4:], rtol=1e-8)
    assert torch.allclose((up[1] - down[1]) / (2 * e), w[4:], rtol=1e-6)
    assert (float(value[0]), float(r[0]), float(w[0])) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("shape", [(9, 1), (5, 7), (4, 5, 6)])
def test_gradient_and_hessian_are_derivatives(shape, name):
    generator = torch.Generator().manual_seed(3)

    def random(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    free = torch.ones(shape, dtype=torch.float64)
    free.view(-1)[4] = 0  # an obstacle
    plan = layout(shape, [0.3, 0.2, 0.25][: len(shape)], free.bool().numpy())
    levels = StencilHierarchy(plan, CPU)

    def pad(x, fill=0.0):
        return torch.from_numpy(plan.pad(x.numpy(), fill))

    V = pad(torch.where(free > 0, 0.1 * random(*shape), torch.inf), np.inf)
    rho0, inside = pad(free * random(*shape).abs()), pad(free)
    phi, v = (1 + 0.3 * random(plan.size)) * inside, random(plan.size) * inside
    inverse, strides, tau, e = levels.inverse[0], levels.strides[0], 0.05, 1e-6
    M0 = torch.stack([0.25 * (rho0 + rho0.roll(-s)) + 0.01 for s in strides]) * (inverse > 0)

    def at(phi):
        return evaluate(
            jko.energies.Mixture.of(SUMS[name]), strides, inverse, tau, phi, V, rho0, M0
        )

    here, up, down = at(phi), at(phi + e * v), at(phi - e * v)
    assert (up.J - down.J) / (2 * e) == pytest.approx(float(here.F @ v), rel=1e-6)
    levels.assemble(tau, here.w, here.M * inverse, here.g, 0.0)
    Hv = levels.apply(0, v)
    assert (Hv - (up.F - down.F) / (2 * e)).abs().max() < 1e-6 * Hv.abs().max()


def problem(shape, internal, tau=1e-4):
    axes = [(np.arange(n) + 0.5) / n for n in shape]
    r2 = sum((x - 0.5) ** 2 for x in np.meshgrid(*axes, indexing="ij"))
    rho = np.maximum(1 - r2 / 0.04, 0.0)
    cell = float(np.prod([1 / n for n in shape]))
    rho /= rho.sum() * cell
    V = np.where((r2 < 0.002) & (len(shape) == 2), np.inf, 0.0)  # in 2-D a pillar in the middle
    rho[np.isinf(V)] = 0.0
    spacing = tuple(1 / n for n in shape)
    return GridStep(kind_of(internal), rho / (rho.sum() * cell), V, spacing, tau, 1e-4 * rho.max())


@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (16, 18, 20), (150,)])
@pytest.mark.parametrize("name", ["m = 2", "heat"])
def test_the_preconditioner_is_symmetric_positive_and_good(shape, name):
    data = problem(shape, SUMS[name])
    stepper = TensorStepper(data, jko.energies.Mixture.of(SUMS[name]), CPU)
    compiled = Stepper(data)
    stepper.evaluate(stepper.pad(compiled.layout.crop(first_guess(compiled)).copy()))
    stepper.prepare()
    levels, generator = stepper.hierarchy, torch.Generator().manual_seed(0)
    u, v = (
        torch.randn(len(stepper.rho0), generator=generator, dtype=torch.float64) * (levels.D[0] > 0)
        for _ in range(2)
    )
    Bu, Bv = levels.precondition(u), levels.precondition(v)
    assert float(Bu @ v) == pytest.approx(float(u @ Bv), rel=1e-9)
    assert float(Bu @ u) > 0
    rhs = levels.apply(0, u)
    x, iterations = levels.solve(rhs, 1e-8 * float(rhs.abs().sum()), 200)
    assert (levels.apply(0, x) - rhs).abs().sum() < 2e-8 * rhs.abs().sum()
    assert iterations < 25


@pytest.mark.parametrize("shape", [(48, 40), (12, 13, 14), (150,)])
@pytest.mark.parametrize("name", ["m = 2", "heat", "m = 1.5"])
def test_both_paths_find_the_same_step(shape, name):
    data = problem(shape, SUMS[name])
    compiled, tensors = Stepper(data), TensorStepper(data, jko.energies.Mixture.of(SUMS[name]), CPU)
    phi = first_guess(compiled)
    one = newton(compiled, phi, 1e-10, 60)
    two = newton(tensors, tensors.pad(compiled.layout.crop(phi)), 1e-10, 60)
    assert one.residual <= 1e-10
    assert two.residual <= 1e-10
    assert abs(two.J - one.J) < 1e-12 * abs(one.J)
    difference = np.abs(tensors.crop(tensors.rho) - compiled.layout.crop(compiled.rho))
    assert difference.max() < 1e-6 * data.rho0.max()


@pytest.mark.parametrize("shape", [(40, 33), (12, 12, 12), (90,)])
def test_flows_on_tensors_are_those_of_the_kernels(shape):
    grid = jko.Grid((0.0, 1.0), shape)
    rho = jko.GridDensity.from_function(
        grid, lambda x: (0.05 - ((x - 0.4) ** 2).sum(-1)).clamp(min=0)
    )
    E = jko.PorousMedium(2) + jko.Potential(lambda x: x[:, 0])
    runs = [
        jko.flow(E, rho, tau=1e-3, steps=3, solver=jko.Dynamic(tol=1e-9, compiled=compiled))
        for compiled in (True, False)
    ]
    assert runs[1].slacks.min() > 0
    assert np.allclose(runs[0].energies, runs[1].energies, rtol=1e-9)
    difference = (runs[0].final.values - runs[1].final.values).abs().sum() * grid.cell
    assert float(difference) < 1e-6
    assert float(runs[1].final.values.min()) >= 0


class Cosh(jko.Internal):
    """``int cosh(rho) - 1``: an internal energy of the user."""

    def U(self, rho):
        return rho.cosh() - 1

    def slope(self, rho):
        return rho.sinh()

    def density(self, p):
        return p.clamp(min=0).asinh()

    def density_slope(self, p):
        return torch.where(p > 0, 1 / (1 + p * p).sqrt(), torch.zeros_like(p))


def test_an_internal_energy_of_the_user_takes_the_tensor_path():
    grid = jko.Grid((-2.0, 2.0), (32, 32))
    E = Cosh() + jko.SquaredNorm()
    rho = jko.GridDensity.from_function(grid, lambda x: (1 - ((x - 0.5) ** 2).sum(-1)).clamp(min=0))
    run = jko.flow(E, rho, tau=0.5, steps=30, solver=jko.Dynamic(tol=1e-8))
    assert run.slacks.min() > -1e-8
    # at rest sinh(rho) + |x|^2 / 2 is a constant where there is mass
    where = run.final.values > 0.05
    level = (run.final.values.sinh() + 0.5 * (grid.centres**2).sum(-1).reshape(32, 32))[where]
    assert float(level.max() - level.min()) < 1e-4
