"""Equations on cells in time: three stages made of Euler steps (Shu and Osher), and how long a step may be.

``U' = L(t, U)``, U one tensor that holds all unknowns of all cells:

    U_1 = U + dt L(t, U)
    U_2 = 3/4 U + 1/4 (U_1 + dt L(t + dt, U_1))
    U_+ = 1/3 U + 2/3 (U_2 + dt L(t + dt/2, U_2))

It is of order three, and made of means of Euler steps, so that it keeps what these keep: rho >= 0, the mass.  A step
is as long as it may be while no cell loses more than it has and the error is at most the one allowed; what the error
is, the equations say, and it goes like the square of dt.  The time up to the next kept one is cut into equal parts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jko.limits.course import Course
from jko.limits.stopped import LimitStopped, out_of_work

CAREFUL, SHORTER = 0.9, 0.2  # of the step that the error allows; of the step before, at least


@dataclass(frozen=True, eq=False)
class Slope:
    """``dU/dt``, and the speed: the inverse of the longest Euler step in which no cell loses more than it has."""

    U: Tensor
    speed: float


S = TypeVar("S", bound=Slope)


class Stages(NamedTuple, Generic[S]):
    """A step of length dt from U at t to ``after``, by its three stages; ``speed`` is the largest on its way."""

    t: float
    dt: float
    U: Tensor
    stages: tuple[S, S, S]
    after: Tensor
    speed: float


class CellEquations(ABC, Generic[S]):
    """Equations on cells: their right side, and what decides the length of a step."""

    safe: ClassVar[float]  # of the step in which a cell could lose all it has
    least: ClassVar[float]  # of the whole time: a shorter step is a collapse
    longer: ClassVar[float]  # than the step before, at most
    remedy: ClassVar[str]  # where the steps are too many

    @abstractmethod
    def __call__(self, t: float, U: Tensor) -> S:
        """L(t, U)."""

    @abstractmethod
    def error(self, step: Stages[S]) -> float:
        """The error of a step over the one allowed."""

    @abstractmethod
    def stuck(self, t: float, t1: float, bound: float) -> str:
        """Why a run cannot go on at t, where steps of the length ``bound`` or of none are left: a sentence."""

    def rests(self, slope: S, left: float) -> bool:
        """Whether U stays as it is in the share ``left`` of the whole time."""
        return not bool(slope.U.any())


class March(Generic[S]):
    """Steps in time from 0 to t1, within a number of evaluations: how long the next may be, how much work is left.

    ``steps`` is how many there were, ``reached`` the time and the unknown after the last.
    """

    def __init__(self, cells: CellEquations[S], t1: float, evaluations: int) -> None:
        self.cells, self.t1, self.evaluations = cells, t1, evaluations
        self.bound, self.left, self.steps = t1, evaluations, 0
        self.reached: tuple[float, Tensor]
        self.rested: float | None = None

    def solve(self, U: Tensor, times: NDArray[np.float64]) -> Course[Tensor]:
        """The unknown at the times, which begin at 0; up to where it rests, or to where it cannot go on."""
        self.reached = 0.0, U
        rows, failure = [U], None
        try:
            for t, end in pairwise(times.tolist()):
                rows.append(self.advance(rows[-1], t, end))
        except LimitStopped as stop:
            failure, times = str(stop), times[: len(rows)]
            if self.reached[0] > times[-1]:
                times = np.append(times, self.reached[0])
                rows.append(self.reached[1])
        return Course(times, rows, None, self.rested, failure, rows[-1])

    def advance(self, U: Tensor, t: float, end: float) -> Tensor:
        """The unknown at ``end``."""
        while t < end and self.rested is None:
            t, U = self.onward(t, U, end)
        return U

    def onward(self, t: float, U: Tensor, end: float) -> tuple[float, Tensor]:
        """One step, at most up to ``end``; none where the unknown rests."""
        first = self.slope(t, U)
        if self.cells.rests(first, (self.t1 - t) / self.t1):
            self.rested = t
            return t, U
        return self.explicit(t, U, first, end)

    def explicit(self, t: float, U: Tensor, first: S, end: float) -> tuple[float, Tensor]:
        """The three stages, from the first."""
        step = self.step(t, U, first, end - t)
        return self.arrived(end if step.dt == end - t else t + step.dt, step.after)

    def arrived(self, t: float, U: Tensor) -> tuple[float, Tensor]:
        """Where a step has led."""
        self.reached, self.steps = (t, U), self.steps + 1
        return t, U

    def step(self, t: float, U: Tensor, first: S, left: float) -> Stages[S]:
        """The longest step within the time ``left`` that may be."""
        cells = self.cells
        bound = cells.safe / first.speed if first.speed != 0 else math.inf
        bound = self.bound if self.bound < bound else bound  # NaN where the speed is
        while bound >= cells.least * self.t1:
            step = self.stages(t, U, first, left / max(1, math.ceil(left / bound)))
            error = cells.error(step)
            if step.dt * step.speed <= 1 and error <= 1:
                self.bound = step.dt * next_length(error, cells.longer)
                return step
            if not math.isfinite(step.speed + error):
                bound = step.dt / 4
            elif step.dt * step.speed > 1:
                bound = cells.safe / step.speed
            else:
                bound = step.dt * next_length(error, cells.longer)
        raise LimitStopped(cells.stuck(t, self.t1, bound))

    def stages(self, t: float, U: Tensor, first: S, dt: float) -> Stages[S]:
        """The three stages of a step, the first of which is known."""
        one = U + dt * first.U
        second = self.slope(t + dt, one)
        two = 0.75 * U + 0.25 * (one + dt * second.U)
        third = self.slope(t + 0.5 * dt, two)
        speeds = (first.speed, second.speed, third.speed)
        speed = math.nan if any(map(math.isnan, speeds)) else max(speeds)
        after = (U + 2 * (two + dt * third.U)) / 3
        return Stages(t, dt, U, (first, second, third), after, speed)

    def slope(self, t: float, U: Tensor) -> S:
        """L(t, U), as long as there are evaluations left."""
        self.spend()
        return self.cells(t, U)

    def spend(self) -> None:
        """Count an evaluation."""
        self.left -= 1
        if self.left < 0:
            remedy = self.cells.remedy
            raise LimitStopped(out_of_work(self.evaluations, self.reached[0], self.t1, remedy))


def next_length(error: float, longer: float) -> float:
    """The length of the next step over that of the last, whose error over the allowed one goes like its square."""
    wanted = CAREFUL / math.sqrt(error) if error > 0 else math.inf
    return min(longer, max(SHORTER, wanted))
