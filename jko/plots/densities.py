"""Pictures of densities: on a line, in a plane, of a space its marginals and slices; a flow of them; obstacles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize

from jko import checks
from jko.energies import Energy, parts
from jko.measures import GridDensity, LineMesh, State
from jko.plots import cells
from jko.plots.seams import glue
from jko.plots.style import BLACK, BLUE, GREY, legend_below, shades
from jko.spaces import wraps
from jko.trajectory import Trajectory

NAMES = ("$x_1$", "$x_2$", "$x_3$")
UNITS = {2: "density", 3: "mass per unit area"}
MOST = 6  # curves in one picture


def density(
    state: State,
    ax: Axes,
    plane: tuple[int, int] = (0, 1),
    names: Sequence[str] = NAMES,
    norm: Normalize | None = None,
    colour: str = BLUE,
) -> Axes:
    """A density, cell by cell: a filled line in d = 1, an image with its colour bar in d = 2.

    In d = 3 the image is the marginal on the plane: the density integrated over the third axis.

    Parameters
    ----------
    state : GridDensity or LineMesh
        What to draw.
    ax : Axes
        Where to draw.
    plane : (int, int)
        Coordinates along the two axes of the image; ``(1, 0)`` has w upright in the plane of xi = (w, theta).
    names : sequence of str
        Names of the coordinates.
    norm : Normalize, optional
        From density to colour, d > 1; default linear from 0 to the largest value.
    colour : str
        Of the line, d = 1.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((-3.0, 3.0), 30)
    >>> rho = jko.GridDensity.from_function(grid, lambda x: (-(x[:, 0] ** 2)).exp())
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.density(rho, ax) is ax
    True
    """
    if _density(state).dim == 1:
        return _profile(state, ax, names, colour)
    grid, values = _grid_density(state).grid, cells.marginal(_grid_density(state), plane)
    norm = Normalize(0, values.max()) if norm is None else norm
    picture = cells.image(values, grid, ax, plane, names, norm)
    cells.colour_bar(picture, [ax], UNITS[grid.dim])
    return ax


def profiles(
    trajectory: Trajectory,
    ax: Axes,
    times: Sequence[float] | None = None,
    names: Sequence[str] = NAMES,
) -> Axes:
    """Densities of the line at some times of a flow, one over the other, from pale to strong.

    ``times`` are kept times; default at most six, evenly through the kept states.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((-3.0, 3.0), 30)
    >>> rho = jko.GridDensity.from_function(grid, lambda x: (-(x[:, 0] ** 2)).exp())
    >>> run = jko.flow(jko.Entropy(), rho, tau=0.1, steps=2)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.profiles(run, ax) is ax
    True
    """
    chosen = _moments(trajectory, times, MOST)
    for (t, state), shade in zip(chosen, shades(len(chosen)), strict=True):
        values, edges = _steps(state)
        base = None if wraps(state.domain) else 0.0  # no walls at the ends
        ax.stairs(values, edges, baseline=base, color=shade, lw=1.6, label=f"$t$ = {t:.4g}")
        glue(ax, state.domain, 0)
    legend_below(ax, columns=3)
    return _name_line(ax, names)


def slices(
    state: State,
    axes: Sequence[Axes],
    at: Sequence[float] | None = None,
    names: Sequence[str] = NAMES,
    norm: Normalize | None = None,
) -> Sequence[Axes]:
    """Three cuts through a density in d = 3: across the third, the second and the first coordinate.

    Parameters
    ----------
    state : GridDensity
        In d = 3.
    axes : three Axes
        Where to draw; they share one colour bar.
    at : (3,), optional
        The point that the cuts go through: each shows the layer of cells which holds it.  Default the mean.
    names, norm
        As in :func:`density`.
    """
    if state.dim != 3 or len(axes) != 3:
        raise ValueError(
            f"slices draws a density in d = 3 on three Axes; got d = {state.dim} and {len(axes)} Axes"
        )
    grid, values = _grid_density(state).grid, _grid_density(state).values.cpu().numpy()
    point = state.mean() if at is None else checks.shape("at", checks.floats("at", at), (3,))
    layers = [cells.layer(grid, k, float(point[k])) for k in range(3)]
    cuts = {k: np.take(values, layers[k], axis=k) for k in (2, 1, 0)}
    norm = Normalize(0, max(cut.max() for cut in cuts.values())) if norm is None else norm
    for ax, (k, cut) in zip(axes, cuts.items(), strict=True):
        plane = (0 if k else 1, 1 if k == 2 else 2)
        picture = cells.image(cut, grid, ax, plane, names, norm)
        ax.set_title(f"{names[k]} = {float(grid.axes[k][layers[k]]):.3g}", fontsize=10)
    cells.colour_bar(picture, axes, "density")
    return axes


def snapshots(
    trajectory: Trajectory,
    axes: Sequence[Axes],
    times: Sequence[float] | None = None,
    plane: tuple[int, int] = (0, 1),
    names: Sequence[str] = NAMES,
    norm: Normalize | None = None,
) -> Sequence[Axes]:
    """A flow of densities, one time on each Axes, with one scale for all.

    Parameters
    ----------
    trajectory : Trajectory
        Of densities on a grid, or on a mesh of the line.
    axes : sequence of Axes
        Where to draw.
    times : sequence of float, optional
        Kept times, as many as Axes; default evenly through the kept states.
    plane, names, norm
        As in :func:`density`.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((-3.0, 3.0), 30)
    >>> rho = jko.GridDensity.from_function(grid, lambda x: (-(x[:, 0] ** 2)).exp())
    >>> run = jko.flow(jko.Entropy(), rho, tau=0.1, steps=2)
    >>> figure, axes = jko.plots.canvas(1, 3)
    >>> len(jko.plots.snapshots(run, axes))
    3
    """
    chosen = moments(trajectory, times, axes)
    if _density(chosen[0][1]).dim == 1:
        _profiles([state for _, state in chosen], axes, names)
    else:
        _images([_grid_density(state) for _, state in chosen], axes, plane, names, norm)
    for ax, (t, _) in zip(axes, chosen, strict=True):
        ax.set_title(f"$t$ = {t:.4g}", fontsize=10)
    _name_outer(axes)
    return axes


def obstacles(energy: Energy, state: State, ax: Axes, plane: tuple[int, int] = (0, 1)) -> Axes:
    """Hatch the cells of a density in d = 1, 2 where the energy's potential is +inf, and outline them."""
    grid = _grid_density(state).grid
    if grid.dim > 2:
        raise ValueError("obstacles are drawn in d = 1 and 2")
    blocked = torch.isposinf(parts(energy, state).potential).reshape(grid.shape).numpy()
    if grid.dim == 1:
        x, y, blocked = cells.faces(grid, 0), np.array(ax.get_ylim()), blocked[:, None]
    else:
        x, y = (cells.faces(grid, k) for k in plane)
        blocked = blocked if plane == (0, 1) else blocked.T
    hatched = PolyCollection(
        cells.rectangles(blocked, x, y), facecolors="#e9e9e9", edgecolors=GREY, hatch="////", lw=0
    )
    rim = LineCollection(cells.outline(blocked, x, y), colors=BLACK, lw=0.8)
    ax.add_collection(hatched, autolim=False)
    ax.add_collection(rim, autolim=False)
    return ax


