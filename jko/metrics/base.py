"""The contract of a metric on states, and the distance that it hands back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from jko.measures import State
from jko.metrics.couplings import Array, Plan


@dataclass(frozen=True, eq=False)
class Distance:
    """A distance with its plan and its proof.

    Parameters
    ----------
    squared
        The cost of ``plan``: the squared distance, or between large grids an upper bound of it.
    plan
        An optimal coupling of the atoms; between large grids one whose cost is within ``gap`` of the optimum.
    potentials : (N,), (M,)
        ``alpha[i] + beta[j] <= |x_i - y_j|^2`` for all pairs, up to rounding.
    gap
        ``squared`` minus the potentials' lower bound; not negative.  Zero up to rounding proves the plan optimal.
    """

    squared: float
    plan: Plan
    potentials: tuple[Array, Array]
    gap: float

    @property
    def value(self) -> float:
        """The distance."""
        return math.sqrt(self.squared)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Distance({self.value:.10g}, squared={self.squared:.10g}, gap={self.gap:.1e}, {self.plan!r})"


class Metric(ABC):
    """A metric on states; a JKO step penalises its square."""

    @abstractmethod
    def cost(self, state: State, base: State) -> Tensor:
        """The squared cost of the index coupling, ``base.integrate(|T - id|^2)``: 0-d, differentiable.

        Atom i of ``state`` is where atom i of ``base`` went.  It is at least the squared distance.

        Raises
        ------
        TypeError
            A kind of state that the metric does not know.
        ValueError
            Different numbers of atoms, dimensions, dtypes or devices.
        """

    @abstractmethod
    def distance(self, a: State, b: State) -> Distance:
        """The distance between two states.

        Raises
        ------
        TypeError
            A kind of state that the metric does not know.
        ValueError
            Different dimensions, dtypes or devices.
        """
