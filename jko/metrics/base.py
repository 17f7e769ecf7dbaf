"""The contract of a metric on states, and what its distances are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from jko.deprecation import Former
from jko.measures import State
from jko.metrics.couplings import Array, Plan
from jko.shown import Shown

EXACT = 1e-10  # of the square: a gap below it counts as none


class Length(Shown, ABC):
    """What every distance is: a number whose square is ``squared``.

    Examples
    --------
    >>> import jko
    >>> found = jko.distance(jko.Particles([[0.0]]), jko.Particles([[3.0]]))
    >>> isinstance(found, jko.metrics.Length), found.value, found.squared, float(found)
    (True, 3.0, 9.0, 3.0)
    """

    squared: float

    @property
    @abstractmethod
    def value(self) -> float:
        """The distance itself."""

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, eq=False)
class Distance(Length):
    """A distance with its plan and its proof.

    Parameters
    ----------
    squared
        The squared distance: the cost of ``plan``.  Between densities on large grids an estimate, between bounds.
        Infinite or zero where the square of ``value`` is no number, above 1e154 and below 1e-162.
    plan
        An optimal coupling of the atoms; between large grids a coupling of the cells that is near one, and that is only
        found when it is asked for.
    potentials : (N,), (M,)
        ``alpha[i] + beta[j] <= |x_i - y_j|^2`` for all pairs, up to rounding of alpha and beta.
    gap
        ``upper`` minus a lower bound, that of the potentials unless grids are large; not negative.  Zero up to rounding
        proves the plan optimal.  Where clouds span many scales it is that of the potentials before they were rounded to
        one number each; on the line, where the order of the atoms is the proof, it is zero.
    exact
        Whether that was proved: ``gap``, with all rounding counted, is below 1e-10 of the squared distance, for atoms
        even of that between the clouds when their means are moved on top of each other.  Masses are known up to
        rounding of their sum.  Default: ``gap <= 1e-10 squared``.
    length
        The distance.  Default: the root of ``squared``.
    above
        ``upper - squared``: zero, but between densities on large grids.

    Examples
    --------
    >>> import jko
    >>> found = jko.distance(jko.Particles([[0.0], [1.0]]), jko.Particles([[3.0], [2.0]]))
    >>> found.squared, found.exact
    (4.0, True)
    """

    squared: float
    plan: Plan
    potentials: tuple[Array, Array]
    gap: float
    exact: bool | None = None
    length: float | None = None
    above: float = 0.0

    cost = Former("squared")

    def __post_init__(self) -> None:
        if self.exact is None:
            object.__setattr__(self, "exact", self.gap <= EXACT * self.squared)

    @property
    def upper(self) -> float:
        """An upper bound of the squared distance, which lies in ``[upper - gap, upper]``; proved up to rounding."""
        return self.squared + self.above

    @property
    def alpha(self) -> Array:
        """The first of the potentials, (N,)."""
        return self.potentials[0]

    @property
    def beta(self) -> Array:
        """The second, (M,)."""
        return self.potentials[1]

    def distance(self) -> Distance:
        """Itself: what :func:`jko.metrics.transport` gives back was no distance once."""
        return self

    @property
    def value(self) -> float:
        """The distance, also where its square is no number."""
        return math.sqrt(self.squared) if self.length is None else self.length

    def _facts(self) -> dict[str, object]:
        proof = "proved optimal" if self.exact else "not proved exact"
        plan = f"{self.plan._size} between {' and '.join(map(str, self.plan.shape))} atoms"
        return {"value": self.value, "squared": self.squared, "gap": self.gap} | {
            "proof": proof,
            "plan": plan,
        }

    def _line(self) -> str:
        doubt = "" if self.exact else "not proved exact, "
        return (
            f"Distance({self.value:.10g}, {doubt}squared={self.squared:.10g}, gap={self.gap:.1e})"
        )


class Metric(Shown, ABC):
    """A metric on states; a JKO step penalises its square.

    A step of atoms asks it one thing: is its cost that of the index coupling, ``base.integrate(|T - id|^2)`` with a
    factor for each coordinate (:meth:`factors`)?  Then the step minimises over the map T and proves afterwards that no
    other coupling is cheaper.  If not, the step minimises with :meth:`cost` as it is, by its gradient in the state.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Particles([[0.0]]), jko.Particles([[2.0]])
    >>> W2 = jko.Wasserstein()
    >>> isinstance(W2, jko.Metric), W2.distance(a, b).value, float(W2.cost(a, b))
    (True, 2.0, 4.0)
    """

    def __init_subclass__(cls, **options: object) -> None:
        """Whoever writes another cost or distance says anew what the index coupling is to it."""
        super().__init_subclass__(**options)
        if {"cost", "distance"} & vars(cls).keys() and "factors" not in vars(cls):
            cls.factors = Metric.factors  # type: ignore[method-assign]

    def factors(self, dim: int) -> tuple[float, ...] | None:
        """Factors s with ``cost = base.integrate(sum_k s_k (T - id)_k^2)``, one a coordinate; (1.0,): all are one.

        None, the default: the cost is of another form.
        """
        return None

    @abstractmethod
    def cost(self, state: State, base: State) -> Tensor:
        """The squared distance as a step sees it: 0-d, not negative, differentiable in the points of ``state``.

        It is zero, with no slope, where ``state`` is ``base``.  Atom i of ``state`` is where atom i of ``base`` went,
        with the same mass; where there are :meth:`factors` it is the cost of that coupling, at least the squared
        distance.

        Raises
        ------
        TypeError
            A kind of state that the metric does not know.
        ValueError
            Different numbers of atoms, dimensions, dtypes or devices.
        """

    @abstractmethod
    def distance(self, a: State, b: State) -> Length:
        """The distance between two states; a :class:`Distance` has a plan, along which :func:`jko.geodesic` goes.

        Raises
        ------
        TypeError
            A kind of state that the metric does not know.
        ValueError
            Different dimensions, dtypes or devices.
        """
