"""Local minimisation of ``I / (F - F_*)`` over a landscape, between a floor and a level of ``F - F_*``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from jko.diagnostics.rates.landscape import Landscape

Array = NDArray[np.float64]

WEIGHTS = (10.0, 1000.0)  # of the penalty for leaving the sublevel set, one search after the other
BEYOND = 1e12  # the objective where F is infinite
TRIALS = 60


class Point(NamedTuple):
    """Coordinates in the sublevel set, ``F - F_*`` and the ratio there."""

    y: Array
    gap: float
    ratio: float


class BelowRest(ValueError):
    """A state with less energy than the one at rest."""


@dataclass
class Search:
    """Searches of one landscape; ``trail`` holds (gap, ratio) of all that they evaluated in the sublevel set."""

    landscape: Landscape
    minimum: float
    level: float
    floor: float
    max_iterations: int
    trail: list[tuple[float, float]] = field(default_factory=list)
    best: Point | None = None

    def run(self, y: Array) -> Point:
        """From y, to the lowest point of the sublevel set on the way; one step inside at least."""
        self.best = None
        y = self._inside(y)
        at = self._seen(y)
        size = max(at.ratio, np.finfo(float).tiny)
        for weight in WEIGHTS:
            found = minimize(
                self._objective, y, (size, weight), "L-BFGS-B", jac=True,
                options={"maxiter": self.max_iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-7},
            )  # fmt: skip
            y = found.x
            if self.landscape.figures(y).energy - self.minimum <= self.level:
                break
        self._seen(self._inside(y))
        best: Point = self.best if self.best is not None else at
        return best

    def from_direction(self, d: Array) -> Array:
        """A point along a direction from rest with about half of the level."""
        t = 1.0
        for _ in range(TRIALS):
            gap = self.landscape.figures(self.landscape.rest + t * d).energy - self.minimum
            if gap < -self.floor:
                raise BelowRest(gap)
            if 0.25 * self.level <= gap <= self.level:
                break
            usable = np.isfinite(gap) and gap > 0
            t *= float(np.clip((0.6 * self.level / gap) ** 0.5, 0.1, 8.0)) if usable else 0.3
        return self.landscape.rest + t * d

    def _inside(self, y: Array) -> Array:
        """y, or the point of its way to rest where ``F - F_*`` is just below the level."""
        rest, low, high = self.landscape.rest, 0.0, 1.0
        if self.landscape.figures(y).energy - self.minimum <= self.level:
            return y
        for _ in range(TRIALS):
            t = 0.5 * (low + high)
            gap = self.landscape.figures(rest + t * (y - rest)).energy - self.minimum
            low, high = (t, high) if gap <= self.level else (low, t)
            if 0.999 * self.level <= gap <= self.level:
                break
        return rest + low * (y - rest)

    def _seen(self, y: Array) -> Point:
        F, power, _, _ = self.landscape.figures(y)
        return self._kept(y, F - self.minimum, power)

    def _kept(self, y: Array, gap: float, power: float) -> Point:
        """Record what lies in the sublevel set."""
        point = Point(y.copy(), gap, power / gap if gap > 0 else np.inf)
        if gap < -self.floor:
            raise BelowRest(gap)
        if self.floor <= gap <= self.level:
            self.trail.append((gap, point.ratio))
            if self.best is None or point.ratio < self.best.ratio:
                self.best = point
        return point

    def _objective(self, y: Array, size: float, weight: float) -> tuple[float, Array]:
        F, power, dF, dpower = self.landscape.figures(y)
        gap = F - self.minimum
        if not (np.isfinite(gap) and np.isfinite(power)):
            return BEYOND, np.zeros_like(y)
        self._kept(y, gap, power)
        safe = max(gap, 1e-3 * self.floor)
        ratio, slope = power / safe, (dpower - power / safe * dF) / safe
        above, below = max(np.log(safe / self.level), 0.0), max(np.log(self.floor / safe), 0.0)
        penalty = weight * (above**2 + below**2)
        pull = 2 * weight * (above - below) / safe
        return ratio / size + penalty, slope / size + pull * dF
