"""Local minimisation of ``I / (F - F_*)`` over a family, between a floor and a level of ``F - F_*``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from jko.diagnostics.rates.families import Family

Array = NDArray[np.float64]

WEIGHTS = (10.0, 1000.0)  # of the penalty for leaving the sublevel set, one search after the other
BEYOND = 1e12  # the objective where F is infinite
TRIALS = 60


class Lowest(NamedTuple):
    """Coordinates in the sublevel set, ``F - F_*`` and the ratio there."""

    y: Array
    gap: float
    ratio: float


class BelowRest(ValueError):
    """A state with less energy than the one at rest."""


@dataclass
class Search:
    """Searches of one family; ``trail`` holds (gap, ratio) of all that they evaluated in the sublevel set."""

    family: Family
    minimum: float
    level: float
    floor: float
    max_iterations: int
    trail: list[tuple[float, float]] = field(default_factory=list)
    best: Lowest | None = None

    def run(self, y: Array) -> Lowest:
        """From y, to the lowest point of the sublevel set on the way; one step inside at least."""
        y = self._begin(y)
        at = self._seen(y)
        size = max(at.ratio, np.finfo(float).tiny)
        for weight in WEIGHTS:
            found = minimize(
                self._objective, y, (size, weight), "L-BFGS-B", jac=True,
                options={"maxiter": self.max_iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-7},
            )  # fmt: skip
            y = found.x
            if self.family.figures(y).energy - self.minimum <= self.level:
                break
        self._seen(self._inside(y))
        return at if self.best is None else self.best

    def _begin(self, y: Array) -> Array:
        self.best = None
        return self._inside(y)

    def from_direction(self, d: Array) -> Array:
        """A point along a direction from rest with about half of the level."""
        t = 1.0
        for _ in range(TRIALS):
            gap = self.family.figures(self.family.rest + t * d).energy - self.minimum
            if gap < -self.floor:
                raise BelowRest(gap)
            if 0.25 * self.level <= gap <= self.level:
                break
            usable = np.isfinite(gap) and gap > 0
            t *= float(np.clip((0.6 * self.level / gap) ** 0.5, 0.1, 8.0)) if usable else 0.3
        return self.family.rest + t * d

    def _inside(self, y: Array) -> Array:
        """y, or the point of its way to rest where ``F - F_*`` is just below the level."""
        rest, low, high = self.family.rest, 0.0, 1.0
        if self.family.figures(y).energy - self.minimum <= self.level:
            return y
        for _ in range(TRIALS):
            t = 0.5 * (low + high)
            gap = self.family.figures(rest + t * (y - rest)).energy - self.minimum
            low, high = (t, high) if gap <= self.level else (low, t)
            if 0.999 * self.level <= gap <= self.level:
                break
        return rest + low * (y - rest)

    def _seen(self, y: Array) -> Lowest:
        F, power, _, _ = self.family.figures(y)
        return self._kept(y, F - self.minimum, power)

    def _kept(self, y: Array, gap: float, power: float) -> Lowest:
        """Record what lies in the sublevel set."""
        point = Lowest(y.copy(), gap, power / gap if gap > 0 else np.inf)
        if gap < -self.floor:
            raise BelowRest(gap)
        if self.floor <= gap <= self.level:
            self.trail.append((gap, point.ratio))
            if self.best is None or point.ratio < self.best.ratio:
                self.best = point
        return point

    def _objective(self, y: Array, size: float, weight: float) -> tuple[float, Array]:
        F, power, dF, dpower = self.family.figures(y)
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
