"""When the steps of a flow are: lengths, the end, and the halves of a step that failed.

A step of length tau that fails is made in two of half of it, each of them again in two where it fails.  So every row
of a flow takes ``2^-halvings`` of the step that was asked for, sums of which are exact, and what has been made of all
steps is one number, ``through``: its whole part counts the steps, the rest says how much of the next one is done.
Hence the places that were asked for are reached, whatever fails between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from jko import checks
from jko.status import Status
from jko.steps import StepFailed

DEEPEST = 30  # halvings: sums of parts are exact for millions of steps


class Tick(NamedTuple):
    """One step: its length, the time it leads to, and how often what was asked for was halved."""

    tau: float
    t: float
    halvings: int = 0

    @property
    def part(self) -> float:
        """Of the step that was asked for."""
        return 0.5**self.halvings


@dataclass(frozen=True)
class Clock:
    """When the steps are, when the last one was, and how often a step that fails may be halved."""

    tau: float | Callable[[int], float]
    end: float
    steps: float
    retry: int = 0

    @classmethod
    def of(
        cls,
        tau: float | Callable[[int], float],
        t1: float | None,
        steps: int | None,
        retry: int = 0,
    ) -> Clock:
        """From the arguments of a flow, checked."""
        if (t1 is None) == (steps is None):
            raise TypeError("flow needs exactly one of t1 (end time) and steps (number of steps)")
        if checks.count("retry", retry, least=0) > DEEPEST:
            raise ValueError(
                f"retry = {retry} halvings of tau; {DEEPEST} make it a billionth, so give at most so many"
            )
        return cls(
            tau if callable(tau) else checks.number("tau", tau, above=0),
            math.inf if t1 is None else checks.number("t1", t1),
            math.inf if steps is None else checks.count("steps", steps, least=0),
            int(retry),
        )

    def begins(self, through: float, halvings: int) -> int:
        """How often the next step is halved at once, where the last one was halved ``halvings`` times.

        Within a step that was asked for as often as its part before, at the beginning of the next one once less: what
        was hard for one step is likely to be so for the next.
        """
        within = through % 1 > 0
        return halvings if within else min(max(halvings - 1, 0), self.retry)

    def next(self, through: float, t: float, halvings: int = 0) -> Tick:
        """The next step from the time t, halved so often."""
        k = math.floor(through)
        tau = checks.number(f"tau({k})", self.tau(k), above=0) if callable(self.tau) else self.tau
        part, done = 0.5**halvings, through - k
        left = (self.end - t) / (1 - done)  # of a whole step, if this is the last one
        if left > tau * (1 + 1e-9):
            return Tick(part * tau, t + part * tau, halvings)
        whole = left if left < tau * (1 - 1e-9) else tau
        return Tick(part * whole, self.end if done + part == 1 else t + part * whole, halvings)


def halved(failed: StepFailed, retry: int) -> StepFailed:
    """The failure with a note on what was tried."""
    if retry and failed.status is not Status.CLOCK_STANDS:
        times = "once" if retry == 1 else f"{retry} times"
        failed.add_note(f"tau was halved {times} here, and the step failed each time")
    return failed
