"""Line searches for the minimisation inside a step.

Without constraints: the weak Wolfe bisection of Lewis and Overton (Math. Program. 141, 2013), which also works at
kinks.  With a closed convex domain: backtracking along the projected path, down to the projected gradient step.
Both accept points on their slopes where the values no longer tell them apart (Hager and Zhang, SIAM J. Optim. 2005).
Where every trial fails to be finite, the last one is returned, for the caller to see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jko.energies import Evaluation

DECREASE, CURVATURE = 1e-4, 0.9  # constants of Armijo and Wolfe
TRIALS = 30


@dataclass(frozen=True, eq=False)
class Point:
    """A point of the minimisation: positions, objective, its L2(mu) gradient, and the energy's evaluation there.

    ``cost`` is what the step pays there, ``square`` is ``|T - y|^2``, and ``sums`` are the inner products that were
    asked for with the evaluation.
    """

    x: Tensor
    value: float
    gradient: Tensor
    energy: Evaluation
    cost: float
    square: float
    sums: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Move:
    """A move s that a search along d has found: its end, ``|s|^2``, ``s . (change of the gradient)``, ``|s| / |d|``."""

    end: Point
    square: float
    rise: float
    stretch: float


#: two fields whose inner product is asked for; None stands for the gradient at the point that is evaluated
Pair = tuple[Tensor | None, Tensor]


class Evaluator(Protocol):
    """``x -> Point``, with the inner products of each pair: one sum over the atoms besides those of the energy."""

    def __call__(self, x: Tensor, /, *pairs: Pair) -> Point:
        """Evaluate."""
        ...


def with_gradient(gradient: Tensor, pairs: Iterable[Pair]) -> list[tuple[Tensor, Tensor]]:
    """The pairs, with the gradient where it is meant."""
    return [(gradient if u is None else u, v) for u, v in pairs]


def weak_wolfe(objective: Evaluator, start: Point, d: Tensor, noise: float) -> Move | None:
    """A point along ``start.x + t d`` that satisfies the weak Wolfe conditions, or None where no decrease is found.

    None also where ``d`` does not descend; values closer than ``noise`` count as equal.
    """
    low, high, t = 0.0, float("inf"), 1.0
    best: Move | None = None
    known: list[float] = []  # the slope at the start, and |d|^2
    for _ in range(TRIALS):
        more: list[Pair] = [] if known else [(start.gradient, d), (d, d)]
        trial = objective(torch.add(start.x, d, alpha=t), (None, d), *more)
        slope, *new = trial.sums
        slope0, square = known = known or new
        if slope0 > 0:
            return None
        armijo = trial.value <= start.value + DECREASE * t * slope0
        blurred = trial.value <= start.value + noise and slope <= (2 * DECREASE - 1) * slope0
        found = Move(trial, t * t * square, t * (slope - slope0), t)
        if not (armijo or blurred):
            high = t
            curve = trial.value - start.value - t * slope0  # of the parabola through both values
            t_parabola = -0.5 * slope0 * t * t / curve if curve > 0 else 0.5 * t
            t = min(max(t_parabola, low + 0.1 * (high - low)), low + 0.5 * (high - low))
        elif slope < CURVATURE * slope0:
            best, low = found, t
            t = 2 * t if high == float("inf") else 0.5 * (low + high)
        else:
            return found
    return best if best or math.isfinite(trial.value) else found


def projected_path(
    objective: Evaluator,
    project: Callable[[Tensor], Tensor],
    start: Point,
    d: Tensor,
    tau: float,
    noise: float,
) -> Move | None:
    """A point ``P(x + t d)``, t >= 1, or 1/2, 1/4, with sufficient decrease; else ``P(x - s g)``, s = tau, tau/2, ...

    None where neither decreases the objective.
    """
    trial: Move | None = None

    def move_to(x: Tensor, stretch: float) -> tuple[Move, float, float]:
        """The move, and the slopes at its beginning and end along it."""
        s = x - start.x
        end = objective(x, (None, s), (start.gradient, s), (s, s))
        slope, slope0, square = end.sums
        return Move(end, square, slope - slope0, stretch), slope0, slope

    def accepted(x: Tensor, scale: float, stretch: float) -> tuple[Move, float, float] | None:
        nonlocal trial
        trial, slope0, slope = move_to(x, stretch)
        needed = DECREASE * min(trial.square / scale, -slope0 if slope0 < 0 else math.inf)
        value = trial.end.value
        if trial.square > 0 and (
            value <= start.value - needed or (value <= start.value + noise and needed <= noise)
        ):
            return trial, slope0, slope
        return None

    def further(found: Move, slope0: float, slope: float) -> Move:
        """2, 4, 8 times as far, while the values fall as steeply as at the start and the domain goes on."""
        for k in range(1, TRIALS):
            if not slope < CURVATURE * slope0:
                break
            next_, slope0, slope = move_to(project(start.x + 2.0**k * d), 2.0**k)
            if not next_.end.value < found.end.value - noise:
                break
            found = next_
        return found

    for t in (1.0, 0.5, 0.25):
        if found := accepted(project(start.x + t * d), tau, t):
            return further(*found) if t == 1.0 else found[0]
    for k in range(TRIALS):
        s = tau * 0.5**k
        if found := accepted(project(start.x - s * start.gradient), s, 1.0):
            return found[0]
    assert trial is not None
    return None if math.isfinite(trial.end.value) else trial
