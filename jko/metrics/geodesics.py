"""The verbs ``distance`` and ``geodesic``, what a projection to a graph loses, and the natural metric of a state."""

from __future__ import annotations

from functools import singledispatch

import torch

from jko import checks
from jko.measures import ChargedSpan, GridDensity, LineMesh, Pair, Particles, State
from jko.measures.labels import first_rows, labels
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import Array, Plan, as_array
from jko.metrics.graph import GraphWasserstein
from jko.metrics.grids import deposit
from jko.metrics.line import line_geodesic
from jko.metrics.split import SplitWasserstein
from jko.metrics.wasserstein import Wasserstein
from jko.spaces import Box


def distance(a: State, b: State, metric: Metric | None = None) -> Distance:
    """The distance between two states with its plan, potentials and duality gap: exact, but for large grids.

    Exact means to rounding of the distance itself, not of the largest cost: also for neurons that have all but met
    beside one far away, or for charges and parameters on scales of their own, up to ratios of 1e12 between the scales.
    A translation of a whole cloud is taken out first, so that the plan is optimal at the scale of the clouds.  Masses
    count as known up to rounding of their sum.  ``result.exact`` says whether it was proved; where it was not, the
    result says so when printed.
    ``result.value`` is right for all coordinates that a state takes; above 1e154 and below 1e-162 its square is no
    number, and ``squared``, ``gap`` and the potentials are infinite or zero.

    Parameters
    ----------
    a, b
        Two states of one kind, or two pairs (rho, H) of any kinds; of one dimension, dtype and device.  Numbers of
        atoms and weights may differ.
    metric
        Default: W2 for :class:`jko.Particles` and :class:`jko.GridDensity` (as atoms at the centres of cells), D of
        Remark 3.4 for pairs (rho, H) (:class:`jko.GraphWasserstein`), the split metric for :class:`jko.ChargedSpan`.

    Raises
    ------
    TypeError
        Two kinds of state that no metric compares.
    ValueError
        Different dimensions, dtypes or devices.

    Examples
    --------
    >>> import jko
    >>> jko.distance(jko.Particles([[0.0, 0.0]]), jko.Particles([[3.0, 4.0], [3.0, 4.0]])).value
    5.0
    """
    if metric is None:
        metric = _natural(a, b)
    checks.kind("metric", metric, Metric, hint="like jko.Wasserstein()")
    return metric.distance(a, b)


def geodesic(a: State, b: State, t: float, metric: Metric | None = None) -> State:
    """Displacement interpolation ``((1 - t) x + t y)_# plan`` along an optimal plan.

    Between pairs (rho, H), of any kinds, it is the geodesic of D: that of the lifts.  It may leave the graphs: with
    theta = -1, 1 and H = (2, -2) -> (-2, 2) the midpoint carries two values of H at theta = 0.  So the result is always
    :class:`jko.Particles`; its ``.project()`` is the pair with the mean of H at each theta, and
    :func:`jko.projection_loss` says what that loses.

    Between densities it is a density on their grid: the mass of each atom on its way is shared linearly between the
    centres around it, which keeps mass and mean and adds at most a quarter of the squared spacing to the variance along
    each axis.  Between meshes of the line it is exact, with one cell for each piece of the monotone map.

    Parameters
    ----------
    a, b
        As for :func:`distance`; densities on one grid.
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
    checks.number("t", t, least=0, most=1)
    if isinstance(a, GridDensity) and isinstance(b, GridDensity) and a.grid != b.grid:
        raise ValueError(
            f"a lives on {a.grid} but b on {b.grid}; between densities the grid must be the same"
        )
    if isinstance(a, LineMesh) and isinstance(b, LineMesh):
        return line_geodesic(a, b, t)
    plan = distance(a, b, metric).plan
    if isinstance(a, GridDensity):
        return deposit(a, *_on_the_way(a, b, plan, t))
    start, end = a.atoms, b.atoms
    order = plan.rows.argsort(kind="stable")
    rows, cols, mass = (
        torch.from_numpy(part[order]).to(start.points.device)
        for part in (plan.rows, plan.cols, plan.mass)
    )
    points = torch.lerp(start.points[rows], end.points[cols], float(t))
    weights = start.weights if plan.is_permutation else mass.to(start.points.dtype)
    return Particles(points, weights, start.domain if one_domain(a, b) else None)


def projection_loss(mu: Particles, width: float | None = None) -> float:
    """``int Var(w | theta) dmu``: how far a measure on R x Theta is from the graph of a function H.

    Zero if and only if mu is the lift of a pair (rho, H).  It is the squared distance of mu to the lift of
    ``mu.project()`` along Theta = const, at least ``W2(mu, mu.project().lift())^2``; and
    ``F(mu) - G(mu.project()) = lam/2`` times it for ``V = lam |xi|^2 / 2``.

    Parameters
    ----------
    mu
        Points (w, theta).
    width
        Default: the variance among atoms at equal theta, exactly what ``.project()`` merges.  Atoms of a smooth
        measure hardly ever meet: with a width > 0, those whose theta rounds to one multiple of it (each coordinate)
        are put together.  A graph of slope B then has a loss of about ``|B|^2 width^2 / 12`` too.

    Notes
    -----
    Source: survey section 2.3.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    >>> b = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    >>> [jko.projection_loss(jko.geodesic(a, b, t)) for t in (0.0, 0.25, 0.5)]
    [0.0, 0.0, 4.0]
    """
    checks.kind("mu", mu, Particles, hint="a pair (rho, H) is a graph and loses nothing")
    if mu.dim < 2:
        raise ValueError("the points have one coordinate; Var(w | theta) needs xi = (w, theta)")
    w, theta = mu.points[:, 0], mu.points[:, 1:]
    if width is not None:
        theta = torch.round(theta / checks.number("width", width, above=0))
    label = labels(theta)
    count = int(label.max()) + 1
    anchor = w[first_rows(label)]  # variances of differences: equal charges leave no rounding
    mass, first, second = (
        w.new_zeros(count).index_add_(0, label, mu.weights * (w - anchor[label]) ** power)
        for power in range(3)
    )
    return float((second - first**2 / mass).clamp(min=0).sum())


def one_domain(a: State, b: State) -> bool:
    """Whether two states live in the same domain, or both in none."""
    p, q = a.domain, b.domain
    if isinstance(p, Box) and isinstance(q, Box):
        return torch.equal(p.lower, q.lower) and torch.equal(p.upper, q.upper)
    return p is q


def _on_the_way(a: GridDensity, b: State, plan: Plan, t: float) -> tuple[Array, Array]:
    """Positions and masses at time t of what a plan moves."""
    x, y = as_array(a.support), as_array(b.support)
    return x[plan.rows] + t * (y[plan.cols] - x[plan.rows]), plan.mass


@singledispatch
def natural_metric(state: State) -> Metric:
    """The metric that a kind of state moves in: W2 for a measure, D for a pair (rho, H), the split one for a span.

    The nearest of its classes that has one: for a kind of one's own ``@natural_metric.register``.
    """
    return Wasserstein()


@natural_metric.register
def _(state: Pair) -> Metric:
    return GraphWasserstein()


@natural_metric.register
def _(state: ChargedSpan) -> Metric:
    return SplitWasserstein()


def _natural(a: State, b: State) -> Metric:
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, State)
    if not (
        isinstance(a, type(b))
        or isinstance(b, type(a))
        or (isinstance(a, Pair) and isinstance(b, Pair))
    ):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; there is no distance between two kinds of state: "
            "compare Particles with the .lift() of a pair (rho, H) or a span, and with the .to_particles() of a density"
        )
    return natural_metric(a)
