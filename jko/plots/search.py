"""Pictures of a search over all measures: the gap against rounds or time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from jko.diagnostics import BestMeasure
from jko.plots.style import COLOURS

LEAST = 1e-17  # of the energy: below it a gap is drawn there


def gaps(found: BestMeasure | Mapping[str, BestMeasure], ax: Axes, against: str = "rounds") -> Axes:
    """How far the energy is from the minimum over all measures, relative to it, on a logarithmic axis.

    Parameters
    ----------
    found
        What :func:`jko.minimiser` gave from atoms, or several by name.
    against
        ``"rounds"`` or ``"seconds"``.

    Examples
    --------
    >>> import jko
    >>> wells = jko.Potential(lambda x: ((x**2 - 1) ** 2 + 0.1 * x + 1)[:, 0])
    >>> best = jko.minimiser(wells, jko.Particles([[1.0]]))
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.gaps(best, ax) is ax
    True
    """
    if against not in ("rounds", "seconds"):
        raise ValueError(f'against must be "rounds" or "seconds", not {against!r}')
    several = found if isinstance(found, Mapping) else {"": found}
    for (name, best), colour in zip(several.items(), COLOURS * len(several), strict=False):
        history = best.history
        size = np.maximum(np.abs(history["energies"]), np.finfo(float).tiny)
        part = np.maximum(history["gaps"] / size, LEAST)
        x = np.arange(len(part)) if against == "rounds" else history["seconds"]
        ax.semilogy(x, part, "o-", color=colour, ms=4, lw=1.4, label=name or None)
    ax.set(xlabel="round" if against == "rounds" else "seconds", ylabel="gap / energy")
    if isinstance(found, Mapping):
        ax.legend(frameon=False, fontsize=9)
    return ax
