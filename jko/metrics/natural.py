"""The verb ``distance``, and the metric that a kind of state moves in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, overload

from jko import checks
from jko.measures import (
    KINDS,
    PAIRS,
    ChargedDensity,
    ChargedMesh,
    ChargedParticles,
    ChargedSpan,
    GridDensity,
    LineMesh,
    Particles,
    State,
)
from jko.metrics.base import Distance, Length, Metric
from jko.metrics.graph import GraphWasserstein
from jko.metrics.split import SplitWasserstein
from jko.metrics.wasserstein import Wasserstein


@overload
def distance(a: State, b: State, metric: None = None) -> Distance: ...
@overload
def distance(a: State, b: State, metric: Metric) -> Length: ...
def distance(a: State, b: State, metric: Metric | None = None) -> Length:
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
        metric = metric_between(a, b)
    checks.kind("metric", metric, Metric, hint="like jko.Wasserstein()")
    return metric.distance(a, b)


#: the metric of a kind of state; the solvers have the same table, in ``jko/steps/natural.py``
NATURAL: dict[type, type[Metric]] = {
    Particles: Wasserstein,
    GridDensity: Wasserstein,
    LineMesh: Wasserstein,
    ChargedParticles: GraphWasserstein,
    ChargedDensity: GraphWasserstein,
    ChargedMesh: GraphWasserstein,
    ChargedSpan: SplitWasserstein,
}

T = TypeVar("T")


def natural_metric(state: State) -> Metric:
    """The metric that a kind of state moves in: W2 for a measure, D for a pair (rho, H), the split one for a span."""
    return of_kind(NATURAL, state)()


def of_kind(table: Mapping[type, T], state: object) -> T:
    """The entry of a table for the kind of a state, or for the nearest kind that it is derived from.

    Raises
    ------
    TypeError
        A kind that is not in the table.
    """
    for kind in type(state).__mro__:
        if kind in table:
            return table[kind]
    checks.kind("the state", state, *table, hint="build it by jko.Particles(points)")
    raise AssertionError


def metric_between(a: State, b: State) -> Metric:
    """The natural metric of two states of one kind, or of two pairs."""
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, *KINDS)
    if type(a) is not type(b) and not (isinstance(a, PAIRS) and isinstance(b, PAIRS)):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; there is no distance between two kinds of state: "
            "compare Particles with the .lift() of a pair (rho, H) or a span, and with the .to_particles() of a density"
        )
    return natural_metric(a)
