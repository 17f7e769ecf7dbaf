"""When the steps of a flow are: lengths, goals, the end, and the halves of a step that failed.

A step of length tau that fails is made in two of half of it, each of them again in two where it fails.  So every row
of a flow takes ``2^-halvings`` of the step that was asked for, sums of which are exact, and what has been made of all
steps is one number, ``through``: its whole part counts the steps, the rest says how much of the next one is done.
Hence the places that were asked for are reached, whatever fails between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from jko import checks
from jko.ledger import HALVINGS, Present
from jko.status import Status
from jko.steps import StepFailed, StepResult

DEEPEST = 30  # halvings: sums of parts are exact for millions of steps


class Tick(NamedTuple):
    """One step: its length, the time it leads to, which part it is of what was asked for.

    ``residual`` is the largest that it may leave, in L2(mu).
    """

    tau: float
    t: float
    part: float = 1.0
    residual: float = math.inf


@dataclass(frozen=True)
class Goals:
    """Where a flow has to be: at the end, after so many steps, and at the times between that are to be hit."""

    end: float
    steps: float
    times: tuple[float, ...] = ()

    @classmethod
    def of(cls, t1: float | None, steps: int | None, times: tuple[float, ...] = ()) -> Goals:
        """From the arguments of a flow, checked."""
        if (t1 is None) == (steps is None):
            raise TypeError("flow needs exactly one of t1 (end time) and steps (number of steps)")
        end = math.inf if t1 is None else checks.number("t1", t1)
        if times and times[-1] > end:
            raise ValueError(
                f"save = (..., {times[-1]:g}) asks for a state after the end, t1 = {end:g}"
            )
        count = math.inf if steps is None else checks.count("steps", steps, least=0)
        return cls(end, count, times)

    def reached(self, now: Present) -> bool:
        """Whether nothing is left to do."""
        return not (now.through < self.steps and now.t < self.end)

    def after(self, t: float) -> float:
        """The next time that is to be hit."""
        k = bisect_right(self.times, t)
        return min(self.end, self.times[k]) if k < len(self.times) else self.end


class Pace(Protocol):
    """How a flow chooses its steps: the next one, and what to make of its result."""

    @property
    def goals(self) -> Goals:
        """Where to."""
        ...

    @property
    def asks(self) -> bool:
        """Whether it calls code of others."""
        ...

    def next(self, now: Present) -> Tick:
        """The next step to try."""
        ...

    def weighed(self, now: Present, tick: Tick, result: StepResult) -> StepResult | None:
        """What is entered; None: another try; a result that is no step ends the flow."""
        ...

    def gave_up(self, failed: StepFailed) -> StepFailed:
        """The failure that ends the flow, with a note on what was tried."""
        ...


@dataclass
class Clock:
    """Steps of a length that is known beforehand, and how often one that fails may be halved."""

    tau: float | Callable[[int], float]
    goals: Goals
    retry: int = 0
    tried: int = 0  # halvings of the step that is being made, beyond those that it began with

    @classmethod
    def of(cls, tau: float | Callable[[int], float], goals: Goals, retry: int = 0) -> Clock:
        """From the arguments of a flow, checked."""
        if checks.count("retry", retry, least=0) > DEEPEST:
            raise ValueError(
                f"retry = {retry} halvings of tau; {DEEPEST} make it a billionth, so give at most so many"
            )
        tau = tau if callable(tau) else checks.number("tau", tau, above=0)
        return cls(tau, goals, int(retry))

    @property
    def asks(self) -> bool:
        """Whether tau is a function."""
        return callable(self.tau)

    def begins(self, through: float, halvings: int) -> int:
        """How often the next step is halved at once, where the last one was halved ``halvings`` times.

        Within a step that was asked for as often as its part before, at the beginning of the next one once less: what
        was hard for one step is likely to be so for the next.
        """
        within = through % 1 > 0
        return halvings if within else min(max(halvings - 1, 0), self.retry)

    def next(self, now: Present) -> Tick:
        """The next step, halved as often as the last one says and as it has failed."""
        return self.tick(now.through, now.t, self._level(now))

    def _level(self, now: Present) -> int:
        return self.begins(now.through, halvings(now)) + self.tried

    def tick(self, through: float, t: float, halvings: int = 0) -> Tick:
        """The next step from the time t, halved so often."""
        k, goal = math.floor(through), self.goals.after(t)
        tau = checks.number(f"tau({k})", self.tau(k), above=0) if callable(self.tau) else self.tau
        part, done = 0.5**halvings, through - k
        left = (goal - t) / (1 - done)  # of a whole step, if this is the last one
        if left > tau * (1 + 1e-9):
            return Tick(part * tau, t + part * tau, part)
        whole = left if left < tau * (1 - 1e-9) else tau
        return Tick(part * whole, goal if done + part == 1 else t + part * whole, part)

    def weighed(self, now: Present, tick: Tick, result: StepResult) -> StepResult | None:
        """The step with its halvings, where there are any; None where it failed, and is tried in halves."""
        level = self._level(now)
        if not result.status.ok:
            if level >= self.retry:
                return result
            self.tried += 1
            return None
        self.tried = 0
        if not (self.retry or halvings(now)):
            return result
        return replace(result, figures={**result.figures, HALVINGS: level})

    def gave_up(self, failed: StepFailed) -> StepFailed:
        """The failure with a note on how often tau was halved."""
        return noted(failed, self.retry)


def halvings(now: Present) -> int:
    """Of the last step; 0 where it was not of a clock."""
    last = now.row.get(HALVINGS, 0)
    return 0 if last != last else int(last)  # NaN: none


def noted(failed: StepFailed, times: int) -> StepFailed:
    """The failure with a note on how often tau was halved."""
    if times and failed.status is not Status.CLOCK_STANDS:
        often = "once" if times == 1 else f"{times} times"
        failed.add_note(f"tau was halved {often} here, and the step failed each time")
    return failed
