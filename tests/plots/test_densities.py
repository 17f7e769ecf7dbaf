"""Pictures of densities show every cell where it is, with its value."""

import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm

import jko
from jko import plots

PLANE = jko.Grid(((-2.0, 2.0), (-1.0, 1.0)), (8, 6))
SPACE = jko.Grid(((0.0, 1.0), (0.0, 2.0), (0.0, 3.0)), (4, 5, 6))


@pytest.fixture
def ax():
    return plots.canvas()[1][0]


@pytest.fixture
def axes():
    return plots.canvas(1, 3)[1]


def some_density(grid, seed=0):
    values = torch.rand(grid.N, generator=torch.Generator().manual_seed(seed)).double()
    return jko.GridDensity.from_function(grid, lambda x: values)


def trajectory(states, energies=None, **columns):
    count = len(states)
    energies = np.linspace(2.0, 1.0, count) if energies is None else np.asarray(energies)
    return jko.Trajectory(
        np.linspace(0.0, 1.0, count), energies, tuple(states), np.arange(count), columns
    )


def moving(count):
    mesh = jko.LineMesh([0.0, 1.0, 2.0], [0.5, 0.5])
    return [mesh.moved(mesh.edges * (1 + k)) for k in range(count)]


def walled(x):
    return torch.where((x[:, 0] > 0) & (x[:, 0] < 1.1), torch.inf, 0.0).double()


def test_the_colour_of_a_point_is_the_density_of_its_cell(ax):
    rho = some_density(PLANE)
    assert plots.density(rho, ax) is ax
    (image,) = ax.images
    left, right, low, high = image.get_extent()
    assert [(left, right), (low, high)] == list(PLANE.bounds)
    for point, value in zip(PLANE.centres, rho.values.reshape(-1), strict=True):
        column = int((point[0] - left) / (right - left) * 8)
        row = int((point[1] - low) / (high - low) * 6)
        assert image.get_array()[row, column] == float(value)
    assert image.origin == "lower"
    assert image.norm.vmin == 0
    assert image.norm.vmax == float(rho.values.max())


def test_the_plane_turned_round_is_the_transposed_image():
    rho = some_density(PLANE)
    upright, flat = (plots.canvas()[1][0] for _ in range(2))
    plots.density(rho, upright, plane=(1, 0), names=("$w$", "$\\theta$"))
    plots.density(rho, flat)
    assert (upright.get_xlabel(), upright.get_ylabel()) == ("$\\theta$", "$w$")
    assert (upright.images[0].get_array() == flat.images[0].get_array().T).all()
    assert upright.images[0].get_extent() == [-1.0, 1.0, -2.0, 2.0]


@pytest.mark.parametrize("make", [jko.GridDensity, jko.LineMesh.from_density])
def test_a_density_of_the_line_is_drawn_with_its_jumps(ax, make):
    values = [0.25, 0.5, 0.25]
    rho = jko.GridDensity(jko.Grid((0.0, 3.0), 3), values)
    plots.density(rho if make is jko.GridDensity else make(rho), ax)
    drawn = ax.patches[-1].get_data()
    assert drawn.values.tolist() == values
    assert drawn.edges.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert ax.get_ylim()[0] == 0


def test_in_space_the_image_is_the_marginal(ax):
    rho = some_density(SPACE)
    plots.density(rho, ax, plane=(0, 2))
    seen = ax.images[0].get_array()
    assert np.allclose(seen, rho.values.sum(1).T * 0.4, rtol=1e-14)
    assert float(seen.sum()) * 0.25 * 0.5 == pytest.approx(1.0)


def test_cuts_show_the_layers_that_hold_the_point(axes):
    rho = some_density(SPACE)
    assert plots.slices(rho, axes, at=(0.99, 0.1, 1.4)) is axes
    shown = [ax.images[0].get_array() for ax in axes]
    layers = [rho.values[:, :, 2], rho.values[:, 0, :], rho.values[3, :, :]]
    for image, layer in zip(shown, layers, strict=True):
        assert (image == layer.T.numpy()).all()
    assert [ax.get_title() for ax in axes] == ["$x_3$ = 1.25", "$x_2$ = 0.2", "$x_1$ = 0.875"]
    assert len({ax.images[0].norm.vmax for ax in axes}) == 1


def test_a_row_of_times_has_one_scale(axes):
    states = [some_density(PLANE, seed) for seed in range(5)]
    run = trajectory(states)
    plots.snapshots(run, axes)
    assert [ax.get_title() for ax in axes] == ["$t$ = 0", "$t$ = 0.5", "$t$ = 1"]
    for ax, state in zip(axes, states[::2], strict=True):
        assert (ax.images[0].get_array() == state.values.T.numpy()).all()
        assert ax.images[0].norm.vmax == max(float(s.values.max()) for s in states[::2])
    assert [ax.get_ylabel() for ax in axes] == ["$x_2$", "", ""]


def test_the_scale_can_be_given():
    axes, norm = plots.canvas(1, 2)[1], LogNorm(0.01, 1)
    plots.snapshots(trajectory([some_density(PLANE)] * 3), axes, times=(0.5, 1.0), norm=norm)
    assert all(ax.images[0].norm is norm for ax in axes)
    assert axes[0].get_title() == "$t$ = 0.5"


