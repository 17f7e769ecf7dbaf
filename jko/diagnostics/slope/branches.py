"""``int_0^tau (d(mu_s, mu_k) / s)^2 ds`` over the steps of all lengths, along the lowest branches of the proximal map.

With ``g(s) = min E + d^2 / 2s`` one has ``g' = -(d / s)^2 / 2`` along each branch.  So every panel [a, b] has an
identity of its own, ``g(a) - g(b) = 1/2 int_a^b (d / s)^2 ds``; where it fails the panel is halved, and where two
branches are lowest at its two ends the place is sought where they are equally low.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko.diagnostics.slope.proximal import Proximal
from jko.measures import State
from jko.shown import shown
from jko.status import Status
from jko.steps.memory import rounding
from jko.steps.result import StepResult

Array = NDArray[np.float64]

PANELS = 48  # at most
NARROW = 1e-6  # of the whole: panels that are halved no more
SEARCHES = 60  # for a jump
CLOSE = 1e-13  # of tau: how well a jump is located
APART = 1e-9  # of what g falls: values that are those of two branches
AHEAD = (2.0, 4.0)  # times tau: where a branch may be that is lower at tau


@shown
class Jump(NamedTuple):
    """A length of step where the proximal map has two values.

    Attributes
    ----------
    s
        The length.
    below, above
        ``d(mu_s, mu_k)`` just below and just above it.
    gap
        How much lower the branch above is there: zero up to rounding, but where a branch ends before it meets another.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.Jump(s=0.5, below=0.1, above=2.0, gap=0.0)
    Jump(s=0.5, below=0.1, above=2, gap=0)
    """

    s: float
    below: float
    above: float
    gap: float


class OnBranch(NamedTuple):
    """A step of length s: its end, ``g(s)``, and ``d / s``; at s = 0 the base point, and the slope there."""

    s: float
    state: State
    value: float
    speed: float

    @classmethod
    def of(cls, found: StepResult) -> OnBranch:
        """That of a step."""
        s = found.problem.tau
        return cls(s, found.state, found.objective, found.cost**0.5 / s)


class Panel(NamedTuple):
    """A part of the integral: its ends, the places at Gauss's nodes, weights, and what is left of its identity."""

    a: OnBranch
    b: OnBranch
    places: tuple[OnBranch, ...]
    weights: Array
    left: float

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.b.s - self.a.s


@dataclass(eq=False)
class Branches:
    """The lowest branches from 0 to tau, panel by panel.

    ``fall`` is the size of what g falls by, to which the identity is held with the tolerance ``tol``; ``size`` that of
    the energies, whose rounding is no jump.
    """

    map: Proximal
    nodes: int
    tol: float
    fall: float
    size: float
    jumps: list[Jump] = field(default_factory=list)
    kinked: bool = False  # whether a step stalled: kinks, which no panel resolves

    def follow(self, a: OnBranch, s: float) -> OnBranch:
        """The branch of a at the length s."""
        found = self.map.at(s, a.state if a.s > 0 else None)
        self.kinked |= found.status is Status.STALLED
        return OnBranch.of(found)

    @property
    def rounded(self) -> float:
        """What rounding makes of the energies."""
        return rounding(self.size, dtype=self.map.state.weights.dtype)

    def _two(self, a: OnBranch, b: OnBranch) -> bool:
        """Whether two places of one length are of two branches, by their values."""
        return abs(a.value - b.value) > APART * self.fall + self.rounded

    def _lower(self, a: OnBranch, b: OnBranch) -> bool:
        """Whether a is on a branch that is lower than that of b."""
        return a.value < b.value and self._two(a, b)

    def _other(self, panel: Panel) -> OnBranch | None:
        """A place of the end's branch that is lower than the panel's: the branch of its beginning has ended."""
        if (
            self.kinked
            or not self.map.branching
            or abs(panel.left) <= APART * self.fall + self.rounded
        ):
            return None
        back = panel.b
        for place in reversed(panel.places):
            back = self.follow(back, place.s)
            if self._lower(back, place):
                return back
        return None

    def panels(self, a: OnBranch, b: OnBranch) -> list[Panel]:
        """The panels between two places, in their order: the worst is halved until the identity holds."""
        found, width = self._split(a, b), b.s - a.s
        while self.map.branching and len(found) < (1 if self.kinked else PANELS):
            worst = max(found, key=lambda panel: abs(panel.left))
            enough = sum(abs(panel.left) for panel in found) <= self.tol * self.fall
            if enough or abs(worst.left) <= self.rounded or worst.width < NARROW * width:
                break
            found.remove(worst)
            nearest = worst.places[(self.nodes - 1) // 2]
            middle = self.follow(nearest, 0.5 * (worst.a.s + worst.b.s))
            found += [*self._split(worst.a, middle), *self._split(middle, worst.b)]
        return sorted(found, key=lambda panel: panel.a.s)

    def _split(self, a: OnBranch, b: OnBranch) -> list[Panel]:
        """One panel, or one before and one after the jump where the branches of its ends meet."""
        panel, end = self._panel(a, b)
        if not (self.map.branching and self._lower(b, end)):
            back = self._other(panel)
            return [panel] if back is None else [*self._split(a, back), *self._split(back, b)]
        low, high = self._between(a, b)
        gap = low.value - high.value
        self.jumps.append(Jump(high.s, low.s * low.speed, high.s * high.speed, gap))
        ends = [ends for ends in ((a, low), (high, b)) if ends[1].s - ends[0].s > CLOSE * b.s]
        return [self._panel(*two)[0] for two in ends]

    def _panel(self, a: OnBranch, b: OnBranch) -> tuple[Panel, OnBranch]:
        """The nodes on the branch of a, and where that is at the end."""
        x, w = np.polynomial.legendre.leggauss(self.nodes)
        half, places = 0.5 * (b.s - a.s), [a]
        for s in a.s + half * (1 + x):
            places.append(self.follow(places[-1], float(s)))
        end = self.follow(places[-1], b.s) if self.map.branching else b
        integral = half * sum(v * place.speed**2 for v, place in zip(w, places[1:], strict=True))
        left = a.value - b.value - 0.5 * float(integral)
        return Panel(a, b, tuple(places[1:]), half * w, left), end

    def _between(self, a: OnBranch, b: OnBranch) -> tuple[OnBranch, OnBranch]:
        """Places on the branches of a and of b, as near to each other as can be, between which b becomes lower."""
        low, high = a, b
        guess = 0.5 * (a.s + b.s)
        for _ in range(SEARCHES):
            width = high.s - low.s
            if width <= CLOSE * b.s:
                break
            s = guess if low.s < guess < high.s else 0.5 * (low.s + high.s)
            left, right = self.follow(low, s), self.follow(high, s)
            over = left.value - right.value
            if self._two(left, right):
                low, high = (low, right) if over > 0 else (left, high)
                slope = 0.5 * (right.speed**2 - left.speed**2)  # of left - right in s
                guess = s - over / slope if slope > 0 else 0.0
            elif abs(left.speed - low.speed) + abs(right.speed - high.speed) > 0 and _one(
                left, right
            ):
                near_low = abs(left.speed - low.speed) < abs(left.speed - high.speed)
                low, high = (left, high) if near_low else (low, right)
                guess = 0.0
            else:  # two branches, equally low
                return left, right
        return low, high


def _one(left: OnBranch, right: OnBranch) -> bool:
    """Whether two places of one length and one value are one."""
    return abs(left.speed - right.speed) <= 1e-5 * max(left.speed, right.speed)
