"""How far a Young measure is from graphs: from its own projection, and from those of Lipschitz functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from jko import checks
from jko.diagnostics.disintegrations import disintegration
from jko.measures import Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics import Wasserstein
from jko.shown import Shown
from jko.spaces import Grid


@dataclass(frozen=True)
class GraphDistance(Shown):
    """What there is to say of the distance of a measure on R x Theta to the lifts of pairs (rho, H).

    Attributes
    ----------
    projection : float
        W2 to the lift of its projection (rho, H), H the conditional mean: by a plan that is optimal.
    lower, upper : float
        Bounds of it: W2 between the laws of w and of H, and ``sqrt(E Var(w | theta))``, the cost of the plan that keeps
        theta.
    spread : float
        ``E Var(w | theta)``.

    Notes
    -----
    The *infimum* of D to all pairs is 0, for any measure, where Theta has no isolated points: graphs are dense.  What
    keeps a measure from them is how steep a graph has to be: :meth:`of_slope`, :meth:`slope_within`.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.GraphDistance(0.9, 0.8, 1.0, spread=1.0).of_slope(3.0) ** 2
    0.1
    """

    projection: float
    lower: float
    upper: float
    spread: float

    def of_slope(self, slope: float) -> float:
        """A lower bound of D to all pairs, on any rho, whose H has this Lipschitz constant.

        A plan from (w, theta) to a point (H(t), t) of such a graph has ``|w - H(theta)| <= |w - H(t)| + slope |theta -
        t|``, at most ``sqrt(1 + slope^2)`` times its length, and ``E |w - H(theta)|^2 >= E Var(w | theta)``; so
        ``D^2 >= E Var(w | theta) / (1 + slope^2)``.

        Examples
        --------
        >>> import jko
        >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [1.0]], [[1.0, -1.0], [1.0, -1.0]])
        >>> jko.diagnostics.graph_distance(mu).of_slope(0.0)
        1.0
        """
        return math.sqrt(self.spread / (1 + checks.number("slope", slope, least=0) ** 2))

    def slope_within(self, distance: float) -> float:
        """The least Lipschitz constant that H of a pair within this distance must have: :meth:`of_slope`, solved.

        Examples
        --------
        >>> import jko
        >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [1.0]], [[1.0, -1.0], [1.0, -1.0]])
        >>> round(jko.diagnostics.graph_distance(mu).slope_within(0.1), 4)
        9.9499
        """
        far = checks.number("distance", distance, above=0)
        return math.sqrt(max(self.spread / far**2 - 1, 0.0))


@on_numbers
def graph_distance(state: State, cells: Grid | float | None = None) -> GraphDistance:
    """How far a measure is from graphs; fibres as :func:`jko.diagnostics.disintegration` finds them.

    Parameters
    ----------
    state : Particles, YoungMeasure, a pair, or GridDensity
        Of points (w, theta).
    cells : Grid or float, optional
        As there; with cells all bounds are of the measure whose theta is the mean of its cell.

    Examples
    --------
    >>> import jko
    >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [0.5]], [[1.0, -1.0], [1.0, -1.0]])
    >>> found = jko.diagnostics.graph_distance(mu)
    >>> found.lower, found.projection, found.upper
    (1.0, 1.0, 1.0)
    """
    found = disintegration(state, cells)
    mu = found.fibres
    theta, H = mu.theta[mu.label], mu.H[:, None]
    upright = Particles.of(torch.cat([mu.points[:, :1], theta], dim=1), mu.weights, mu.domain)
    graph = Particles.of(torch.cat([H, mu.theta], dim=1), mu.masses, mu.domain)
    metric = Wasserstein()
    near = metric.distance(upright, graph).value
    laws = [Particles.of(nu.points[:, :1], nu.weights) for nu in (upright, graph)]
    return GraphDistance(
        near,
        metric.distance(*laws).value,
        math.sqrt(found.expected_variance),
        found.expected_variance,
    )
