"""Young measures over theta in d = 1: their atoms, the mean of each fibre, and how wide it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from jko import checks
from jko.diagnostics import disintegration
from jko.measures import GridDensity, State
from jko.plots.densities import moments
from jko.plots.lifts import THETA, W, name_first, same_limits
from jko.plots.style import BLUE, RED
from jko.spaces import Grid
from jko.trajectory import Trajectory

AREA, LARGEST = 1500.0, 60.0  # points^2: of all dots together, and of one


def fibres(state: State, ax: Axes, cells: Grid | float | None = None, colour: str = BLUE) -> Axes:
    """A measure of (w, theta), theta on the line: dots of its mass, the curve of H, and a band of the deviation of w.

    Parameters
    ----------
    state : Particles, YoungMeasure, a pair, or GridDensity
        What to draw.
    ax : Axes
        Where to draw.
    cells : Grid or float, optional
        Where the fibres are, as in :func:`jko.diagnostics.disintegration`; of atoms that moved give a width.
    colour : str
        Of the dots.

    Examples
    --------
    >>> import jko
    >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [0.5], [1.0]], [1.0, -1.0])
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.fibres(mu, ax) is ax
    True
    """
    checks.kind("the state", state, State)
    if state.atoms.dim != 2:
        raise ValueError(
            f"this picture is of (w, theta) with theta on the line; the state has {state.atoms.dim} coordinates"
        )
    found = disintegration(state, cells)
    mu = found.fibres
    w, theta = mu.points.detach().cpu().numpy().T
    area = np.clip(AREA * mu.weights.detach().cpu().numpy(), 0.6, LARGEST)
    alpha = 0.25 if isinstance(state, GridDensity) else 0.7
    ax.scatter(theta, w, s=area, color=colour, lw=0, alpha=alpha, zorder=3)
    order = found.theta[:, 0].argsort()
    place, H = found.theta[order, 0], found.H[order]
    wide = np.sqrt(found.variance[order])
    ax.fill_between(place, H - wide, H + wide, color=RED, alpha=0.15, lw=0, zorder=1)
    ax.plot(place, H, color=RED, lw=1.6, zorder=4)
    ax.set(xlabel=THETA, ylabel=W)
    return ax


def fibre_snapshots(
    trajectory: Trajectory,
    axes: Sequence[Axes],
    times: Sequence[float] | None = None,
    cells: Grid | float | None = None,
) -> Sequence[Axes]:
    """A flow in the completion, one time on each Axes, with one scale for all.

    ``times`` are kept times, as many as Axes; default evenly through the kept states.  ``cells`` as for :func:`fibres`.

    Examples
    --------
    >>> import jko
    >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [0.5], [1.0]], [1.0, -1.0])
    >>> run = jko.flow(jko.SquaredNorm(), mu, tau=0.5, steps=2)
    >>> figure, axes = jko.plots.canvas(1, 3)
    >>> len(jko.plots.fibre_snapshots(run, axes, cells=0.25))
    3
    """
    for ax, (t, state) in zip(axes, moments(trajectory, times, axes), strict=True):
        fibres(state, ax, cells).set_title(f"$t$ = {t:.4g}", fontsize=10)
    same_limits(axes)
    return name_first(axes)
