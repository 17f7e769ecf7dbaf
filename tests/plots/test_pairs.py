"""Pictures of pairs show the graph of H with its mass, and optimal plans between graphs."""

import numpy as np
import pytest
import torch

import jko
from jko import plots

LINE = jko.Grid((-2.0, 2.0), 20)
PLANE = jko.Grid(((-2.0, 2.0), (-1.0, 1.0)), (10, 8))


def bell(theta):
    return (-2 * (theta**2).sum(-1)).exp()


def wave(theta):
    return torch.sin(2 * theta.sum(-1))


def on_line(H=wave):
    return jko.ChargedDensity.from_function(LINE, bell, H)


def in_plane():
    return jko.ChargedDensity.from_function(PLANE, bell, wave)


def mesh():
    return jko.ChargedMesh.from_function(bell, wave, (-2.0, 2.0), 15)


@pytest.fixture
def ax():
    return plots.canvas()[1][0]


def drawn(figure):
    """Draw for good: warnings of the canvas are errors here."""
    figure.canvas.draw()


def test_the_graph_is_widest_where_rho_is_largest(ax):
    state = on_line()
    assert plots.pair(state, ax) is ax
    (graph,) = [c for c in ax.collections if c.get_zorder() == 3]
    ways, widths = np.array(graph.get_segments()), np.array(graph.get_linewidths())
    assert len(ways) == LINE.N - 1
    assert np.all(np.diff(widths) >= 0)  # strong parts over faint ones
    assert abs(ways[-1][:, 0]).max() <= LINE.spacing[0]
    ends = {(round(x, 12), round(y, 12)) for x, y in ways.reshape(-1, 2)}
    wanted = {
        (round(float(x), 12), round(float(y), 12))
        for x, y in zip(state.support[:, 0], state.H, strict=True)
    }
    assert ends == wanted
    drawn(ax.figure)


def test_the_silhouette_of_rho_stays_below_the_graph(ax):
    plots.pair(on_line(), ax)
    low, high = ax.get_ylim()
    silhouette = min(ax.collections, key=lambda c: c.get_zorder())
    top = silhouette.get_paths()[0].vertices[:, 1].max()
    assert low + top * (high - low) < float(on_line().H.min())
    assert [text.get_text() for text in ax.texts] == [
        f"$\\rho \\leq$ {float(on_line().values.max()):.3g}"
    ]


def test_a_graph_is_broken_at_empty_cells(ax):
    values = torch.zeros(20, dtype=torch.float64)
    values[[2, 3, 4, 10, 11, 15]] = 1.0
    state = jko.ChargedDensity(
        LINE, values / (6 * LINE.cell), torch.where(values > 0, 1.0, torch.nan).double()
    )
    plots.pair(state, ax)
    dot, graph = (c for c in ax.collections if c.get_zorder() == 3)
    assert len(graph.get_segments()) == 3
    assert dot.get_offsets().tolist() == [[LINE.axes[0][15], 1.0]]
    drawn(ax.figure)


@pytest.mark.parametrize("make", [on_line, mesh, lambda: on_line().to_particles(), in_plane])
def test_every_kind_of_pair_can_be_drawn(make):
    figure, axes = plots.canvas(1, 2)
    plots.pair(make(), axes[0])
    plots.charges(make(), axes[1])
    drawn(figure)


def test_atoms_are_dots_whose_area_is_their_mass(ax):
    pair = jko.ChargedParticles([[1.0], [0.0]], [2.0, -1.0], [0.75, 0.25])
    plots.pair(pair, ax)
    (dots,) = ax.collections
    assert dots.get_offsets().tolist() == [[0.0, -1.0], [1.0, 2.0]]
    small, large = dots.get_sizes()
    assert large == pytest.approx(3 * small)


def test_in_the_plane_rho_is_the_image_and_lines_of_equal_H_lie_where_there_is_mass(ax):
    state = in_plane()
    plots.pair(state, ax)
    (image,) = ax.images
    assert np.array_equal(image.get_array(), state.values.numpy().T)
    levels = next(c for c in ax.collections if hasattr(c, "levels"))
    H = state.H[state.values > 0.01 * state.values.max()]
    assert float(H.min()) <= min(levels.levels[1:-1]) < max(levels.levels[1:-1]) <= float(H.max())


