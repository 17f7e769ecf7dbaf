"""A pair on a grid is its lift; atoms are deposited with mass and mean, and H by the conditional mean."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.measures.deposit import corners

LINE = jko.Grid((-1.0, 3.0), 8)
PLANE = jko.Grid(((-1.0, 1.0), (0.0, 3.0)), (5, 4))
SPACE = jko.Grid(((0.0, 1.0), (0.0, 1.0), (-1.0, 1.0)), (3, 2, 4))
GRIDS = [LINE, PLANE, SPACE]


def inner_box(grid):
    """The centres' box, where means are kept."""
    ends = [(a + h / 2, b - h / 2) for (a, b), h in zip(grid.bounds, grid.spacing, strict=True)]
    return jko.Box(*zip(*ends, strict=True))


def cloud(grid, N, seed=0, box=None):
    """Atoms of (w, theta) with unequal weights."""
    generator = torch.Generator().manual_seed(seed)
    theta = jko.Particles.uniform(N, box or inner_box(grid), generator=generator).points
    w = torch.randn(N, 1, generator=generator, dtype=torch.float64)
    m = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
    return jko.Particles(torch.cat([w, theta], 1), m / m.sum())


def shared(grid, mu):
    """The cloud with each atom's mass at the centres around it, and its w kept: not yet a pair."""
    index, share = corners(grid, mu.points[:, 1:])
    w = mu.points[:, :1].expand_as(index)
    points = torch.cat([w.reshape(-1, 1), grid.centres[index.reshape(-1)]], 1)
    weights = (mu.weights[:, None] * share).reshape(-1)
    full = weights > 0
    return jko.Particles(points[full], weights[full])


@pytest.mark.parametrize("grid", GRIDS)
def test_deposition_keeps_mass_mean_and_signed_mass(grid):
    mu = cloud(grid, 50)
    pair = jko.ChargedDensity.from_particles(grid, mu)
    assert float(pair.mass) == pytest.approx(1, abs=1e-14)
    assert torch.allclose(pair.mean(), mu.mean()[1:], atol=1e-14)
    assert float(pair.integrate(pair.H)) == pytest.approx(float(mu.mean()[0]), abs=1e-14)
    total = pair.signed_measure().sum() * grid.cell
    assert float(total) == pytest.approx(float(mu.mean()[0]), abs=1e-14)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_pair_on_a_grid_comes_back_from_its_atoms(grid):
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(grid.N, generator=generator).double()
    values[::3] = 0
    H = torch.randn(grid.N, generator=generator).double().masked_fill(values == 0, torch.nan)
    pair = jko.ChargedDensity(
        grid, (values / (values.sum() * grid.cell)).reshape(grid.shape), H.reshape(grid.shape)
    )
    back = jko.ChargedDensity.from_particles(grid, pair.to_particles())
    assert torch.allclose(back.values, pair.values, rtol=4e-16, atol=0)
    assert torch.equal(back.H.nan_to_num(7.0), pair.H.nan_to_num(7.0))
    again = jko.ChargedDensity.from_particles(grid, pair.lift())
    assert torch.equal(again.values, back.values)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_conditional_mean_lowers_F_by_half_lam_times_the_conditional_variance(grid):
    mu, lam = cloud(grid, 60), 0.7
    data = jko.Data([[0.3], [-1.0]], [1.0, 2.0])
    risk = jko.Risk(data, activation=lambda theta, x: torch.tanh(theta.sum(-1, keepdim=True) + x.T))
    F = risk + lam * jko.SquaredNorm()
    pair, split = jko.ChargedDensity.from_particles(grid, mu), shared(grid, mu)
    nearest = (split.points[:, None, 1:] - pair.support).square().sum(-1).argmin(1)
    deviation = split.points[:, 0] - pair.H.reshape(-1)[nearest]
    drop = 0.5 * lam * float(split.integrate(deviation**2))
    assert drop > 1e-3
    assert float(F(split)) - float(F(pair)) == pytest.approx(drop, rel=1e-12)


