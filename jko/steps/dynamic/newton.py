"""Newton's method with Armijo's rule for the dual of a step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jko.numerics.search import armijo
from jko.steps.dynamic.stepper import StepDual

ROUNDING = 1e-12  # of J, relative
FORCING = 0.1  # reduction of the residual by one solve, at least
TRIALS = 39  # lengths of one step, each half the one before


class DualOutcome(NamedTuple):
    """Where a method ended: the potential, J and |F|_1 there, and the work.

    ``beside``: the part of the residual that is not |F|_1, by how much densities are not those of their prices; where
    they have a right to that, J is 0.
    """

    phi: Any
    J: float
    residual: float
    newton: int = 0
    cg: int = 0
    evaluations: int = 1
    beside: float = 0.0

    def after(self, newton: int, cg: int, evaluations: int) -> DualOutcome:
        """The same after this work."""
        return self._replace(newton=newton, cg=cg, evaluations=evaluations)

    @property
    def finite(self) -> bool:
        """Whether J and its gradient are numbers."""
        return math.isfinite(self.J) and math.isfinite(self.residual)


class Trial(NamedTuple):
    """A potential and J there."""

    phi: Any
    value: float


def newton(
    stepper: StepDual, phi: Any, tol: float, limit: int, patience: float = math.inf
) -> DualOutcome:
    """Minimise J from phi until |F|_1 <= tol (relative to the mass); the stepper's arrays are those of the result.

    At most ``limit`` iterations are made, and none is begun after ``patience`` evaluations of J.
    """
    at = DualOutcome(phi, stepper.evaluate(phi), stepper.imbalance())
    while at.finite and at.residual > tol and at.newton < limit and at.evaluations < patience:
        after = _advance(stepper, at, tol)
        if after is None:
            break
        at = after
    return at


def _advance(stepper: StepDual, at: DualOutcome, tol: float) -> DualOutcome | None:
    """One Newton step, or None where J cannot be lowered."""
    stepper.prepare()
    precision = max(min(FORCING, at.residual) * at.residual, 0.3 * tol)
    step, cg = stepper.solve(stepper.F, precision)
    slope = -float(stepper.F @ step)

    def along(length: float) -> Trial:
        phi = at.phi - length * step
        return Trial(phi, stepper.evaluate(phi))

    noise = ROUNDING * abs(at.J)
    found = armijo(along, at.J, slope, noise=noise, trials=TRIALS)
    if found.point is None:
        stepper.evaluate(at.phi)
        stepper.imbalance()
        return None
    work = (at.newton + 1, at.cg + cg, at.evaluations + found.trials)
    return DualOutcome(*found.point, stepper.imbalance(), *work)
