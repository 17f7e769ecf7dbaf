"""Grid steps that are hard for Newton's method: all converge, and their certificates say so."""

import pytest
import torch

import jko
from jko.status import Status
from jko.steps.dynamic import Dynamic
from jko.steps.dynamic.cascade import cascade
from jko.steps.dynamic.joint import Features
from jko.steps.dynamic.primal_dual import primal_dual
from jko.steps.dynamic.setting import GridSetting

ENT, PME = jko.Entropy(), jko.PorousMedium
LARGE = pytest.param((48, 48), marks=pytest.mark.slow, id="48x48")
SHAPES = [pytest.param((96,), id="96"), pytest.param((24, 24), id="24x24"), LARGE]


def bump(shape, width, centre):
    grid = jko.Grid(((0, 1),) * len(shape), shape)
    return jko.GridDensity.from_function(
        grid, lambda x: (-((x - centre) ** 2).sum(-1) / (2 * width**2)).exp()
    )


def well(k, centre=0.1):
    return jko.Potential(lambda x: k * ((x - centre) ** 2).sum(-1))


def check(energy, start, tau, tol, **options):
    result = jko.step(energy, start, tau=tau, solver=Dynamic(tol=tol, **options))
    assert result.status is Status.CONVERGED
    assert result.residual <= tol
    assert result.slack >= -1e-12 * (1 + abs(result.before))
    assert float(result.state.mass) == pytest.approx(1.0, abs=1e-13)
    assert float(result.state.values.min()) >= 0
    gap = result.certificate()
    assert gap.rigorous
    assert -1e-9 * (1 + abs(result.objective)) <= gap.value <= 100 * tol * (1 + abs(result.before))
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
@pytest.mark.parametrize(
    "internal", [ENT, 0.01 * ENT, 0.001 * ENT, 0.01 * ENT + 0.01 * PME(2)], ids=str
)
def test_small_entropies_in_a_strong_well_converge(internal, tau, shape):
    check(internal + well(10), bump(shape, 0.1, 0.9), tau, 1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tol", [1e-6, 1e-8])
@pytest.mark.parametrize("tau", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("m", [3, 4])
def test_steep_powers_converge_to_tight_tolerances(m, tau, tol, shape):
    check(PME(m) + well(5), bump(shape, 0.1, 0.6), tau, tol)


@pytest.mark.parametrize("shape", [pytest.param((24, 24), id="24x24"), LARGE])
@pytest.mark.parametrize("reach", [1e-3, 1e-1, 10])  # 2 k tau
@pytest.mark.parametrize("internal", [0.01 * PME(2), 0.001 * PME(2), 0.001 * ENT, PME(3)], ids=str)
def test_weak_diffusion_beside_a_strong_well_converges(internal, reach, shape):
    check(internal + well(100), bump(shape, 0.05, 0.9), reach / 200, 1e-4)


@pytest.mark.parametrize("tau", [0.001, 0.01])
@pytest.mark.parametrize("internal", [1e-3 * PME(2), 1e-3 * ENT], ids=str)
def test_islands_pushed_into_corners_converge(internal, tau):
    grid = jko.Grid(((-1, 1), (-1, 1)), (32, 32))
    start = jko.GridDensity.from_function(
        grid, lambda x: sum((-((x - c) ** 2).sum(-1) / 0.02).exp() for c in (-0.3, 0.3))
    )
    check(internal + jko.Potential(lambda x: -50 * (x**2).sum(-1)), start, tau, 1e-4)


def test_a_steep_power_beside_a_wall_converges():
    def inside(x):
        return (x[:, 0] > 0.6) & (x[:, 0] < 0.7) & (x[:, 1] < 0.6)

    wall = jko.Potential(lambda x: torch.where(inside(x), torch.inf, 0 * x[:, 0]))
    grid = jko.Grid(((0, 1), (0, 1)), (32, 32))
    start = jko.GridDensity.from_function(
        grid, lambda x: (-((x - 0.45) ** 2).sum(-1) / 0.02).exp() * ~inside(x)
    )
    check(PME(3) + wall + well(5, 0.9), start, 0.01, 1e-7)


@pytest.mark.parametrize("energy", [PME(2), PME(1.5), ENT, 0.2 * ENT + PME(2)], ids=str)
def test_both_methods_find_the_same_minimum_of_a_mild_step(energy):
    problem = jko.steps.StepProblem(
        energy + well(1), jko.Wasserstein(), bump((20, 17), 0.2, 0.4), 0.01
    )
    data = GridSetting(problem, 1e-4).data()
    one = cascade(data, None, 1e-9, 200, 0, type(GridSetting(problem, None).stepper(data)))
    two = primal_dual(data, Features.none(data.rho0.shape), 1e-9, 100, 0.0)
    assert one is not None
    assert max(one.outcome.residual, two.outcome.residual) <= 1e-8
    assert pytest.approx(two.outcome.J, rel=1e-12) == one.outcome.J
    rho = one.stepper.rho
    assert two.joint.stepper.rho == pytest.approx(rho, abs=1e-6 * rho.max())


@pytest.mark.parametrize("tol", [1e-4, 1e-6])
@pytest.mark.parametrize("m", [6, 10, 20])
@pytest.mark.parametrize("wall", [False, True])
def test_large_powers_converge(wall, m, tol):
    # r = (U*)'(p) amplifies the rounding of p at the front: densities are not functions of prices there
    def inside(x):
        return (x[:, 0] > 0.55) & (x[:, 0] < 0.65) & (x[:, 1] < 0.45) & wall

    start = jko.GridDensity.from_function(
        jko.Grid(((0, 1), (0, 1)), (32, 32)),
        lambda x: (0.06 - ((x - 0.5) ** 2).sum(-1)).clamp(min=0) ** (1 / (m - 1)) * ~inside(x),
    )
    obstacle = jko.Potential(lambda x: torch.where(inside(x), torch.inf, 0 * x[:, 0]))
    tau = 1e-3 / float(start.values.max()) ** (m - 1)
    result = check(m * PME(m) + obstacle, start, tau, tol)
    assert float(result.state.values.min()) == 0


@pytest.mark.parametrize("tau", [1e3, 1e6])
@pytest.mark.parametrize("internal", [PME(2), PME(3), PME(6), ENT], ids=str)
def test_very_large_steps_end_flat(internal, tau):
    result = check(internal, bump((32, 32), 0.1, 0.5), tau, 1e-4)
    assert result.state.values == pytest.approx(torch.ones(32, 32).double(), abs=2e-3)


@pytest.mark.parametrize("internal", [PME(2), ENT], ids=str)
def test_a_potential_keeps_its_digits_beside_a_constant(internal):
    check(internal, bump((64, 64), 0.1, 0.5), 1e9, 1e-4)


@pytest.mark.parametrize("m", [3, 4, 6])
def test_steep_powers_agree_with_a_conic_solver(m):
    start, energy = bump((40,), 0.1, 0.4), 0.1 * PME(m) + well(5, 0.7)
    tight = jko.step(energy, start, tau=0.02, solver=Dynamic(tol=1e-8))
    conic = jko.step(energy, start, tau=0.02, solver=jko.Conic())
    assert tight.objective == pytest.approx(conic.objective, rel=1e-5)
    off = (tight.state.values - conic.state.values).abs().sum() * start.grid.cell
    assert float(off) < 2e-3


@pytest.mark.parametrize("m", [2, 3, 4, 10])
def test_steps_of_a_drop_follow_its_exact_iterate(m):
    n, R = 64, 0.2
    medium = {"m": m, "d": 2, "c": float(m)}
    fine = jko.Grid((0.0, 1.0), (4 * n, 4 * n))

    def drop(radius):
        values = jko.exact.barenblatt(fine.centres.numpy(), R=radius, centre=0.5, m=m)
        means = torch.from_numpy(values.reshape(n, 4, n, 4).mean((1, 3)))
        return jko.GridDensity(grid, means / (means.sum() * grid.cell))

    grid = jko.Grid((0.0, 1.0), (n, n))
    start = drop(R)
    after = float(jko.exact.barenblatt_step(R, tau=1e-7, **medium))
    tau = 1e-7 * 0.02 * R / (after - R)  # the radius grows by about a fiftieth
    after = float(jko.exact.barenblatt_step(R, tau=tau, **medium))
    result = check(m * PME(m), start, tau, 1e-6)
    off = (result.state.values - drop(after).values).abs().sum() * grid.cell
    assert float(off) < 0.15 * float((start.values - drop(after).values).abs().sum() * grid.cell)


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.05, 0.2])
@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("internal", [ENT, PME(2), PME(3)], ids=str)
@pytest.mark.parametrize("weak", [1, 1e-2, 1e-3])
def test_the_whole_table_of_wells_converges(weak, internal, k, width):
    for reach in (1e-3, 1e-2, 0.1, 1, 10):  # 2 k tau
        start = bump((64, 64), width, 0.9)
        check(weak * internal + well(k), start, reach / (2 * k), 1e-4)
