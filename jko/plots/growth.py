"""Pictures of how high and how steep a density becomes along its flow."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from jko.diagnostics import Smoothness
from jko.plots.style import BLACK, BLUE, GREEN, ORANGE, RED, legend_below


def smoothness(found: Smoothness, ax: Axes) -> Axes:
    """The largest density against the bound on it, on a logarithmic axis, with the times of both, and of a fold.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0, 0.0], [0.0, 2.0]])
    >>> found = jko.diagnostics.smoothness(jko.SquaredNorm(), mu, t1=1.0)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.smoothness(found, ax) is ax
    True
    """
    seen = found.heights < 1e3 * found.factor  # at a fold there is no largest
    ax.semilogy(found.times[seen], found.heights[seen], color=BLUE, lw=1.8, label="largest density")
    seen = found.bounds < 1e3 * found.factor
    ax.semilogy(
        found.times[seen], found.bounds[seen], color=ORANGE, lw=1.5, ls="--", label="bound on it"
    )
    ax.axhline(found.factor, color=BLACK, lw=1, ls=":", label=f"{found.factor:g} times the start")
    until = min(found.guaranteed, float(found.times[-1]))
    ax.axvspan(0, until, color=GREEN, alpha=0.15, lw=0, label="guaranteed below")
    if found.fold < math.inf:
        ax.axvline(found.fold, color=RED, lw=1.2, label="the graph folds")
    ax.set_xlim(0, max(float(found.times[-1]), 0.0) * 1.03)
    ax.set(xlabel="flow time $t$", ylabel="of the largest density at the start")
    legend_below(ax, columns=2)
    return ax