def test_in_the_plane_charges_are_blue_below_zero_and_red_above_and_hidden_without_mass(ax):
    state = in_plane()
    plots.charges(state, ax)
    (image,) = ax.images
    shown = image.get_array()
    assert np.array_equal(shown.mask, (state.values <= 0.01 * state.values.max()).numpy().T)
    assert image.norm.vmin == -image.norm.vmax
    assert image.cmap.name == "RdBu_r"
    drawn(ax.figure)


def test_a_flat_charge_has_no_lines_and_still_a_picture():
    flat = jko.ChargedDensity(PLANE, in_plane().values, torch.zeros(PLANE.shape).double())
    figure, axes = plots.canvas(1, 2)
    plots.pair(flat, axes[0])
    plots.charges(flat, axes[1])
    drawn(figure)


def test_a_coupling_joins_partners_of_the_optimal_plan_by_equal_shares(ax):
    theta = torch.arange(15, dtype=torch.float64)[:, None]
    a = jko.ChargedParticles(theta, torch.zeros(15).double())
    b = jko.ChargedParticles(theta.flip(0) + 0.5, torch.full((15,), 3.0).double())
    plots.coupling(a, b, ax, most=5)
    ways = np.array(ax.collections[0].get_segments())
    assert np.allclose(ways[:, 1] - ways[:, 0], [0.5, 3.0])
    assert sorted(ways[:, 0, 0].tolist()) == [1.0, 4.0, 7.0, 10.0, 13.0]
    assert ax.get_title() == f"$D$ = {9.25**0.5:.4g}"
    drawn(ax.figure)


def test_kinds_of_pairs_may_be_coupled(ax):
    plots.coupling(on_line(), mesh(), ax)
    drawn(ax.figure)


def test_a_strip_shows_the_geodesic_of_the_lifts_that_leaves_the_graphs():
    a = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    b = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    figure, axes = plots.canvas(1, 3)
    plots.geodesic_strip(a, b, axes)
    dots = [ax.collections[0].get_offsets() for ax in axes]
    assert sorted(dots[0].tolist()) == [[-1.0, 2.0], [1.0, -2.0]]
    assert sorted(dots[1].tolist()) == [[0.0, -2.0], [0.0, 2.0]]  # two values of H at theta = 0
    assert sorted(dots[2].tolist()) == [[-1.0, -2.0], [1.0, 2.0]]
    middle = jko.geodesic(a, b, 0.5).points.flip(1)
    assert sorted(middle.tolist()) == sorted(dots[1].tolist())
    assert len({ax.get_xlim() for ax in axes}) == len({ax.get_ylim() for ax in axes}) == 1
    drawn(figure)


@pytest.mark.parametrize("make", [on_line, in_plane])
def test_a_flow_of_pairs_is_drawn_at_kept_times(make):
    run = jko.flow(jko.SquaredNorm(), make(), tau=0.1, steps=4)
    figure, axes = plots.canvas(1, 3)
    plots.pair_snapshots(run, axes)
    assert [ax.get_title() for ax in axes] == ["$t$ = 0", "$t$ = 0.2", "$t$ = 0.4"]
    drawn(figure)
    with pytest.raises(ValueError, match=r"3 Axes for 2 times"):
        plots.pair_snapshots(run, axes, [0.0, 0.1])


def test_what_is_no_pair_or_has_no_picture_is_a_sentence(ax):
    with pytest.raises(
        TypeError, match=r"must be ChargedParticles .* not Particles; .*plots\.particles"
    ):
        plots.pair(on_line().lift(), ax)
    with pytest.raises(ValueError, match=r"pairs in d = 1; the state has 2"):
        plots.coupling(in_plane(), in_plane(), ax)
    with pytest.raises(ValueError, match=r"two Axes or more"):
        plots.geodesic_strip(on_line(), on_line(), [ax])
    space = jko.ChargedParticles([[0.0, 0.0, 0.0]], [1.0])
    with pytest.raises(ValueError, match=r"pairs in d = 1 or 2; the state has 3"):
        plots.pair(space, ax)
