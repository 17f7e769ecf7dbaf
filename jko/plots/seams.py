"""Axes that come round: dashed ends, which are one place, and ways across them."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from jko.plots.style import GREY
from jko.spaces import Cylinder, Domain, Torus

DASHED = (0, (4.0, 3.0))


def torus_of(domain: Domain | None) -> tuple[Torus | None, int]:
    """The torus that a domain is made of, and the number of coordinates before its own."""
    if isinstance(domain, Cylinder):
        torus, first = torus_of(domain.base)
        return torus, first + 1
    return (domain if isinstance(domain, Torus) else None), 0


def glue(ax: Axes, domain: Domain | None, *plane: int | None) -> Axes:
    """End the Axes where coordinates come round, and draw these ends dashed.

    ``plane`` are the coordinates along the horizontal and the vertical, None where there is none.
    """
    torus, first = torus_of(domain)
    if torus is None:
        return ax
    for k, sides in zip(plane, (("left", "right"), ("bottom", "top")), strict=False):
        if k is None or k < first or not torus.periodic[k - first]:
            continue
        ax.set_adjustable("box")  # limits are what they are, also with equal units
        ends = float(torus.lower[k - first]), float(torus.upper[k - first])
        ax.set(xlim=ends) if "left" in sides else ax.set(ylim=ends)
        for end in sides:
            ax.spines[end].set_visible(True)
            ax.spines[end].set_linestyle(DASHED)
    return ax


def tracks(points: np.ndarray, domain: Domain, plane: tuple[int, int]) -> LineCollection:
    """The shortest ways of atoms (K, N, dim) from one state to the next; across a seam on both sides of it."""
    start, end = points[:-1].reshape(-1, points.shape[2]), points[1:].reshape(-1, points.shape[2])
    moves = domain.shortest(torch.from_numpy(end - start)).numpy()
    ways = np.stack([start, start + moves], axis=1)
    crossing = (np.abs(start + moves - end) > 1e-9 * (1 + np.abs(end))).any(1)
    back = np.stack([end - moves, end], axis=1)[crossing]
    both = np.concatenate([ways, back])[:, :, list(plane)]
    return LineCollection(list(both), colors=GREY, lw=0.6, alpha=0.6, zorder=1)
