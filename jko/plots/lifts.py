"""Graphs of pairs on the line: the curve w = H(theta) in the plane of (theta, w), drawn with its mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from jko import checks
from jko.measures import ChargedDensity, ChargedMesh, ChargedParticles, Pair, State

THETA, W = "$\\theta$", "$w$"
WIDE = 4.5  # points: the graph where rho is largest


class Graph(NamedTuple):
    """Points of a graph from left to right, and how dense the mass is at each."""

    theta: np.ndarray
    H: np.ndarray
    rho: np.ndarray


def curve_of(state: State) -> Graph:
    """The graph of a pair on the line; of atoms, with their masses for densities."""
    if isinstance(state, ChargedDensity):
        theta, H, rho = state.support[:, 0], state.H, state.values
    elif isinstance(state, ChargedMesh):
        inside = state.values
        ends = np.concatenate([[inside[0]], inside.cpu().numpy(), [inside[-1]]])
        return Graph(state.theta.cpu().numpy(), state.H.cpu().numpy(), 0.5 * (ends[1:] + ends[:-1]))
    else:
        mu = state.atoms
        order = mu.points[:, 1].argsort()
        H, theta, rho = mu.points[order, 0], mu.points[order, 1], mu.weights[order]
    return Graph(*(part.reshape(-1).cpu().numpy() for part in (theta, H, rho)))


def graph(state: State, ax: Axes, colour: str) -> None:
    """The curve w = H(theta), as wide and strong as rho, broken where rho = 0; of atoms, dots of their mass."""
    theta, H, rho = curve_of(state)
    full = np.concatenate([[False], (rho[1:] > 0) & (rho[:-1] > 0), [False]])
    if isinstance(state, ChargedParticles):
        size = 14 * np.clip(rho * len(rho), 0.15, 40)
        ax.scatter(theta, H, s=size, color=colour, alpha=0.8, lw=0, zorder=3)
        return
    if (alone := (rho > 0) & ~full[1:] & ~full[:-1]).any():
        ax.scatter(theta[alone], H[alone], s=WIDE**2, color=colour, lw=0, zorder=3)
    points, between = np.stack([theta, H], axis=1), 0.5 * (rho[1:] + rho[:-1]) / rho.max()
    ways = np.stack([points[:-1], points[1:]], axis=1)[full[1:-1]]
    between = between[full[1:-1]]
    rise = between.argsort()
    between, ways = between[rise], ways[rise]
    depth = (0.12 + 0.88 * between**0.5)[:, None]  # opaque, since round caps overlap
    lines = LineCollection(
        list(ways), colors=1 - depth * (1 - np.array(to_rgb(colour))),
        lw=0.5 + (WIDE - 0.5) * between, capstyle="round", zorder=3,
    )  # fmt: skip
    ax.add_collection(lines)
    ax.autoscale_view()


def check(state: State, dims: tuple[int, ...]) -> int:
    """The dimension of Theta; refuse what is no pair, and pairs in other dimensions."""
    pair = checks.kind("the state", state, Pair, hint="measures of (w, theta): plots.particles")
    if pair.d not in dims:
        allowed = " or ".join(map(str, dims))
        raise ValueError(f"this picture is of pairs in d = {allowed}; the state has {pair.d}")
    return pair.d


def same_limits(axes: Sequence[Axes]) -> None:
    """Give all Axes the widest limits."""
    low, high = zip(*(ax.get_xlim() for ax in axes), strict=True)
    down, up = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_xlim(min(low), max(high))
        ax.set_ylim(min(down), max(up))


def name_first(axes: Sequence[Axes]) -> Sequence[Axes]:
    """Name the vertical coordinate on the first Axes alone."""
    for ax in axes[1:]:
        ax.set_ylabel("")
    return axes


def name_lift(ax: Axes) -> Axes:
    """Name the coordinates of the lift."""
    ax.set(xlabel=THETA, ylabel="$w = H(\\theta)$")
    return ax
