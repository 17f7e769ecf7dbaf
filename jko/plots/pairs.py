"""Pictures of pairs (rho, H): the graph of H with its mass in d = 1, rho and H in the plane.

In d = 1 a pair is drawn as its lift in the plane of (theta, w): the curve w = H(theta), wide and strong where rho is
large, over the silhouette of rho.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.patheffects import withStroke

from jko import checks
from jko.measures import ChargedDensity, ChargedParticles, State
from jko.plots import cells
from jko.plots.atoms import particles
from jko.plots.densities import moments
from jko.plots.lifts import THETA, check, curve_of, graph, name_first, name_lift, same_limits
from jko.plots.style import BLUE, GREY, RED
from jko.trajectory import Trajectory

AXES = ("$\\theta_1$", "$\\theta_2$")
SILHOUETTE, ROOM = 0.17, 0.35  # of the height of the axes, and of what is drawn
SEEN = 0.01  # of the largest density: H is drawn where there is more


def pair(state: State, ax: Axes, colour: str = BLUE) -> Axes:
    """A pair (rho, H) in d = 1 or 2.

    - d = 1: the curve w = H(theta), as wide and strong as rho, over the silhouette of rho, whose largest value is
      written beside it; of atoms, dots whose area is their mass.
    - d = 2: on a grid, rho as an image with lines of equal H (broken where H < 0); atoms as dots coloured by H.

    Parameters
    ----------
    state : ChargedDensity, ChargedMesh or ChargedParticles
        What to draw.
    ax : Axes
        Where to draw.
    colour : str
        Of the graph, d = 1.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[0.0], [1.0]], [1.0, -1.0])
    >>> b = jko.ChargedParticles([[1.0], [2.0]], [0.0, 2.0])
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.pair(a, ax) is ax
    True
    """
    if check(state, (1, 2)) == 1:
        graph(state, ax, colour)
        if not isinstance(state, ChargedParticles):
            _silhouette(state, ax, colour)
        return name_lift(ax)
    if isinstance(state, ChargedParticles):
        return particles(state, ax, plane=(1, 2))
    state = checks.kind("the state", state, ChargedDensity)
    values = state.values.cpu().numpy()
    picture = cells.image(values, state.grid, ax, (0, 1), AXES, Normalize(0, values.max()))
    cells.colour_bar(picture, [ax], "$\\rho$")
    H = np.where(values > SEEN * values.max(), state.H.cpu().numpy(), np.nan)
    x, y = (axis.numpy() for axis in state.grid.axes)
    if np.nanmax(H) > np.nanmin(H) and min(H.shape) > 1:
        lines = ax.contour(x, y, np.ma.masked_invalid(H).T, 6, colors=RED, linewidths=0.9)
        for label in ax.clabel(lines, fontsize=7, fmt="%g"):
            label.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
    return ax


def charges(state: State, ax: Axes, colour: str = BLUE) -> Axes:
    """H alone, where there is mass: a curve in d = 1; in d = 2 on a grid an image, blue below zero and red above.

    Parameters
    ----------
    state : ChargedDensity, ChargedMesh or ChargedParticles
        What to draw; in d = 2 atoms are dots coloured by H.
    ax : Axes
        Where to draw.
    colour : str
        Of the curve.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity.from_function(
    ...     jko.Grid((-1.0, 1.0), 20), lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0]
    ... )
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.charges(pair, ax) is ax
    True
    """
    if check(state, (1, 2)) == 1:
        theta, H, rho = curve_of(state)
        ax.plot(theta, np.where(rho > 0, H, np.nan), color=colour, lw=1.6)
        ax.set(xlabel=THETA, ylabel="$H(\\theta)$")
        return ax
    if isinstance(state, ChargedParticles):
        return particles(state, ax, plane=(1, 2))
    state = checks.kind("the state", state, ChargedDensity)
    values = state.values.cpu().numpy()
    H = np.ma.masked_where(values <= SEEN * values.max(), state.H.cpu().numpy())
    largest = float(np.abs(H).max()) or 1.0
    picture = cells.image(H, state.grid, ax, (0, 1), AXES, TwoSlopeNorm(0, -largest, largest))
    picture.set_cmap("RdBu_r")
    cells.colour_bar(picture, [ax], "$H$")
    return ax


def pair_snapshots(
    trajectory: Trajectory, axes: Sequence[Axes], times: Sequence[float] | None = None
) -> Sequence[Axes]:
    """A flow of pairs, one time on each Axes, in d = 1 with one scale for all.

    ``times`` are kept times, as many as Axes; default evenly through the kept states.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[0.0], [1.0]], [1.0, -1.0])
    >>> b = jko.ChargedParticles([[1.0], [2.0]], [0.0, 2.0])
    >>> run = jko.flow(jko.SquaredNorm(), a, tau=0.5, steps=2)
    >>> figure, axes = jko.plots.canvas(1, 3)
    >>> len(jko.plots.pair_snapshots(run, axes))
    3
    """
    for ax, (t, state) in zip(axes, moments(trajectory, times, axes), strict=True):
        pair(state, ax).set_title(f"$t$ = {t:.4g}", fontsize=10)
    if check(trajectory.states[0], (1, 2)) == 1:
        same_limits(axes)
    return name_first(axes)


def _silhouette(state: State, ax: Axes, colour: str) -> None:
    """The density of rho along the bottom, with its largest value, and room for it below what is drawn."""
    theta, _, rho = curve_of(state)
    low, high = ax.dataLim.intervaly
    ax.set_ylim(low - ROOM * (high - low or 1), high + 0.05 * (high - low or 1))
    across = ax.get_xaxis_transform()
    height = SILHOUETTE * rho / rho.max()
    ax.fill_between(theta, 0, height, color=colour, alpha=0.15, lw=0, transform=across, zorder=0)
    top = int(rho.argmax())
    ax.annotate(
        f"$\\rho \\leq$ {rho[top]:.3g}", (theta[top], height[top]), (0, 2), xycoords=across,
        textcoords="offset points", ha="center", va="bottom", fontsize=8, color=GREY,
    )  # fmt: skip
