"""The descent that all minimisers of a Lagrangian step share: residual, direction, line search, until it may stop.

A minimiser is a :class:`Model` of the curvature: it turns residuals into directions, and may learn from moves.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from jko.status import Status
from jko.steps.lagrangian import Coupling, Found, natural_residual
from jko.steps.linesearch import Objective, Point, projected_path, weak_wolfe
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem

NOISE = 16  # of a value, in units of its last place
WINDOW, FLAT = (
    20,
    1e-3,
)  # the value is flat: WINDOW iterations brought < FLAT of the step's decrease


class Model(Protocol):
    """What a minimiser knows of the curvature."""

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """The move to try from a point with the residual r."""
        ...

    def learn(self, old: Point, new: Point, r: Tensor) -> None:
        """Take in a move; r is the residual at ``old``."""
        ...

    def forget(self) -> bool:
        """Drop what was learned, because it misled; False if there is nothing to drop."""
        ...

    @property
    def memory(self) -> Memory:
        """What the next step can use."""
        ...


def descend(
    problem: StepProblem,
    coupling: Coupling,
    point: Point,
    model: Model,
    *,
    tol: float | None,
    fraction: float,
    max_iterations: int,
    stop_when_flat: bool = False,
) -> Found:
    """Minimise with the coupling fixed, down to the residual ``tol``, or ``fraction |T - y| / tau``."""
    objective = Counted(coupling.objective(problem))
    start, values = float(problem.before.value), [point.value]
    status, residual = Status.MAX_ITERATIONS, float("nan")
    while finite(point):
        r = natural_residual(problem, point)
        residual = problem.norm(r)
        if residual <= tolerance(tol, fraction, problem, coupling, point):
            status = Status.CONVERGED
            break
        if stop_when_flat and flat(values, start):
            status = Status.STALLED
            break
        if len(values) > max_iterations:
            break
        new = search(problem, objective, point, model.direction(point, r))
        while new is None and model.forget():
            new = search(problem, objective, point, model.direction(point, r))
        if new is None:
            status = Status.STALLED
            break
        model.learn(point, new, r)
        point = new
        values.append(point.value)
    else:
        status, residual = Status.NOT_FINITE, float("nan")
    return Found(point, residual, len(values) - 1, objective.count, status, model.memory)


def search(problem: StepProblem, objective: Objective, point: Point, d: Tensor) -> Point | None:
    """A lower point along d, in the domain where there is one; None where none was found."""
    domain = problem.base.domain
    noise = NOISE * torch.finfo(point.x.dtype).eps * abs(point.value)
    if domain is None:
        return weak_wolfe(objective, problem.inner, point, d, noise)
    return projected_path(objective, problem.inner, domain.project, point, d, problem.tau, noise)


class Counted:
    """An objective that counts its calls."""

    def __init__(self, function: Objective) -> None:
        self.function, self.count = function, 0

    def __call__(self, x: Tensor) -> Point:
        """Evaluate."""
        self.count += 1
        return self.function(x)


def flat(values: list[float], start: float) -> bool:
    """Whether the last WINDOW iterations brought next to nothing of what the step has brought."""
    return len(values) > WINDOW and values[-WINDOW] - values[-1] <= FLAT * (start - values[-1])


def finite(point: Point) -> bool:
    """Whether value and gradient are finite."""
    return bool(torch.isfinite(point.gradient).all()) and abs(point.value) < float("inf")


def tolerance(
    tol: float | None, fraction: float, problem: StepProblem, coupling: Coupling, point: Point
) -> float:
    """The residual at which to stop: ``tol``, or ``fraction |T - y| / tau``, and never below the rounding of 1/tau."""
    rounding = torch.finfo(point.x.dtype).eps * problem.norm(point.x) / problem.tau
    if tol is not None:
        return max(tol, rounding)
    return max(fraction * problem.norm(point.x - coupling.partners) / problem.tau, 4 * rounding)
