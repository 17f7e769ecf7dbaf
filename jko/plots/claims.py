"""The picture of a measured claim of the survey."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from jko.plots.style import BLACK, COLOURS, legend_below
from jko.plots.ticks import calm
from jko.survey import Picture

STYLES: dict[str, dict[str, Any]] = {
    "line": {"lw": 1.6},
    "dots": {"marker": "o", "ms": 5, "lw": 1.2},
    "dashed": {"ls": "--", "lw": 1.2, "color": BLACK},
}


def claim_picture(picture: Picture, ax: Axes) -> Axes:
    """The curves of a claim, with its axes named and scaled as it says."""
    for curve, colour in zip(picture.curves, COLOURS * len(picture.curves), strict=False):
        ax.plot(curve.x, curve.y, label=curve.label, **{"color": colour} | STYLES[curve.style])
    ax.set(xlabel=picture.x, ylabel=picture.y)
    ax.set_xscale("log" if picture.logx else "linear")
    ax.set_yscale("log" if picture.logy else "linear")
    calm(ax)
    if any(curve.label for curve in picture.curves):
        legend_below(ax, columns=min(3, len(picture.curves)))
    return ax
