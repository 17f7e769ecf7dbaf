"""The verb ``geodesic``: displacement interpolation along an optimal plan."""

from __future__ import annotations

import torch

from jko import checks
from jko.deprecation import by_name
from jko.measures import GridDensity, LineMesh, NormalLaws, Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics.base import Distance, Metric
from jko.metrics.bures import normal_geodesic
from jko.metrics.couplings import Array, Plan, as_array
from jko.metrics.grids import deposit
from jko.metrics.meshes import line_geodesic
from jko.metrics.natural import distance
from jko.spaces import same_domain, wraps


@by_name(3, "metric")
@on_numbers
def geodesic(a: State, b: State, t: float, *, metric: Metric | None = None) -> State:
    """Displacement interpolation ``((1 - t) x + t y)_# plan`` along an optimal plan.

    Between pairs (rho, H), of any kinds, it is the geodesic of D: that of the lifts.  It may leave the graphs: with
    theta = -1, 1 and H = (2, -2) -> (-2, 2) the midpoint carries two values of H at theta = 0.  So the result is always
    :class:`jko.Particles`; its ``.project()`` is the pair with the mean of H at each theta, and
    :func:`jko.metrics.projection_loss` says what that loses.

    Between densities it is a density on their grid: the mass of each atom on its way is shared linearly between the
    centres around it, which keeps mass and mean and adds at most a quarter of the squared spacing to the variance along
    each axis.  Where axes are periodic all goes the shortest way.  Between meshes of the line it is exact, with one
    cell for each piece of the monotone map.  Between normal laws it is normal; between mixtures a mixture, with a
    component for each entry of the plan of components.

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
    Particles, GridDensity, LineMesh, Gaussian or GaussianMixture
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
        _monotone(metric)
        return line_geodesic(a, b, t)
    found = distance(a, b) if metric is None else distance(a, b, metric=metric)
    if not isinstance(found, Distance):
        raise TypeError(
            f"{type(metric).__name__}.distance returned {type(found).__name__}, which has no plan to go along; "
            "leave metric out for the geodesic of the natural metric"
        )
    plan = found.plan
    if isinstance(a, NormalLaws) and isinstance(b, NormalLaws):
        return normal_geodesic(a, b, t, plan)
    if isinstance(a, GridDensity):
        return deposit(a, *_on_the_way(a, b, plan, t))
    start, end = a.atoms, b.atoms
    order = plan.rows.argsort(kind="stable")
    rows, cols, mass = (
        torch.from_numpy(part[order]).to(start.points.device)
        for part in (plan.rows, plan.cols, plan.mass)
    )
    x, y = start.points[rows], end.points[cols]
    if wraps(start.domain):
        assert start.domain is not None
        y = x + start.domain.shortest(y - x)
    points = torch.lerp(x, y, float(t))
    weights = start.weights if plan.is_permutation else mass.to(start.points.dtype)
    return Particles(points, weights, start.domain if same_domain(a.domain, b.domain) else None)


def _monotone(metric: Metric | None) -> None:
    """On the line the geodesic between meshes is that of the monotone map, in W2 at any scale."""
    if metric is not None and metric.factors(1) is None:
        raise TypeError(
            f"between meshes of the line only the geodesic of W2 is known, not that of {metric!r}; "
            "compare atoms: mesh.to_particles()"
        )


def _on_the_way(a: GridDensity, b: State, plan: Plan, t: float) -> tuple[Array, Array]:
    """Positions and masses at time t of what a plan moves."""
    x, y = as_array(a.support), as_array(b.support)
    moves = torch.from_numpy(y[plan.cols] - x[plan.rows])
    return x[plan.rows] + t * a.domain.shortest(moves).numpy(), plan.mass
