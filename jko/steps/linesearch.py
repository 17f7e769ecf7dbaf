"""Line searches for the minimisation inside a step.

Without constraints: the weak Wolfe bisection of Lewis and Overton (Math. Program. 141, 2013), which also works at
kinks.  With a closed convex domain: backtracking along the projected path, down to the projected gradient step.
Both accept points on their slopes where the values no longer tell them apart (Hager and Zhang, SIAM J. Optim. 2005).
Where every trial fails to be finite, the last one is returned, for the caller to see.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from jko.energies import Evaluation

DECREASE, CURVATURE = 1e-4, 0.9  # constants of Armijo and Wolfe
TRIALS = 30


@dataclass(frozen=True, eq=False)
class Point:
    """A point of the minimisation: positions, objective, its L2(mu) gradient, and the energy's evaluation there."""

    x: Tensor
    value: float
    gradient: Tensor
    energy: Evaluation


Objective = Callable[[Tensor], Point]
Inner = Callable[[Tensor, Tensor], Tensor]


def weak_wolfe(
    objective: Objective, inner: Inner, start: Point, d: Tensor, noise: float
) -> Point | None:
    """A point along ``start.x + t d`` that satisfies the weak Wolfe conditions, or None where no decrease is found.

    ``d`` is a descent direction; values closer than ``noise`` count as equal.
    """
    slope0 = float(inner(start.gradient, d))
    low, high, t = 0.0, float("inf"), 1.0
    best: Point | None = None
    for _ in range(TRIALS):
        trial = objective(start.x + t * d)
        slope = float(inner(trial.gradient, d))
        armijo = trial.value <= start.value + DECREASE * t * slope0
        blurred = trial.value <= start.value + noise and slope <= (2 * DECREASE - 1) * slope0
        if not (armijo or blurred):
            high = t
            curve = trial.value - start.value - t * slope0  # of the parabola through both values
            t_parabola = -0.5 * slope0 * t * t / curve if curve > 0 else 0.5 * t
            t = min(max(t_parabola, low + 0.1 * (high - low)), low + 0.5 * (high - low))
        elif slope < CURVATURE * slope0:
            best, low = trial, t
            t = 2 * t if high == float("inf") else 0.5 * (low + high)
        else:
            return trial
    return best if best or math.isfinite(trial.value) else trial


def projected_path(
    objective: Objective,
    inner: Inner,
    project: Callable[[Tensor], Tensor],
    start: Point,
    d: Tensor,
    tau: float,
    noise: float,
) -> Point | None:
    """A point ``P(x + t d)``, t >= 1, or 1/2, 1/4, with sufficient decrease; else ``P(x - s g)``, s = tau, tau/2, ...

    None where neither decreases the objective.
    """
    trial = start

    def accept(x: Tensor, scale: float) -> Point | None:
        nonlocal trial
        move, trial = x - start.x, objective(x)
        square, slope = float(inner(move, move)), float(inner(start.gradient, move))
        needed = DECREASE * min(square / scale, -slope if slope < 0 else math.inf)
        if square > 0 and (
            trial.value <= start.value - needed
            or (trial.value <= start.value + noise and needed <= noise)
        ):
            return trial
        return None

    def further(found: Point) -> Point:
        """2, 4, 8 times as far, while the values fall as steeply as at the start and the domain goes on."""
        for k in range(1, TRIALS):
            move = found.x - start.x
            if not float(inner(found.gradient, move)) < CURVATURE * float(
                inner(start.gradient, move)
            ):
                break
            next_ = objective(project(start.x + 2.0**k * d))
            if not next_.value < found.value - noise:
                break
            found = next_
        return found

    for t in (1.0, 0.5, 0.25):
        if found := accept(project(start.x + t * d), tau):
            return further(found) if t == 1.0 else found
    for k in range(TRIALS):
        s = tau * 0.5**k
        if found := accept(project(start.x - s * start.gradient), s):
            return found
    return None if math.isfinite(trial.value) else trial
