"""Logarithmic axes whose ticks do not collide: 1, 2, 5 within few decades, decades within many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullLocator

MOST = 6  # ticks of an axis
APART = 0.09  # of the axis, between the names of two ticks


class Decades(Locator):
    """At most six round numbers, evenly spread on a logarithmic axis."""

    def __call__(self) -> Sequence[float]:
        """The ticks of the axis as it is."""
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """1, 2, 5, or 1, 3, or every so many decades; within less than that, ordinary ticks."""
        low, high = sorted((vmin, vmax))
        if not 0 < low < high < np.inf:
            return []
        powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            ticks = np.outer(10.0**powers, steps).ravel()
            ticks = ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]
            if len(ticks) <= MOST:
                break
        if len(ticks) < 2:
            even = np.asarray(MaxNLocator(4).tick_values(low, high))
            return [float(t) for t in even if low <= t <= high]
        return [float(t) for t in ticks[:: -(-len(ticks) // MOST)]]


def _written(value: float, _: int | None = None) -> str:
    """As a number where that is short, else as a power of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    power = int(np.floor(np.log10(abs(value)) + 1e-9))
    front = value / 10.0**power
    return f"$10^{{{power}}}$" if abs(front - 1) < 1e-6 else f"${front:.3g} \\cdot 10^{{{power}}}$"


def calm(ax: Axes) -> Axes:
    """Quiet ticks on those axes that are logarithmic."""
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(Decades())
            axis.set_major_formatter(FuncFormatter(_written))
            axis.set_minor_locator(NullLocator())
    return ax


def named(ax: Axes, places: Sequence[float]) -> None:
    """Ticks at given places of a logarithmic horizontal axis, with the names of those that have room."""
    places = sorted(float(h) for h in places)
    width = np.log(places[-1] / places[0]) or 1.0
    names, last = [], -np.inf
    for h in places:
        here = np.log(h / places[0]) / width
        names.append(_written(h) if here - last >= APART else "")
        last = here if names[-1] else last
    ax.set_xticks(places, names)
    ax.xaxis.set_minor_locator(NullLocator())
