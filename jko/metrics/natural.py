"""The verb ``distance``, and the metric that a kind of state moves in."""

from __future__ import annotations

from functools import singledispatch
from typing import overload

from jko import checks
from jko.deprecation import by_name
from jko.measures import ChargedSpan, NormalLaws, Pair, State, YoungMeasure
from jko.measures.tensors import on_numbers
from jko.metrics.base import Distance, Length, Metric
from jko.metrics.bures import BuresWasserstein
from jko.metrics.graph import GraphWasserstein
from jko.metrics.split import SplitWasserstein
from jko.metrics.wasserstein import Wasserstein


@overload
def distance(a: State, b: State, *, metric: None = None) -> Distance: ...
@overload
def distance(a: State, b: State, *, metric: Metric) -> Length: ...
@by_name(2, "metric")
@on_numbers
def distance(a: State, b: State, *, metric: Metric | None = None) -> Length:
    """The distance between two states with its plan, potentials and duality gap: exact, but for large grids.

    Exact means to rounding of the distance itself, not of the largest cost: also for neurons that have all but met
    beside one far away, or for charges and parameters on scales of their own, up to ratios of 1e12 between the scales.
    A translation of a whole cloud is taken out first, so that the plan is optimal at the scale of the clouds.  Masses
    count as known up to rounding of their sum.  ``result.exact`` says whether it was proved; where it was not, the
    result says so when printed.
    ``result.value`` is right for all coordinates that a state takes; above 1e154 and below 1e-162 its square is no
    number, and ``squared``, ``gap`` and the potentials are infinite or zero.  All of it are numbers: the square as a
    tensor that torch differentiates is :func:`jko.metrics.squared_distance`.

    Parameters
    ----------
    a, b
        Two states of one kind, two pairs (rho, H) of any kinds, or a pair and a Young measure, where D is W2 of the
        completion; of one dimension, dtype and device.  Numbers of atoms and weights may differ.
    metric
        Default: W2 for :class:`jko.Particles` and :class:`jko.GridDensity` (as atoms at the centres of cells), D of
        Remark 3.4 for pairs (rho, H) (:class:`jko.GraphWasserstein`), the split metric for :class:`jko.ChargedSpan`,
        W2 in closed form for :class:`jko.Gaussian` (:class:`jko.metrics.BuresWasserstein`, which says what it is for
        mixtures).

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


@singledispatch
def natural_metric(state: State) -> Metric:
    """The metric that a kind of state moves in: W2 for a measure, D for a pair (rho, H), the split one for a span.

    The nearest of its classes that has one: for a kind of one's own ``@natural_metric.register``.

    Examples
    --------
    >>> import jko
    >>> jko.metrics.natural_metric(jko.ChargedParticles([[0.0]], [1.0]))
    GraphWasserstein()
    """
    return Wasserstein()


@natural_metric.register
def _(state: Pair) -> Metric:
    return GraphWasserstein()


@natural_metric.register
def _(state: ChargedSpan) -> Metric:
    return SplitWasserstein()


@natural_metric.register
def _(state: NormalLaws) -> Metric:
    return BuresWasserstein()


def metric_between(a: State, b: State) -> Metric:
    """The natural metric of two states of one kind, of two pairs, a pair and a Young measure, or two normal laws."""
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, State)
    alike = isinstance(a, type(b)) or isinstance(b, type(a))
    alike = alike or (isinstance(a, NormalLaws) and isinstance(b, NormalLaws))
    pairs = [state for state in (a, b) if isinstance(state, Pair)]
    if pairs and all(isinstance(state, (Pair, YoungMeasure)) for state in (a, b)):
        return natural_metric(pairs[0])
    if not alike:
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; there is no distance between two kinds of state: "
            "compare Particles with the .lift() of a pair (rho, H) or a span, and with the .to_particles() of a density"
        )
    return natural_metric(a)
