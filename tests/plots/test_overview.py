"""A run at a glance and as a movie: one scale for all frames, each state at its time."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import jko
from jko import plots
from jko.plots.ticks import Decades
from jko.testing import samples
from tests import registry


def runs():
    """A trajectory of each kind of state, from two states alone."""
    kinds = (jko.Particles, jko.ChargedParticles, jko.ChargedDensity, jko.ChargedMesh, jko.LineMesh)
    for kind in (*kinds, jko.GridDensity):
        first, last = (registry.STATES[kind](turn) for turn in (0, 1))
        if kind in (jko.Particles, jko.LineMesh):
            last = first
        yield jko.Trajectory(
            np.array([0.0, 1.0]), np.array([1.0, 0.5]), (first, last), np.arange(2)
        )


def test_every_kind_of_run_has_a_figure_on_one_scale():
    for run in runs():
        figure = run.plot()
        shown = [ax for ax in figure.axes if ax.get_title().startswith("$t$")]
        assert len(shown) == 2
        assert len({(*ax.get_xlim(), *ax.get_ylim()) for ax in shown}) == 1
        figure.draw_without_rendering()


def test_the_lengths_of_steps_are_shown_where_they_differ():
    mu, energy = samples.cloud(2), jko.SquaredNorm()
    even = jko.flow(energy, mu, tau=0.3, t1=2.0).plot()
    uneven = jko.flow(energy, mu, tau=jko.Adaptive(1e-3), t1=2.0)
    labels = [[ax.get_ylabel() for ax in figure.axes] for figure in (even, uneven.plot())]
    assert ["length of the step" in found for found in labels] == [False, True]
    _, (ax,) = plots.canvas()
    plots.step_lengths(uneven, ax)
    steps = ax.patches[0].get_data()
    assert np.array_equal(steps.edges, uneven.times)
    assert np.array_equal(steps.values, np.diff(uneven.times))
    assert np.array_equal(ax.lines[-1].get_ydata(), uneven.columns["estimates"])


def test_a_movie_has_a_frame_for_each_time_and_is_written_whole(tmp_path):
    grid = jko.Grid((-2.0, 2.0), (8, 8))
    start = jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1)).exp())
    run = jko.limits.wasserstein(jko.Entropy(), start, t1=0.1)
    path = plots.animate(run, tmp_path / "heat.gif", times=[0.0, 0.05, 0.1], size=(2.0, 2.0))
    assert [p.name for p in tmp_path.iterdir()] == ["heat.gif"]
    assert imread(path).shape[:2] == (200, 200)
    from PIL import Image

    with Image.open(path) as movie:
        assert movie.n_frames == 3
    with pytest.raises(ValueError, match=r"a movie is a \.gif"):
        plots.animate(run, tmp_path / "heat.mp4")


def test_pairs_on_cells_in_the_plane_are_refused_in_a_sentence():
    grid = jko.Grid((-1.0, 1.0), (3, 3))
    pair = jko.ChargedDensity(grid, torch.full((3, 3), 0.25).double(), torch.zeros(3, 3).double())
    run = jko.Trajectory(np.array([0.0]), np.array([1.0]), (pair,), np.arange(1))
    with pytest.raises(ValueError, match=r"share a scale in d = 1 only"):
        run.plot()


def test_a_density_between_kept_times_is_a_mixture_and_a_mesh_moves():
    a, b = samples.bump(2), samples.bump(2, 1)
    run = jko.Trajectory(np.array([0.0, 1.0]), np.zeros(2), (a, b), np.arange(2))
    assert torch.allclose(run.at(0.25).values, 0.75 * a.values + 0.25 * b.values)
    pairs = tuple(registry.charged_density(turn) for turn in range(2))
    run = jko.Trajectory(np.array([0.0, 1.0]), np.zeros(2), pairs, np.arange(2))
    signed = [float(p.integrate(p.H)) for p in (*pairs, run.at(0.5))]
    assert signed[2] == pytest.approx(0.5 * (signed[0] + signed[1]), rel=1e-12)
    mesh = samples.mesh()
    moved = jko.LineMesh(mesh.edges + 2.0, mesh.masses)
    run = jko.Trajectory(np.array([0.0, 1.0]), np.zeros(2), (mesh, moved), np.arange(2))
    expected = jko.geodesic(mesh, moved, 0.5)
    assert jko.distance(run.at(0.5), expected).value < 1e-12


@pytest.mark.parametrize("low", [1e-9, 0.1, 1.0, 3.0, 2e3])
@pytest.mark.parametrize("ratio", [1.02, 1.5, 4.0, 30.0, 1e4, 1e11])
def test_logarithmic_ticks_are_few_and_inside(low, ratio):
    ticks = np.array(Decades().tick_values(low, low * ratio))
    assert 2 <= len(ticks) <= 7
    assert (ticks >= low * (1 - 1e-8)).all()
    assert (ticks <= low * ratio * (1 + 1e-8)).all()


def test_a_bound_below_zero_is_drawn_and_energies_are_named_by_their_state():
    start = jko.Particles([[1.0, 0.5]])
    run = jko.flow(jko.SquaredNorm(), start, tau=0.1, steps=2)
    (ax,) = plots.canvas()[1]
    plots.energy(run, ax, lower_bound=-1.0)
    assert any("minimum lies" in text for text in ax.get_legend_handles_labels()[1])
    pair = jko.flow(jko.SquaredNorm(), jko.ChargedParticles([[1.0]], [0.5]), tau=0.1, steps=2)
    for shown, name in (([run], "F(\\mu_t)"), ([pair], "G(\\rho_t"), ([run, pair], "energy")):
        (ax,) = plots.canvas()[1]
        plots.energies(shown, ax, labels=["a", "b"][: len(shown)])
        assert name in ax.get_ylabel()
    assert plots.canvas(1, 6)[0].get_figwidth() <= 13
