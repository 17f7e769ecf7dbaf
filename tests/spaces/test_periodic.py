"""Grids whose axes come round, and what stands on them: arguments, faces, files, atoms on cells."""

import copy
import math
import pickle

import pytest
import torch

import jko

AXES = {1: ((5,), (True,)), 2: ((4, 3), (True, False)), 3: ((3, 4, 2), (False, True, True))}


def test_an_axis_is_periodic_by_itself_or_with_all_others():
    grid = jko.Grid((0, 1), (4, 3), periodic=(True, False))
    assert grid.periodic == (True, False)
    assert jko.Grid((0, 1), (4, 3), periodic=True).periodic == (True, True)
    assert jko.Grid((0, 1), (4, 3)).periodic == (False, False)
    assert grid != jko.Grid((0, 1), (4, 3))
    assert grid == pickle.loads(pickle.dumps(grid)) == copy.deepcopy(grid)
    assert hash(grid) == hash(jko.Grid((0, 1), (4, 3), [True, False]))
    assert "periodic" in repr(grid)
    assert "periodic" not in repr(jko.Grid((0, 1), 4))
    assert isinstance(jko.Grid((0, 1), 4).domain, jko.Box)
    assert grid.domain.periods == (1.0, math.inf)


@pytest.mark.parametrize("periodic", ["yes", (True,), (1, 0), 3, None, [True, "no"]])
def test_other_arguments_are_refused_in_a_sentence(periodic):
    with pytest.raises((TypeError, ValueError), match="periodic must be True, False or 2 of these"):
        jko.Grid((0, 1), (4, 3), periodic=periodic)


@pytest.mark.parametrize("dim", AXES)
def test_differences_and_outflows_are_adjoint_on_all_faces(dim):
    shape, periodic = AXES[dim]
    grid = jko.Grid((0, 1), shape, periodic)
    generator = torch.Generator().manual_seed(dim)
    for k, face in enumerate(grid.across):
        a = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
        flux = torch.rand(face.diff(a).shape, generator=generator, dtype=torch.float64)
        assert flux.shape[k + 1] == shape[k] - (not periodic[k])
        assert float((face.diff(a) * flux).sum()) == pytest.approx(
            -float((a * face.outflow(flux)).sum())
        )
        assert float(face.outflow(flux).sum()) == pytest.approx(0, abs=1e-12)
        if periodic[k]:
            turned = face.diff(a.roll(1, k + 1))
            assert torch.equal(turned, face.diff(a).roll(1, k + 1))


@pytest.mark.parametrize("dim", AXES)
def test_runs_are_saved_with_their_seams_and_old_files_have_walls(dim, tmp_path):
    shape, periodic = AXES[dim]
    for axes in (periodic, (False,) * dim):
        grid = jko.Grid((0, 1), shape, axes)
        rho = jko.GridDensity.from_function(grid, lambda x: 1 + x.sum(-1))
        run = jko.limits.wasserstein(jko.Entropy(), rho, t1=1e-3)
        run.save(tmp_path / "run.npz")
        again = jko.Trajectory.load(tmp_path / "run.npz").final
        assert again.grid == grid
        assert torch.equal(again.values, run.final.values)
        facts = jko.storage.states.facts_of(rho)
        assert ("periodic" in facts["grid"]) is any(axes)  # as files were before there was the word


def test_atoms_are_shared_between_the_centres_on_both_sides_of_a_seam():
    grid = jko.Grid((0.0, 1.0), 4, periodic=True)
    pair = jko.ChargedParticles([[-0.0625], [2.25]], [2.0, 4.0])
    cells = jko.ChargedDensity.from_particles(grid, pair)
    masses = cells.weights.tolist()
    assert masses == pytest.approx([0.5 * 0.25 + 0.25, 0.25, 0.0, 0.5 * 0.75])
    assert cells.H[3] == pytest.approx(2.0)
    back = cells.to_particles()
    assert back.domain.periods == (1.0,)


def test_samples_and_atoms_of_a_density_know_the_seam():
    grid = jko.Grid((0.0, 1.0), 4, periodic=True)
    rho = jko.GridDensity(grid, [4.0, 0.0, 0.0, 0.0])
    sample = rho.sample(20, generator=torch.Generator().manual_seed(0))
    assert sample.domain.periods == rho.to_particles().domain.periods == (1.0,)
    jko.testing.check_state(rho)
    jko.testing.check_state(sample)


def test_slopes_of_a_charge_go_on_beyond_the_seam():
    grid = jko.Grid((0.0, 1.0), 64, periodic=True)
    pair = jko.ChargedDensity.from_function(
        grid, lambda x: 1 + 0 * x[:, 0], lambda x: torch.sin(2 * math.pi * x[:, 0])
    )
    slope = jko.diagnostics.graph_slope(pair)[:, 0]
    exact = 2 * math.pi * torch.cos(2 * math.pi * grid.centres[:, 0])
    assert float((slope - exact).abs().max()) < 0.02


def test_a_box_with_walls_is_a_torus_without_periods():
    torus = jko.spaces.Torus([0.0, 0.0], [1.0, 1.0], periodic=False)
    points = torch.tensor([[1.5, -0.5]], dtype=torch.float64)
    assert torus.project(points).tolist() == [[1.0, 0.0]]
    assert not jko.spaces.wraps(torus)
    walls = jko.spaces.Torus([0.0, 0.0], [1.0, math.inf], periodic=(True, False))
    assert walls.project(points).tolist() == [[1.5, 0.0]]
    assert walls.wrapped(points).tolist() == [[0.5, -0.5]]
    generator = torch.Generator().manual_seed(1)
    moves = 5 * torch.randn(50, 2, generator=generator, dtype=torch.float64)
    short = walls.shortest(moves)
    assert float(short[:, 0].abs().max()) <= 0.5
    assert torch.equal(short[:, 1], moves[:, 1])
    assert float(torch.sin(math.pi * (short - moves)[:, 0]).abs().max()) < 1e-12


def test_a_minimiser_and_a_gap_on_a_torus_are_those_of_its_cells():
    grid = jko.Grid((0, 1), (8, 6), periodic=True)
    V = jko.Potential(lambda x: torch.cos(2 * math.pi * x).sum(-1))
    found = jko.minimiser(jko.Entropy() + V, grid)
    gibbs = jko.GridDensity.from_function(
        grid, lambda x: (-torch.cos(2 * math.pi * x).sum(-1)).exp()
    )
    assert float((found.state.values - gibbs.values).abs().max()) < 1e-8
    assert found.state.grid == grid
