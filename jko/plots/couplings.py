"""Pictures of D between pairs (rho, H) in d = 1: the optimal plan between two graphs, and the geodesic of the lifts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from jko import checks
from jko.measures import State
from jko.metrics import Plan, distance
from jko.plots.lifts import THETA, W, check, curve_of, graph, name_first, name_lift, same_limits
from jko.plots.style import BLUE, GREY, RED, legend_below
from jko.spaces import wraps


def coupling(a: State, b: State, ax: Axes, most: int = 40) -> Axes:
    """An optimal plan of D between two pairs in d = 1: both graphs in the plane of (theta, w), joined by segments.

    Each segment carries the same mass, ``1/most``; D is the root mean square of their lengths.

    Parameters
    ----------
    a, b : ChargedDensity, ChargedMesh or ChargedParticles
        The pairs, drawn in blue and red.
    ax : Axes
        Where to draw.
    most : int
        How many segments.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[0.0], [1.0]], [1.0, -1.0])
    >>> b = jko.ChargedParticles([[1.0], [2.0]], [0.0, 2.0])
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.coupling(a, b, ax) is ax
    True
    """
    for state in (a, b):
        check(state, (1,))
    found = distance(a, b)
    x, y = _ends(a, b, found.plan)
    shown = _equal_shares(found.plan, x, checks.count("most", most))
    ways = np.stack([x[shown], y[shown]], axis=1)[:, :, ::-1]
    ax.add_collection(LineCollection(list(ways), colors=GREY, lw=0.7, zorder=1))
    for state, colour in ((a, BLUE), (b, RED)):
        graph(state, ax, colour)
    ax.set_title(f"$D$ = {found.value:.4g}", fontsize=10)
    handles = [
        Line2D([], [], color=c, lw=w, label=name)
        for c, w, name in ((BLUE, 3, "$a$"), (RED, 3, "$b$"), (GREY, 0.7, "optimal plan"))
    ]
    legend_below(ax, columns=3, handles=handles)
    return name_lift(ax)


def geodesic_strip(a: State, b: State, axes: Sequence[Axes]) -> Sequence[Axes]:
    """The geodesic of D between two pairs in d = 1, at equal times from 0 to 1, one on each Axes.

    It is the geodesic of the lifts: atoms of the plan on straight lines in the plane of (theta, w), where on the way
    they may form no graph.  The ends are drawn in grey behind.

    Parameters
    ----------
    a, b : ChargedDensity, ChargedMesh or ChargedParticles
        The pairs.
    axes : sequence of Axes
        At least two; those of ``plots.canvas(1, 5)`` fit on a page.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[0.0], [1.0]], [1.0, -1.0])
    >>> b = jko.ChargedParticles([[1.0], [2.0]], [0.0, 2.0])
    >>> figure, axes = jko.plots.canvas(1, 3)
    >>> len(jko.plots.geodesic_strip(a, b, axes))
    3
    """
    for state in (a, b):
        check(state, (1,))
    if len(axes) < 2:
        raise ValueError(f"a strip needs two Axes or more, for both ends; got {len(axes)}")
    plan = distance(a, b).plan
    x, y = _ends(a, b, plan)
    size = 12 * np.clip(plan.mass / plan.mass.max(), 0.02, 1)
    for ax, s in zip(axes, np.linspace(0, 1, len(axes)), strict=True):
        for state in (a, b):
            ends = curve_of(state)
            seen = np.where(ends.rho > 0, ends.H, np.nan)
            ax.plot(ends.theta, seen, color=GREY, lw=0.8, alpha=0.6, zorder=1)
        w, theta = ((1 - s) * x + s * y).T
        ax.scatter(theta, w, s=size, color=BLUE, lw=0, zorder=2)
        ax.set_title(f"$s$ = {s:.3g}", fontsize=10)
        ax.set(xlabel=THETA, ylabel=W)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    same_limits(axes)
    return name_first(axes)


def _ends(a: State, b: State, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Where the parts of a plan start and end, (w, theta) both."""
    x, y = (state.atoms.points.cpu().numpy() for state in (a, b))
    x, y = x[plan.rows], y[plan.cols]
    if wraps(a.domain):  # the shortest way, perhaps beyond the seam
        domain = a.atoms.domain
        assert domain is not None
        y = x + domain.shortest(torch.from_numpy(y - x)).numpy()
    return x, y


def _equal_shares(plan: Plan, x: np.ndarray, count: int) -> np.ndarray:
    """Parts of a plan at equal shares of its mass, from the left of a to its right."""
    order = np.lexsort((x[:, 0], x[:, 1]))
    reached = np.cumsum(plan.mass[order])
    levels = reached[-1] * (np.arange(count) + 0.5) / count
    return np.unique(order[np.searchsorted(reached, levels)])
