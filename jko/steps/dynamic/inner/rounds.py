"""Newton's method for a path, whose proximal centres follow the densities that it finds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jko.numerics.search import armijo
from jko.steps.dynamic.inner.path import SlabPath
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import FORCING, ROUNDING, TRIALS, Trial

LEAST_LEFT = 0.3  # of a centre, what one Newton step leaves
CLOSE = 0.05  # residual at which the centres follow
GAIN, PATIENCE = 0.9, 30  # of what was left is a gain; Newton steps without one that are made
SETTLED = 1e-3  # how far centres may move in the last step: L1, relative to the mass


class PathPoint(NamedTuple):
    """Potentials of all slabs, J there, the sum of |F|_1, how far the last step moved the centres, and the work."""

    phi: Array
    J: float
    residual: float
    moved: float = math.inf
    newton: int = 0
    cg: int = 0
    evaluations: int = 1

    @property
    def finite(self) -> bool:
        """Whether J and its gradient are numbers."""
        return math.isfinite(self.J) and math.isfinite(self.residual)


def rounds(
    path: SlabPath, phi: Array, tol: float, limit: int, settled: float = SETTLED
) -> PathPoint:
    """Newton steps until the residual is at most ``tol`` and the centres move no further than ``settled``."""
    at = PathPoint(phi, path.evaluate(phi), path.imbalance())
    best, gained = math.inf, 0
    while at.finite and at.newton < limit and (at.residual > tol or at.moved > settled):
        after = _advance(path, at, tol)
        if after is None:
            break
        at = after
        left = max(at.residual / tol, 1.0) * max(at.moved / settled if settled else at.moved, 1e-9)
        if left < GAIN * best:
            best, gained = left, at.newton
        elif at.newton - gained > PATIENCE:
            break
    return at


def _advance(path: SlabPath, at: PathPoint, tol: float) -> PathPoint | None:
    """One Newton step, from centres at the densities of the last one; None where J cannot be lowered."""
    if at.newton and at.residual <= CLOSE:
        path.moved_to(np.maximum(path.r, LEAST_LEFT * path.near))
        at = at._replace(J=path.evaluate(at.phi), residual=path.imbalance())
    path.prepare()
    step, cg = path.solve(max(FORCING * at.residual, 0.3 * tol))

    def along(length: float) -> Trial:
        phi = at.phi - length * step
        return Trial(phi, path.evaluate(phi))

    slope, noise = -float((path.F * step).sum()), ROUNDING * abs(at.J)
    found = armijo(along, at.J, slope, noise=noise, trials=TRIALS)
    if found.point is None:
        path.evaluate(at.phi)
        path.imbalance()
        return None
    moved = float(np.abs(path.r - path.near).sum()) / (len(path.r) * path.mass)
    work = (at.newton + 1, at.cg + cg, at.evaluations + 1 + found.trials)
    return PathPoint(found.point.phi, found.point.value, path.imbalance(), moved, *work)
