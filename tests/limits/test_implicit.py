"""Implicit steps of densities: beside scipy's BDF, of order two, positive, at rest where the Gibbs measure is."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko
from jko.limits import implicit
from jko.limits.densities import Volumes

F64 = torch.float64


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """No explicit step, however few would do."""
    monkeypatch.setattr(implicit, "LONG", 0)


def smooth(grid, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(4, generator=generator, dtype=F64)
    lower, upper = (torch.tensor(side, dtype=F64) for side in zip(*grid.bounds, strict=True))
    unit = lambda x: (x - lower) / (upper - lower)  # noqa: E731
    return jko.GridDensity.from_function(
        grid, lambda x: 1.0 + a[0] + (a[1] * 6 * unit(x) + a[2]).sin().prod(1) * 0.9 * a[3]
    )


def difference(a, b):
    return float((a.values - b.values).abs().sum()) * a.grid.cell


def by_scipy(energy, start, t1):
    """The same finite volumes by BDF to 1e-6."""
    volumes, shape = Volumes.of(energy, start), start.grid.shape

    def rate(t, y):
        with torch.no_grad():
            return volumes.linearised(torch.from_numpy(y).reshape(shape)).rate.numpy().ravel()

    found = solve_ivp(rate, (0, t1), start.values.numpy().ravel(), "BDF", rtol=1e-6, atol=1e-8)
    return jko.GridDensity(start.grid, np.maximum(found.y[:, -1], 0).reshape(shape))


x = torch.linspace(-1, 1, 7, dtype=F64)[:, None]
NET = jko.Risk(
    jko.Data(x, torch.sin(2 * x[:, 0])),
    features=lambda xi, x: torch.tanh(xi.sum(-1, keepdim=True) * x.T),
)
WELL = jko.Potential(lambda z: 2 * ((z - 0.3) ** 2).sum(-1))
STEEP = jko.Potential(lambda z: 4 * torch.cos(5 * z).sum(-1))
ATTRACT = jko.Interaction(lambda z: 2 * (z**2).sum(-1))
ENERGIES = {
    "heat": jko.Entropy(),
    "Fokker-Planck": 0.3 * jko.Entropy() + STEEP,
    "m = 2": jko.PorousMedium(2),
    "m = 1.3, a well": jko.PorousMedium(1.3) + WELL,
    "m = 1/2": jko.PorousMedium(0.5) + STEEP,
    "m = 3, steep": 0.5 * jko.PorousMedium(3) + STEEP,
    "m = 2, weak": 0.05 * jko.PorousMedium(2) + STEEP,
    "a sum": 0.1 * jko.Entropy() + jko.PorousMedium(2) + 0.3 * jko.PorousMedium(3) + WELL,
    "a network": 0.2 * jko.Entropy() + 3 * NET,
    "a network, m = 2": jko.PorousMedium(2) + 3 * NET,
    "attraction": 0.2 * jko.Entropy() + ATTRACT,
}


@pytest.mark.parametrize("periodic", [False, True], ids=["walls", "circle"])
@pytest.mark.parametrize("name", ENERGIES)
def test_the_line_is_that_of_bdf(name, periodic):
    start = smooth(jko.Grid((-1.0, 1.0), 14, periodic=periodic), 1)
    final = jko.limits.wasserstein(ENERGIES[name], start, t1=0.1, times=[0.1], rtol=1e-4).final
    assert difference(final, by_scipy(ENERGIES[name], start, 0.1)) < 1e-4
    assert abs(float(final.mass) - 1) < 1e-13


@pytest.mark.parametrize("shape", [(5, 6), (4, 3, 3)], ids=["plane", "space"])
@pytest.mark.parametrize(
    "name", ["Fokker-Planck", "m = 3, steep", "a network, m = 2", "attraction"]
)
def test_plane_and_space_are_those_of_bdf(name, shape):
    start = smooth(jko.Grid((-1.0, 1.0), shape, periodic=(True, *[False] * (len(shape) - 1))), 2)
    final = jko.limits.wasserstein(ENERGIES[name], start, t1=0.05, times=[0.05], rtol=1e-4).final
    assert difference(final, by_scipy(ENERGIES[name], start, 0.05)) < 1e-4


@pytest.mark.parametrize("name", ["Fokker-Planck", "m = 1.3, a well", "a sum", "a network"])
def test_the_error_of_time_is_of_order_two(name, monkeypatch):
    """With steps of one length: 0.1 / K."""
    start, errors = smooth(jko.Grid((-1.0, 1.0), 30), 3), []
    exact = by_scipy(ENERGIES[name], start, 0.1)
    monkeypatch.setattr(implicit, "EXACT", 1e-12)
    for K in (8, 16, 32):
        times = np.linspace(0, 0.1, K + 1)
        final = jko.limits.wasserstein(ENERGIES[name], start, t1=0.1, times=times, rtol=1e4).final
        errors.append(difference(final, exact))
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.35)


@pytest.mark.parametrize("m", [0.6, 1.1, 2, 3, 6])
@pytest.mark.parametrize("wall", [False, True], ids=["a box", "an obstacle"])
def test_fronts_are_positive_and_keep_the_mass_of_each_part(m, wall):
    grid = jko.Grid((0.0, 1.0), (21, 20))

    def V(z):
        return torch.where(((z[:, 0] - 0.5).abs() < 0.06) & (z[:, 1] < 2), torch.inf, 2 * z[:, 1])

    blocked = torch.isinf(V(grid.centres)).reshape(grid.shape)
    start = (((grid.centres - 0.4).abs().amax(-1) < 0.3) | (grid.centres[:, 0] > 0.8)).to(F64)
    start = start.reshape(grid.shape)
    start[blocked & wall] = 0
    rho = jko.GridDensity(grid, start / (start.sum() * grid.cell))
    E = 0.5 * jko.PorousMedium(m) + (jko.Potential(V) if wall else WELL)
    run = jko.limits.wasserstein(E, rho, t1=0.05, times=[0.01, 0.05])
    assert min(float(s.values.min()) for s in run.states) == 0 or m < 2 or not wall
    assert float(run.final.values.min()) >= 0
    assert (np.diff(run.energies) < 0).all()
    assert abs(float(run.final.mass) - 1) < 1e-13
    if wall:
        left = [float(s.values[:10].sum()) * grid.cell for s in run.states]
        assert left[-1] == pytest.approx(left[0], abs=1e-13)
        assert float(run.final.values[blocked].sum()) == 0


def test_the_gibbs_measure_of_the_cells_rests_exactly():
    grid = jko.Grid((-1.0, 1.0), (20, 17))
    E = 0.3 * jko.Entropy() + WELL
    run = jko.limits.wasserstein(
        E, smooth(grid, 4), t1=1000.0, times=[1.0, 50.0, 100.0, 200.0, 1000.0]
    )
    gibbs = (-WELL.variation(run.final) / 0.3).exp()
    gibbs = jko.GridDensity(grid, (gibbs / gibbs.sum() / grid.cell).reshape(grid.shape))
    assert difference(run.final, gibbs) < 1e-12
    assert run.status is jko.Status.AT_REST
    again = jko.limits.wasserstein(E, gibbs, t1=100.0, times=[100.0])
    assert again.status is jko.Status.AT_REST
    assert difference(again.final, gibbs) < 1e-13


@pytest.mark.parametrize("t1", [1.0, 100.0, 1e8])
def test_long_after_rest_costs_what_rest_costs(t1):
    grid = jko.Grid((0.0, 1.0), (16, 16))
    box = jko.GridDensity.from_function(grid, lambda z: ((z - 0.4).abs().amax(-1) < 0.2).to(F64))
    run = jko.limits.wasserstein(jko.Entropy(), box, t1=t1, times=[t1], max_evaluations=700)
    assert run.status is (jko.Status.AT_REST if t1 > 100 else jko.Status.FINISHED)
    assert float((run.final.values - 1).abs().max()) < (1e-10 if t1 > 1 else 1e-3)


def test_steps_end_at_the_kept_times():
    start = smooth(jko.Grid((-1.0, 1.0), 24), 5)
    times = [0.0123, 0.04, 0.0401, 0.1]
    run = jko.limits.wasserstein(ENERGIES["a sum"], start, t1=0.1, times=times, rtol=1e-4)
    assert run.times.tolist() == [0.0, *times]
    for t, state in zip(run.times[1:], run.states[1:], strict=True):
        alone = jko.limits.wasserstein(ENERGIES["a sum"], start, t1=t, times=[t], rtol=1e-4).final
        assert difference(state, alone) < 1e-4


def test_large_grids_go_by_multigrid_to_the_same_density(monkeypatch):
    start = smooth(jko.Grid((-1.0, 1.0), (24, 30)), 6)
    E = 0.5 * jko.Entropy() + jko.PorousMedium(2) + STEEP
    direct = jko.limits.wasserstein(E, start, t1=0.05, times=[0.05]).final
    monkeypatch.setattr("jko.numerics.reused.FLAT", 0)
    cycles = jko.limits.wasserstein(E, start, t1=0.05, times=[0.05]).final
    assert difference(direct, cycles) < 1e-5


def test_single_precision_is_solved_to_what_it_resolves():
    start = smooth(jko.Grid((-1.0, 1.0), (12, 12)), 7)
    single = jko.GridDensity(start.grid, start.values.float())
    E = 0.3 * jko.Entropy() + WELL
    found = jko.limits.wasserstein(E, single, t1=2.0, times=[2.0]).final
    assert found.values.dtype == torch.float32
    other = jko.limits.wasserstein(E, start, t1=2.0, times=[2.0]).final
    assert float((found.values.double() - other.values).abs().max()) < 1e-4
