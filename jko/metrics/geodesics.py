"""The verbs ``distance`` and ``geodesic``, and the natural metric of a kind of state."""

from __future__ import annotations

import torch

from jko import checks
from jko.measures import ChargedParticles, Particles, State, lifted
from jko.metrics.base import Distance, Metric
from jko.metrics.graph import GraphWasserstein
from jko.metrics.wasserstein import Wasserstein


def distance(a: State, b: State, metric: Metric | None = None) -> Distance:
    """The distance between two states, exact, with its plan, potentials and duality gap.

    Parameters
    ----------
    a, b
        Two states of one kind, dimension, dtype and device; numbers of atoms and weights may differ.
    metric
        Default: W2 for :class:`jko.Particles`, D of Remark 3.4 for :class:`jko.ChargedParticles`.

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


def geodesic(a: State, b: State, t: float, metric: Metric | None = None) -> Particles:
    """Displacement interpolation ``((1 - t) x + t y)_# plan`` along an optimal plan.

    Between pairs (rho, H) it is the geodesic of the lifts.  That may leave the graphs: with theta = -1, 1 and
    H = (2, -2) -> (-2, 2) the midpoint carries two values of H at theta = 0.  So the result is always
    :class:`jko.Particles`; its ``.project()`` is the pair with the mean of H at each theta.

    Parameters
    ----------
    a, b
        Two states of one kind.
    t
        Time in [0, 1]: a (its lift) at 0, b at 1.
    metric
        As for :func:`distance`.

    Returns
    -------
    Particles
        One atom for each entry of the plan; if the plan is a permutation, N atoms in the order of ``a``.  It keeps
        the domain if both states have the same one.

    Examples
    --------
    >>> import jko
    >>> mu, nu = jko.Particles([[0.0], [1.0]]), jko.Particles([[4.0], [3.0]])
    >>> jko.geodesic(mu, nu, 0.5).points.tolist()
    [[1.5], [2.5]]
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t = {t!r}; it must lie in [0, 1]: 0 is the first state, 1 the second")
    plan = distance(a, b, metric).plan
    start, end = lifted(a), lifted(b)
    order = plan.rows.argsort(kind="stable")
    rows, cols, mass = (
        torch.from_numpy(part[order]).to(start.points.device)
        for part in (plan.rows, plan.cols, plan.mass)
    )
    points = torch.lerp(start.points[rows], end.points[cols], float(t))
    weights = start.weights if plan.is_permutation else mass.to(start.points.dtype)
    return Particles(points, weights, start.domain if a.domain is b.domain else None)


def natural_metric(state: State) -> Metric:
    """The metric that a kind of state moves in: W2 for a measure, D for a pair (rho, H)."""
    return GraphWasserstein() if isinstance(state, ChargedParticles) else Wasserstein()


def _natural(a: State, b: State) -> Metric:
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, Particles, ChargedParticles)
    if isinstance(a, ChargedParticles) != isinstance(b, ChargedParticles):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; there is no distance between two kinds of state: "
            "compare the .lift() of the ChargedParticles with the Particles"
        )
    return natural_metric(a)
