"""The verbs ``distance`` and ``geodesic``, and the natural metric of a kind of state."""

from __future__ import annotations

import torch

from jko import checks
from jko.measures import (
    KINDS,
    PAIRS,
    ChargedSpan,
    GridDensity,
    LineMesh,
    Particles,
    State,
    lifted,
)
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import Array, Plan, as_array
from jko.metrics.graph import GraphWasserstein
from jko.metrics.grids import deposit
from jko.metrics.line import line_geodesic
from jko.metrics.split import SplitWasserstein
from jko.metrics.wasserstein import Wasserstein


def distance(a: State, b: State, metric: Metric | None = None) -> Distance:
    """The distance between two states with its plan, potentials and duality gap: exact, but for large grids.

    Parameters
    ----------
    a, b
        Two states of one kind, dimension, dtype and device; numbers of atoms and weights may differ.
    metric
        Default: W2 for :class:`jko.Particles` and :class:`jko.GridDensity` (as atoms at the centres of cells), D of
        Remark 3.4 for :class:`jko.ChargedParticles`.

    Raises
    ------
    TypeError
        Two kinds of state.
    ValueError
        Different dimensions, dtypes or devices.

    Examples
    --------
    >>> import jko
    >>> jko.distance(jko.Particles([[0.0, 0.0]]), jko.Particles([[3.0, 4.0], [3.0, 4.0]])).value
    5.0
    """
    return (metric or _natural(a, b)).distance(a, b)


def geodesic(a: State, b: State, t: float, metric: Metric | None = None) -> State:
    """Displacement interpolation ``((1 - t) x + t y)_# plan`` along an optimal plan.

    Between pairs (rho, H) it is the geodesic of the lifts.  That may leave the graphs: with theta = -1, 1 and
    H = (2, -2) -> (-2, 2) the midpoint carries two values of H at theta = 0.  So the result is always
    :class:`jko.Particles`; its ``.project()`` is the pair with the mean of H at each theta.

    Between densities it is a density on their grid: the mass of each atom on its way is shared linearly between the
    centres around it, which keeps mass and mean and adds at most a quarter of the squared spacing to the variance along
    each axis.  Between meshes of the line it is exact, with one cell for each piece of the monotone map.

    Parameters
    ----------
    a, b
        Two states of one kind; densities on one grid.
    t
        Time in [0, 1]: a (its lift) at 0, b at 1.
    metric
        As for :func:`distance`.

    Returns
    -------
    Particles, GridDensity or LineMesh
        Of particles and pairs: one atom for each entry of the plan; if the plan is a permutation, N atoms in the order
        of ``a``.  They keep the domain if both states have the same one.

    Examples
    --------
    >>> import jko
    >>> mu, nu = jko.Particles([[0.0], [1.0]]), jko.Particles([[4.0], [3.0]])
    >>> jko.geodesic(mu, nu, 0.5).points.tolist()
    [[1.5], [2.5]]
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t = {t!r}; it must lie in [0, 1]: 0 is the first state, 1 the second")
    if isinstance(a, GridDensity) and isinstance(b, GridDensity) and a.grid != b.grid:
        raise ValueError(
            f"a lives on {a.grid} but b on {b.grid}; between densities the grid must be the same"
        )
    if isinstance(a, LineMesh) and isinstance(b, LineMesh):
        return line_geodesic(a, b, t)
    plan = distance(a, b, metric).plan
    if isinstance(a, GridDensity):
        return deposit(a, *_on_the_way(a, b, plan, t))
    start, end = lifted(a), lifted(b)
    order = plan.rows.argsort(kind="stable")
    rows, cols, mass = (
        torch.from_numpy(part[order]).to(start.points.device)
        for part in (plan.rows, plan.cols, plan.mass)
    )
    points = torch.lerp(start.points[rows], end.points[cols], float(t))
    weights = start.weights if plan.is_permutation else mass.to(start.points.dtype)
    return Particles(points, weights, start.domain if a.domain is b.domain else None)


def _on_the_way(a: GridDensity, b: State, plan: Plan, t: float) -> tuple[Array, Array]:
    """Positions and masses at time t of what a plan moves."""
    x, y = as_array(a.support), as_array(b.support)
    return x[plan.rows] + t * (y[plan.cols] - x[plan.rows]), plan.mass


def natural_metric(state: State) -> Metric:
    """The metric that a kind of state moves in: W2 for a measure, D for a pair (rho, H), the split one for a span."""
    if isinstance(state, ChargedSpan):
        return SplitWasserstein()
    return GraphWasserstein() if isinstance(state, PAIRS) else Wasserstein()


def _natural(a: State, b: State) -> Metric:
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, *KINDS)
    if type(a) is not type(b) and not (isinstance(a, PAIRS) and isinstance(b, PAIRS)):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; there is no distance between two kinds of state: "
            "compare Particles with the .lift() of ChargedParticles, and with the .to_particles() of a density"
        )
    return natural_metric(a)
