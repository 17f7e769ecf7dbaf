"""Pictures of measures: their atoms, and the paths that a flow takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.lines import Line2D

from jko import checks
from jko.measures import Particles, State
from jko.plots.names import coordinates, upright
from jko.plots.seams import glue, tracks
from jko.plots.style import BLACK, BLUE, GREY, legend_below
from jko.spaces import Cylinder, wraps
from jko.trajectory import Trajectory

ALIKE = 4  # two places whose extents are within this ratio are drawn with equal units
SIGNED = "RdBu_r"  # blue below zero, red above: told apart by every kind of eye, and of one grey at equal size


def particles(
    state: State,
    ax: Axes,
    plane: tuple[int, int] | None = None,
    colour: int | None = None,
    names: Sequence[str] | None = None,
    norm: Normalize | None = None,
) -> Axes:
    """The atoms as dots whose area is their weight, in a coordinate plane.

    Parameters
    ----------
    state : Particles or ChargedParticles
        What to draw; a pair (rho, H) is drawn as its lift, with the coordinates (w, theta).
    ax : Axes
        Where to draw.
    plane : (int, int), optional
        Coordinates along the two axes.  Default: w upright over theta of a pair, and where the first of ``names`` is w;
        else the second coordinate over the first.  On the line, dots over the share of the mass to their left.
    colour : int, optional
        The coordinate shown by colour, blue below zero and red above; with a bar, unless it is on an axis too.
        Default: w of a pair; of other measures none.
    names : sequence of str, optional
        Names of the coordinates, such as ``plots.NEURONS`` (w and theta).  Default: w and theta of a pair, else x.
    norm : Normalize, optional
        From the coordinate to the colour; default symmetric about zero, up to the largest.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.particles(run.final, ax) is ax
    True
    """
    mu, names = state.atoms, coordinates(state, names)
    plane = upright(names, mu.dim) if plane is None else plane
    for k in (*plane, *([] if colour is None else [colour])):
        _exists(k, mu)
    if mu.dim == 1:
        return _on_line(mu, ax, names)
    if colour is None and names[0] == "$w$":
        colour = 0
    x, y = (mu.points[:, k].detach().cpu().numpy() for k in plane)
    size = 14 * np.clip(mu.weights.detach().cpu().numpy() * mu.N, 0.15, 40)
    if colour is None:
        ax.scatter(x, y, s=size, color=BLUE, alpha=0.8, lw=0, zorder=3)
    else:
        c = mu.points[:, colour].detach().cpu().numpy()
        norm = signed(c) if norm is None else norm
        dots = ax.scatter(x, y, s=size, c=c, cmap=SIGNED, norm=norm, ec=BLACK, lw=0.3, zorder=3)
        if colour not in plane and ax.figure is not None:
            ax.figure.colorbar(dots, ax=ax, label=names[colour], shrink=0.85)
    if "$w$" not in (names[plane[0]], names[plane[1]]):
        _same_units(ax, x, y)
    ax.set(xlabel=names[plane[0]], ylabel=names[plane[1]])
    return glue(ax, mu.domain, *plane)


def paths(
    trajectory: Trajectory,
    ax: Axes,
    plane: tuple[int, int] | None = None,
    most: int = 400,
    names: Sequence[str] | None = None,
) -> Axes:
    """The ways of the atoms through the kept states, at most ``most`` of them, with dots at the end.

    ``plane`` and ``names`` are as in :func:`particles`; on the line, the way of each atom over the flow time.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.paths(run, ax) is ax
    True
    """
    states = [state.atoms for state in trajectory.states]
    names = coordinates(trajectory.states[0], names)
    every = max(1, states[0].N // checks.count("most", most))
    way = np.stack([mu.points[::every].detach().cpu().numpy() for mu in states])  # (K, N, dim)
    domain = states[0].domain
    if states[0].dim == 1 and wraps(domain):
        assert domain is not None
        times = np.broadcast_to(trajectory.times[trajectory.kept][:, None, None], way.shape)
        both = Cylinder(domain)
        ax.add_collection(tracks(np.concatenate([times, way], axis=2), both, (0, 1)))
        ax.autoscale_view()
        ax.set(xlabel="flow time $t$", ylabel=names[0])
        return glue(ax, both, 0, 1)
    if states[0].dim == 1:
        ax.plot(trajectory.times[trajectory.kept], way[:, :, 0], color=BLUE, lw=0.7, alpha=0.6)
        ax.set(xlabel="flow time $t$", ylabel=names[0])
        return ax
    plane = upright(names, states[0].dim) if plane is None else plane
    i, j = (_exists(k, states[0]) for k in plane)
    if wraps(domain):
        assert domain is not None
        ax.add_collection(tracks(way, domain, (i, j)))
    else:
        ax.plot(way[:, :, i], way[:, :, j], color=GREY, lw=0.6, alpha=0.6, zorder=1)
    ax.scatter(way[0, :, i], way[0, :, j], s=5, color=GREY, lw=0, zorder=2)
    particles(trajectory.states[-1], ax, plane, names=names)
    end = "#f4a582" if names[0] == "$w$" else BLUE
    handles = [
        Line2D([], [], color=GREY, lw=1, marker="o", ms=2.5, markevery=[0], label="start and way"),
        Line2D([], [], color="none", marker="o", mfc=end, mec=BLACK, mew=0.5, label="end"),
    ]
    legend_below(ax, columns=2, handles=handles)
    return ax


def signed(values: np.ndarray) -> TwoSlopeNorm:
    """Colours symmetric about zero, up to the largest value."""
    largest = float(np.abs(values).max()) or 1.0
    return TwoSlopeNorm(0, -largest, largest)


def _on_line(mu: Particles, ax: Axes, names: Sequence[str]) -> Axes:
    """The distribution function, with a dot for each atom at its height."""
    x, order = mu.points[:, 0].detach().cpu().sort()
    share = mu.weights.detach().cpu()[order].cumsum(0)
    ax.step(x.numpy(), share.numpy(), where="post", color=BLUE, lw=1.2)
    ax.plot(x.numpy(), share.numpy(), "o", color=BLUE, ms=2.5, ls="")
    ax.set(xlabel=names[0], ylabel="share of the mass up to here", ylim=(0, 1.03))
    return glue(ax, mu.domain, 0)


def _same_units(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Equal units along both axes, where neither would become a strip."""
    wide, high = np.ptp(x), np.ptp(y)
    if 0 < wide <= ALIKE * high and high <= ALIKE * wide:
        ax.set_aspect("equal", adjustable="datalim")


def _exists(k: int, mu: Particles) -> int:
    if not 0 <= k < mu.dim:
        raise ValueError(
            f"coordinate {k} does not exist; the points have coordinates 0 to {mu.dim - 1}"
        )
    return k
