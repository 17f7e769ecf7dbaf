"""Limits where axes come round: Fourier series, shifts, mass."""

import math

import pytest
import torch

import jko

TWO_PI = 2 * math.pi


def wave(grid, k, a):
    phase = TWO_PI * (grid.centres @ torch.tensor(k, dtype=torch.float64))
    return jko.GridDensity(grid, (1 + a * torch.cos(phase)).reshape(grid.shape))


@pytest.mark.parametrize(
    ("shape", "k"), [((48,), (2,)), ((24, 20), (1, 1)), ((12, 1, 10), (1, 0, 1))]
)
def test_heat_is_its_fourier_series(shape, k):
    grid, T = jko.Grid((0, 1), shape, periodic=True), 0.01
    run = jko.limits.wasserstein(jko.Entropy(), wave(grid, k, 0.5), t1=T)
    rate = sum(
        (2 - 2 * math.cos(TWO_PI * m * h)) / h**2 for m, h in zip(k, grid.spacing, strict=True)
    )
    exact = wave(grid, k, 0.5 * math.exp(-rate * T))  # of the cells
    assert float((run.final.values - exact.values).abs().max()) < 2e-3 * math.exp(-rate * T)
    assert float(run.final.mass) == pytest.approx(1.0, abs=1e-13)
    true = wave(grid, k, 0.5 * math.exp(-(TWO_PI**2) * sum(m * m for m in k) * T))
    assert float((run.final.values - true.values).abs().max()) < 6e-3


@pytest.mark.parametrize("energy", [jko.Entropy(), jko.PorousMedium(2)])
def test_a_density_turns_with_its_start_and_comes_to_rest_where_the_steps_do(energy):
    grid = jko.Grid((0, 1), (16, 12), periodic=(True, False))
    well = torch.cos(TWO_PI * grid.centres[:, 0]) + grid.centres[:, 1]
    start = (2 + torch.sin(TWO_PI * grid.centres[:, 0])).reshape(grid.shape)
    finals = []
    for turn in (0, 5):
        table = well.reshape(grid.shape).roll(turn, 0).reshape(-1)
        V = jko.Potential(lambda x, table=table: table)
        rho = jko.GridDensity(grid, start.roll(turn, 0) / (start.sum() * grid.cell))
        run = jko.limits.wasserstein(energy + V, rho, t1=0.02)
        finals.append(run.final.values.roll(-turn, 0))
        assert float(run.final.mass) == pytest.approx(1.0, abs=1e-12)
    assert float((finals[0] - finals[1]).abs().max()) < 1e-9
    steps = jko.flow(energy + V, rho, tau=0.005, steps=4, scheme=jko.SDIRK2())
    apart = steps.final.values - run.final.values
    assert float(apart.abs().sum()) * grid.cell < 0.01


@pytest.mark.parametrize("name", ["chaos", "transported", "separated"])
def test_pairs_turn_with_their_start(name):
    grid = jko.Grid((0, 1), 24, periodic=True)
    x, finals = grid.centres[:, 0], []
    E = 0.1 * jko.Entropy() + jko.Potential(lambda xi: 0.5 * xi[:, 0] ** 2)
    for turn in (0, 11):
        rho, H = 1 + 0.5 * torch.cos(TWO_PI * x), torch.sin(TWO_PI * x)
        pair = jko.ChargedDensity(grid, rho.roll(turn), H.roll(turn))
        run = getattr(jko.limits, name)(E, pair, t1=0.01)
        assert float(run.final.mass) == pytest.approx(1.0, abs=1e-12)
        finals.append((run.final.values.roll(-turn), run.final.H.roll(-turn)))
    for a, b in zip(*finals, strict=True):
        assert float((a - b).abs().max()) < 1e-10


def test_atoms_with_noise_and_without_stay_on_the_torus():
    torus = jko.spaces.Torus([0.0, 0.0], [1.0, 1.0], periodic=(True, False))
    generator = torch.Generator().manual_seed(0)
    mu = jko.Particles.uniform(10, torus, generator=generator)
    V = jko.Potential(lambda x: torch.cos(TWO_PI * x[:, 0]) - x[:, 1])
    noisy = jko.limits.langevin(
        V + 0.2 * jko.Entropy(), mu, t1=0.5, rate=0.01, generator=generator, save=10
    )
    for run in (jko.limits.wasserstein(V, mu, t1=0.1), noisy):
        points = run.final.points
        assert bool(((points >= 0) & (points <= 1)).all())