@given(st.integers(0, 10**6))
def test_no_convex_potential_rises_by_the_conditional_mean(seed):
    mu = cloud(PLANE, 12, seed)
    E = jko.Potential(lambda z: (1 + z[:, 1] ** 2) * torch.log(torch.cosh(3 * z[:, 0])))
    pair = jko.ChargedDensity.from_particles(PLANE, mu)
    assert float(E(pair)) <= float(E(shared(PLANE, mu))) * (1 + 1e-14)


def test_charges_stay_in_the_range_of_those_that_were_deposited():
    mu = cloud(PLANE, 200)
    H = jko.ChargedDensity.from_particles(PLANE, mu).H
    assert float(H.min()) >= float(mu.points[:, 0].min())
    assert float(H.max()) <= float(mu.points[:, 0].max())


def test_mass_between_the_last_centre_and_the_wall_stays_in_the_last_cell():
    pair = jko.ChargedParticles([[-1.0], [2.9], [3.0]], [1.0, 2.0, 4.0], [0.5, 0.25, 0.25])
    on_cells = jko.ChargedDensity.from_particles(LINE, pair)
    assert (on_cells.weights > 0).tolist() == [True] + 6 * [False] + [True]
    assert on_cells.weights[[0, -1]].tolist() == [0.5, 0.5]
    assert on_cells.H[[0, -1]].tolist() == [1.0, 3.0]
    assert bool(torch.isnan(on_cells.H[1:-1]).all())


def test_the_error_of_depositing_a_smooth_cloud_is_of_second_order():
    theta = torch.linspace(-2, 2, 4001, dtype=torch.float64)[:, None]
    m = (-2 * theta[:, 0] ** 2).exp()
    pair = jko.ChargedParticles(theta, torch.sin(2 * theta[:, 0]), m / m.sum())
    E = jko.Potential(lambda z: torch.cos(z[:, 1]) * z[:, 0] + z[:, 0] ** 2)
    errors = [
        float(E(jko.ChargedDensity.from_particles(jko.Grid((-3.0, 3.0), n), pair)) - E(pair))
        for n in (30, 60, 120)
    ]
    orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    assert np.all(np.abs(orders - 2) < 0.1), (errors, orders)


def test_dtype_of_the_atoms_is_kept():
    mu = jko.ChargedParticles(torch.tensor([[0.5]], dtype=torch.float32), torch.ones(1))
    pair = jko.ChargedDensity.from_particles(LINE, mu)
    assert pair.values.dtype == pair.H.dtype == torch.float32


def test_bad_input_of_a_deposition_is_a_sentence():
    far = jko.ChargedParticles([[0.0], [3.5]], [0.0, 0.0])
    with pytest.raises(
        ValueError, match=r"1 of the atoms lie outside .* furthest by 0\.5 \(row 1\)"
    ):
        jko.ChargedDensity.from_particles(LINE, far)
    with pytest.raises(ValueError, match=r"theta in d = 1 but the grid has d = 2"):
        jko.ChargedDensity.from_particles(PLANE, far)
    with pytest.raises(TypeError, match=r"ChargedParticles or Particles, not GridDensity"):
        jko.ChargedDensity.from_particles(LINE, jko.GridDensity(LINE, torch.full((8,), 0.25)))
    with pytest.raises(TypeError, match=r"grid must be Grid"):
        jko.ChargedDensity.from_particles((0, 1), far)


def test_bad_charges_are_a_sentence_and_nan_in_empty_cells_is_not_bad():
    values = [0.5, 0.0, 1.5] + 5 * [0.0]
    pair = jko.ChargedDensity(LINE, values, [1.0, torch.nan, 2.0] + 5 * [torch.inf])
    assert float(pair.integrate(pair.H)) == 1.75
    assert float(jko.SquaredNorm()(pair)) == float(jko.SquaredNorm()(pair.to_particles()))
    with pytest.raises(ValueError, match=r"H is not finite in 1 cells that hold mass 0\.75"):
        jko.ChargedDensity(LINE, values, [1.0, 0.0, torch.nan] + 5 * [0.0])
    with pytest.raises(ValueError, match=r"H has shape \(7,\)"):
        jko.ChargedDensity(LINE, values, 7 * [0.0])
