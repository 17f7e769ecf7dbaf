"""Newton's method with Armijo's rule for the dual of a step."""

from __future__ import annotations

import math
from typing import NamedTuple

from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import Dual

DECREASE, ROUNDING = 1e-4, 1e-12  # of Armijo's rule; of J, relative
FORCING = 0.1  # reduction of the residual by one solve, at least
HALVINGS = 40


class Outcome(NamedTuple):
    """Where Newton ended: the potential, J and |F|_1 there, and the work."""

    phi: Array
    J: float
    residual: float
    newton: int = 0
    cg: int = 0
    evaluations: int = 1

    @property
    def finite(self) -> bool:
        """Whether J and its gradient are numbers."""
        return math.isfinite(self.J) and math.isfinite(self.residual)


def minimise(stepper: Dual, phi: Array, tol: float, limit: int) -> Outcome:
    """Minimise J from phi until |F|_1 <= tol (relative to the mass); the stepper's arrays are those of the result."""
    at = Outcome(phi, stepper.evaluate(phi), stepper.imbalance())
    while at.finite and at.residual > tol and at.newton < limit:
        after = advance(stepper, at, tol)
        if after is None:
            break
        at = after
    return at


def advance(stepper: Dual, at: Outcome, tol: float) -> Outcome | None:
    """One Newton step, or None where J cannot be lowered."""
    stepper.prepare()
    step, cg = stepper.solve(stepper.F, precision(at.residual, tol))
    slope = -float(stepper.F @ step)
    scale = 1.0
    for tried in range(1, HALVINGS):
        phi = at.phi - scale * step
        J = stepper.evaluate(phi)
        if at.J + DECREASE * scale * slope + ROUNDING * abs(at.J) >= J > -math.inf:
            work = (at.newton + 1, at.cg + cg, at.evaluations + tried)
            return Outcome(phi, J, stepper.imbalance(), *work)
        scale *= 0.5
    stepper.evaluate(at.phi)
    stepper.imbalance()
    return None


def precision(residual: float, tol: float) -> float:
    """The residual of the linear system that a Newton step from ``residual`` deserves."""
    return max(min(FORCING, residual) * residual, 0.3 * tol)
