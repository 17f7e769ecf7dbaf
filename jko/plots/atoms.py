"""Pictures of measures: their atoms, and the paths that a flow takes them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.lines import Line2D

from jko import checks
from jko.measures import Particles, State
from jko.plots.style import BLACK, BLUE, GREY, legend_below
from jko.trajectory import Trajectory


def particles(
    state: State, ax: Axes, plane: tuple[int, int] = (1, 0), colour: int | None = 0
) -> Axes:
    """The atoms as dots whose area is their weight, in a coordinate plane of xi = (w, theta).

    Parameters
    ----------
    state : Particles or ChargedParticles
        What to draw; a pair (rho, H) is drawn as its lift.
    ax : Axes
        Where to draw.
    plane : (int, int)
        Coordinates along the two axes; 0 is w, others are theta.
    colour : int, optional
        The coordinate shown by colour, blue below zero and red above; default w.  None: one colour.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.particles(run.final, ax) is ax
    True
    """
    mu = state.atoms
    x, y = (mu.points[:, _coordinate(k, mu)].cpu().numpy() for k in plane)
    size = 14 * np.clip(mu.weights.cpu().numpy() * mu.N, 0.15, 40)
    if colour is None:
        ax.scatter(x, y, s=size, color=BLUE, alpha=0.8, lw=0, zorder=3)
    else:
        c = mu.points[:, _coordinate(colour, mu)].cpu().numpy()
        norm = TwoSlopeNorm(0, -(np.abs(c).max() or 1), np.abs(c).max() or 1)
        dots = ax.scatter(x, y, s=size, c=c, cmap="RdBu_r", norm=norm, ec=BLACK, lw=0.3, zorder=3)
        if colour not in plane and ax.figure is not None:
            ax.figure.colorbar(dots, ax=ax, label=_axis_name(colour, mu), shrink=0.85)
    ax.set(xlabel=_axis_name(plane[0], mu), ylabel=_axis_name(plane[1], mu))
    return ax


def paths(
    trajectory: Trajectory, ax: Axes, plane: tuple[int, int] = (1, 0), most: int = 400
) -> Axes:
    """The ways of the atoms through the kept states, at most ``most`` of them, with dots at the end.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.paths(run, ax) is ax
    True
    """
    states = [state.atoms for state in trajectory.states]
    plane = (_coordinate(plane[0], states[0]), _coordinate(plane[1], states[0]))
    every = max(1, states[0].N // checks.count("most", most))
    way = np.stack([mu.points[::every].cpu().numpy() for mu in states])  # (K, N, dim)
    ax.plot(way[:, :, plane[0]], way[:, :, plane[1]], color=GREY, lw=0.6, alpha=0.6, zorder=1)
    ax.scatter(way[0, :, plane[0]], way[0, :, plane[1]], s=5, color=GREY, lw=0, zorder=2)
    particles(states[-1], ax, plane)
    handles = [
        Line2D([], [], color=GREY, lw=1, marker="o", ms=2.5, markevery=[0], label="start and way"),
        Line2D([], [], color="none", marker="o", mfc="#f4a582", mec=BLACK, mew=0.5, label="end"),
    ]
    legend_below(ax, columns=2, handles=handles)
    return ax


def _coordinate(k: int, mu: Particles) -> int:
    if not 0 <= k < mu.dim:
        raise ValueError(
            f"coordinate {k} does not exist; the points have coordinates 0 to {mu.dim - 1}"
        )
    return k


def _axis_name(k: int, mu: Particles) -> str:
    return "$w$" if k == 0 else ("$\\theta$" if mu.dim == 2 else f"$\\theta_{{{k}}}$")
