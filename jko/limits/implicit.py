"""Implicit steps in time for a density on cells: TR-BDF2, of order two and L-stable, with an estimate of its error.

With ``g = 1 - 1/sqrt 2`` and ``w = sqrt 2 / 4``, from u at t to ``u_3`` at t + dt:

    u_2 = u + g dt (L(u) + L(u_2)),    u_3 = u + dt (w L(u) + w L(u_2) + g L(u_3))

The error is estimated by the embedded result of order three, with the weights (1 - w)/3, (3 w + 1)/3 and g/3 (Hosea and
Shampine, Appl. Numer. Math. 20, 1996), and smoothed by an implicit step, since L of rough data is large.

Each stage is solved by Newton's method, from a parabola through the last three stages.  L(u) of the next step is that
of the last stage, taken from its equation: evaluated again it would hold what Newton's method has left, times 1/h^2.
What a stage has below zero is set to zero, the mass is made that of the step before, and both count as errors.
A step may err by the part dt / t1 of what is allowed, as it is estimated, or by the part ``EVEN`` if that is more: what
is rough at first is smooth soon, and where a front enters one cell after another the estimates do not add up.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from jko.limits.rungekutta import CellEquations, March, Slope
from jko.limits.stopped import LimitStopped
from jko.numerics.exchange import Array, Exchange
from jko.numerics.reused import Reused

G, W = 1 - math.sqrt(0.5), math.sqrt(2) / 4
SECOND = 2 * G  # when in a step the second stage is
WRONG = (W - (1 - W) / 3, W - (3 * W + 1) / 3, G - G / 3)  # the weights minus those of order three

LONG = 300  # explicit steps left, above which implicit ones take less time
FIRST = 4.0  # explicit steps in the first implicit one
EVEN = 0.03  # of the error allowed that a step may make however short it is
EXACT = 0.1  # of the error of a step: what Newton's method may leave
FINE, TINY = 0.01, 1e-6  # of how far a step moves: the same; of the mass: what may be rounding
LINEAR = 0.01  # of the residual: what the linear solver may leave
TURNS, WORSE = 15, 2  # of Newton's method; how often it may leave more than it found
SURE = 3.0  # times what the last turn left: what one may leave
FAR = 2.5  # times the length of a parabola: further on it is no guess
CAREFUL, SHORTER, LONGER, EASY = (
    0.9,
    0.2,
    5.0,
    8,
)  # next step over the last; turns of a step that may be longer
STILL = 1e-6  # of the error allowed: what a density at rest may yet move


class LocalRates(NamedTuple):
    """``d_t U``, and what is computed where it is asked for.

    ``matrix`` is minus the derivative as far as neighbours go, ``far`` the product with what couples all cells or None;
    ``rounding`` is that of d_t U in L1, ``scale`` the size of the unknowns of the linear systems.
    """

    rate: Tensor
    matrix: Callable[[], Exchange]
    far: Callable[[Array], Array] | None
    rounding: Callable[[], float]
    scale: Callable[[], Array]


S = TypeVar("S", bound=Slope)


class StiffEquations(CellEquations[S], Generic[S]):
    """Equations on cells that implicit steps can solve."""

    allowed: float  # the error of time per unit of time, in L1

    @property
    @abstractmethod
    def spreads(self) -> bool:
        """Whether diffusion makes them stiff."""

    @abstractmethod
    def linearised(self, U: Tensor) -> LocalRates:
        """The right side with its derivative; negative parts do not move."""

    @abstractmethod
    def restored(self, U: Tensor, before: Tensor) -> Tensor:
        """The nearest that is >= 0 with the mass of ``before``."""


class StiffMarch(March[S]):
    """Explicit steps while there are few, then implicit ones."""

    cells: StiffEquations[S]

    def __init__(self, cells: StiffEquations[S], t1: float, evaluations: int) -> None:
        super().__init__(cells, t1, evaluations)
        self.total = cells.allowed * t1
        self.rate: Tensor | None = None  # L(u), once steps are implicit
        self.past: list[tuple[float, Tensor]] = []
        self.system, self.turns = Reused(), 0
        self.gain, self.checked = (
            math.inf,
            False,
        )  # the last gain of a turn, and whether the last stage was checked

    def onward(self, t: float, U: Tensor, end: float) -> tuple[float, Tensor]:
        """One step, at most up to ``end``."""
        if self.rate is not None:
            return self.implicit(t, U, end)
        first = self.slope(t, U)
        if self.cells.rests(first, (self.t1 - t) / self.t1):
            self.rested = t
            return t, U
        longest = min(self.bound, self.cells.safe / first.speed if first.speed > 0 else math.inf)
        if not self.cells.spreads or self.t1 - t <= LONG * longest:
            return self.explicit(t, U, first, end)
        if not bool(first.U.isfinite().all()):
            raise LimitStopped(self.cells.stuck(t, self.t1, math.nan))
        self.bound, self.rate, self.past = FIRST * longest, first.U, [(t, U)]
        return self.implicit(t, U, end)

    def implicit(self, t: float, U: Tensor, end: float) -> tuple[float, Tensor]:
        """The longest step that may be."""
        assert self.rate is not None
        while self.bound >= self.cells.least * self.t1:
            dt = (end - t) / max(1, math.ceil((end - t) / self.bound))
            allowed = self.total * max(dt / self.t1, EVEN)
            stages = self.solved(t, dt, U, EXACT * allowed)
            if stages is None:
                self.bound = dt / 4
                continue
            second, third, rates = stages
            after = self.cells.restored(third, U)
            error = self.wrong(dt, rates) + float((after - third).abs().sum())
            longer = LONGER if self.turns <= EASY else 1.0
            ratio = error / allowed
            wanted = CAREFUL * ratio ** (-1 / 3) if ratio > 0 else math.inf
            if not ratio <= 1:
                self.bound = dt * (max(SHORTER, wanted) if math.isfinite(ratio) else SHORTER)
                continue
            self.bound = dt * min(longer, wanted)
            now = end if dt == end - t else t + dt
            self.rate, self.past = rates[-1], [(t, U), (t + SECOND * dt, second), (now, after)]
            self.rest(now, dt, U, after)
            return self.arrived(now, after)
        raise LimitStopped(self.cells.stuck(t, self.t1, self.bound))

    def rest(self, t: float, dt: float, U: Tensor, after: Tensor) -> None:
        """Whether a step moved so little that the rest of the time does not matter, and what moves is rounding."""
        moved = float((after - U).abs().sum())
        if moved * (self.t1 - t) / dt <= STILL * self.total:
            slope = self.cells.linearised(after)
            if float(slope.rate.abs().sum()) <= slope.rounding():
                self.rested = t

    def solved(
        self, t: float, dt: float, U: Tensor, enough: float
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]] | None:
        """The two stages, and L of all three; None where Newton's method does not find them."""
        assert self.rate is not None
        first, c, self.turns = self.rate, G * dt, 0
        right = U + c * first
        second = self.stage(right, c, self.guess(t + SECOND * dt, self.past), enough, U)
        if second is None:
            return None
        rate = (second - right) / c
        right = U + W * dt * (first + rate)
        past = [*self.past, (t + SECOND * dt, second)]
        third = self.stage(right, c, self.guess(t + dt, past), enough, U)
        return None if third is None else (second, third, (first, rate, (third - right) / c))

    def stage(
        self, right: Tensor, c: float, U: Tensor, enough: float, start: Tensor
    ) -> Tensor | None:
        """The root of ``U - c L(U) = right``, to ``enough`` and to the part ``FINE`` of how far it is from the start.

        A turn that is sure to be the last, going by what the turns before it gained, is checked every second time.
        """
        last, worse, total = math.inf, 0, float(right.abs().sum())
        for turn in range(TURNS):
            self.spend()
            found = self.cells.linearised(U)
            rest = U - right - c * found.rate
            size = float(rest.abs().sum())
            goal = min(enough, FINE * float((U - start).abs().sum()))
            if turn > 0:
                self.gain, self.checked = size / last, True
            if turn > 0 and size <= goal:
                return U
            if size <= TINY * total and size <= c * found.rounding():
                return U
            worse += not size < last
            if worse > WORSE:
                return None
            last, self.turns = size, self.turns + 1
            matrix = replace(found.matrix(), s=np.full(tuple(U.shape), 1 / c))
            step = self.system.solve(matrix, found.far, numbers(rest) / -c, found.scale, LINEAR)
            U = U + torch.from_numpy(step).to(U)
            if self.checked and SURE * self.gain * size <= goal:
                self.checked = False
                return U
        return None

    def guess(self, t: float, past: list[tuple[float, Tensor]]) -> Tensor:
        """A parabola through the last three stages, or the last where that would be far off."""
        known = past[-3:]
        if len(known) < 3 or t - known[-1][0] > FAR * (known[-1][0] - known[0][0]):
            return past[-1][1]
        value = torch.zeros_like(past[-1][1])
        for s, U in known:
            value += U * math.prod((t - other) / (s - other) for other, _ in known if other != s)
        return value.clamp(min=0)

    def wrong(self, dt: float, rates: tuple[Tensor, ...]) -> float:
        """The estimate of the error in L1."""
        error = sum((a * rate for a, rate in zip(WRONG, rates, strict=True)), 0 * rates[0])
        return float(np.abs(self.system.smoothed(dt * numbers(error))).sum())


def numbers(values: Tensor) -> Array:
    """The same as an array of floats on the CPU."""
    found: Array = values.cpu().numpy().astype(np.float64, copy=False)
    return found