def test_a_row_of_meshes_has_the_same_axes(axes):
    plots.snapshots(trajectory(moving(3)), axes)
    assert {ax.get_xlim() for ax in axes} == {(0.0, 6.0)}
    assert len({ax.get_ylim() for ax in axes}) == 1


def test_profiles_take_at_most_six_times(ax):
    plots.profiles(trajectory(moving(11)), ax)
    assert [patch.get_label() for patch in ax.patches] == [
        f"$t$ = {t:g}" for t in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    chosen = plots.canvas()[1][0]
    plots.profiles(trajectory(moving(11)), chosen, times=[0.1])
    assert chosen.patches[0].get_data().edges[-1] == 4.0


@pytest.mark.parametrize("plane", [(0, 1), (1, 0)])
def test_exactly_the_blocked_cells_are_hatched(ax, plane):
    rho = jko.GridDensity.from_function(PLANE, lambda x: (walled(x) == 0).double())
    assert plots.obstacles(jko.Potential(walled), rho, ax, plane) is ax
    hatched, outline = ax.collections
    cells = PLANE.centres[:, list(plane)].numpy()
    inside = sum(path.contains_points(cells) for path in hatched.get_paths())
    assert (inside == torch.isinf(walled(PLANE.centres)).numpy()).all()
    length = sum(np.abs(np.diff(segment, axis=0)).sum() for segment in outline.get_segments())
    assert length == pytest.approx(2 * 2.0)  # two sides from wall to wall of the box


def test_an_obstacle_on_the_line_is_as_high_as_the_axes(ax):
    grid = jko.Grid((-2.0, 2.0), 8)
    rho = jko.GridDensity.from_function(grid, lambda x: (x[:, 0] < 0).double())
    plots.obstacles(jko.Potential(walled), rho, plots.density(rho, ax))
    box = ax.collections[0].get_paths()[0].get_extents()
    assert (box.x0, box.x1, box.y0) == (0.0, 0.5, 0.0)
    assert box.y1 == ax.get_ylim()[1]


def test_energies_below_zero_have_a_ledger_that_stacks_up_to_the_start(ax):
    states, energies = [some_density(PLANE)] * 3, [-1.0, -2.0, -2.5]
    costs, slacks = np.array([0.6, 0.2]), np.array([0.4, 0.3])  # tau = 1/2
    run = trajectory(states, energies, costs=costs, slacks=slacks)
    plots.energy(run, plots.canvas()[1][0])
    plots.energy_ledger(run, ax)
    bands = [band.get_datalim(ax.transData) for band in ax.collections]
    assert bands[-1].y1 == pytest.approx(-1.0, rel=1e-12)
    assert bands[0].y0 == ax.get_ylim()[0] < -2.5
    assert bands[0].y1 == -1.0


def test_the_proofs_of_steps_are_drawn_as_far_as_there_are_any(ax):
    columns = {"slacks": np.array([0.5, -0.1]), "residuals": np.array([1e-5, 0.0])}
    plots.proofs(trajectory([some_density(PLANE)] * 3, **columns, other=np.zeros(2)), ax)
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert set(drawn) == {"energy lowered by", "slack", "residual"}
    assert drawn["energy lowered by"].tolist() == [0.5, 0.5]
    assert drawn["slack"][0] == 0.5
    assert np.isnan(drawn["slack"][1])


def test_a_density_of_neurons_predicts_a_curve(ax):
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    features = lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T)  # noqa: E731
    risk, rho = jko.Risk(jko.Data(x, x[:, 0]), features=features), some_density(PLANE)
    plots.curve(x, risk.predict(rho), ax)
    w, theta = rho.support.T
    by_hand = (rho.weights * w * torch.tanh(theta * x)).sum(1)
    assert ax.lines[0].get_ydata() == pytest.approx(by_hand.numpy())


def test_pictures_that_make_no_sense_are_refused(ax, axes):
    atoms, rho = jko.Particles([[0.0, 1.0]]), some_density(PLANE)
    with pytest.raises(TypeError, match=r"drawn by plots\.particles"):
        plots.density(atoms, ax)
    for plane in ((0, 0), (0, 2)):
        with pytest.raises(ValueError, match="two different coordinates from 0 to 1"):
            plots.density(rho, ax, plane=plane)
    with pytest.raises(ValueError, match="in d = 1; this one has d = 2"):
        plots.profiles(trajectory([rho]), ax)
    with pytest.raises(ValueError, match="d = 3 on three Axes; got d = 2 and 3 Axes"):
        plots.slices(rho, axes)
    with pytest.raises(ValueError, match=r"at\[1\] = 5 lies outside the grid, 0 \.\. 2"):
        plots.slices(some_density(SPACE), axes, at=(0.5, 5, 1))
    with pytest.raises(ValueError, match="3 Axes for 2 times"):
        plots.snapshots(trajectory([rho] * 2), axes)
    with pytest.raises(ValueError, match="in d = 1 and 2"):
        plots.obstacles(jko.SquaredNorm(), some_density(SPACE), ax)