def _density(state: State) -> GridDensity | LineMesh:
    hint = "atoms are drawn by plots.particles(state, ax)"
    return checks.kind("the state", state, GridDensity, LineMesh, hint=hint)


def _grid_density(state: State) -> GridDensity:
    return checks.kind("the state", state, GridDensity, hint="a density on the cells of a grid")


def moments(
    trajectory: Trajectory, times: Sequence[float] | None, axes: Sequence[Axes]
) -> list[tuple[float, State]]:
    """As many kept times as Axes, with their states; where none are asked for, evenly."""
    chosen = _moments(trajectory, times, len(axes))
    if len(chosen) != len(axes):
        raise ValueError(
            f"there are {len(axes)} Axes for {len(chosen)} times, and each needs one; a flow keeps more states with a "
            "smaller save="
        )
    return chosen


def _moments(
    trajectory: Trajectory, times: Sequence[float] | None, most: int
) -> list[tuple[float, State]]:
    """Kept times with their states; where none are asked for, at most ``most`` of them, evenly."""
    if times is not None:
        return [(float(t), trajectory.at(t)) for t in times]
    last = len(trajectory.states) - 1
    index = np.linspace(0, last, min(most, last + 1)).round().astype(int)
    moments = trajectory.times[trajectory.kept]
    return [(float(moments[j]), trajectory.states[j]) for j in index]


def _profile(state: State, ax: Axes, names: Sequence[str], colour: str) -> Axes:
    values, edges = _steps(state)
    ax.stairs(values, edges, fill=True, color=colour, alpha=0.2, lw=0)
    ax.stairs(values, edges, baseline=None if wraps(state.domain) else 0.0, color=colour, lw=1.5)
    return glue(_name_line(ax, names), state.domain, 0)


def _profiles(states: Sequence[State], axes: Sequence[Axes], names: Sequence[str]) -> None:
    """Lines with one scale."""
    top = max(_steps(state)[0].max() for state in states)
    ends = [_steps(state)[1][[0, -1]] for state in states]
    for ax, state in zip(axes, states, strict=True):
        _profile(state, ax, names, BLUE).set_ylim(0, 1.05 * top)
        ax.set_xlim(np.min(ends), np.max(ends))


def _name_outer(axes: Sequence[Axes]) -> None:
    """Leave names of coordinates at the left and below only."""
    places = [ax.get_subplotspec() for ax in axes]
    columns = [place.colspan.start for place in places if place is not None]
    rows = [place.rowspan.stop for place in places if place is not None]
    for ax, place in zip(axes, places, strict=True):
        if place is not None and place.colspan.start > min(columns):
            ax.set_ylabel("")
        if place is not None and place.rowspan.stop < max(rows):
            ax.set_xlabel("")


def _steps(state: State) -> tuple[np.ndarray, np.ndarray]:
    """Values and ends of the cells on the line."""
    state = _density(state)
    if state.dim != 1:
        raise ValueError(f"a line shows a density in d = 1; this one has d = {state.dim}")
    edges = state.edges if isinstance(state, LineMesh) else cells.faces(state.grid, 0)
    return state.values.cpu().numpy(), np.asarray(edges)


def _name_line(ax: Axes, names: Sequence[str]) -> Axes:
    ax.set(xlabel="$x$" if names is NAMES else names[0], ylabel="density")
    ax.set_ylim(bottom=0)
    return ax


def _images(
    states: Sequence[GridDensity],
    axes: Sequence[Axes],
    plane: tuple[int, int],
    names: Sequence[str],
    norm: Normalize | None,
) -> None:
    """Images with one scale and one colour bar."""
    values = [cells.marginal(state, plane) for state in states]
    norm = Normalize(0, max(v.max() for v in values)) if norm is None else norm
    for ax, state, v in zip(axes, states, values, strict=True):
        picture = cells.image(v, state.grid, ax, plane, names, norm)
    cells.colour_bar(picture, axes, UNITS[states[0].dim])
