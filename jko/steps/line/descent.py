"""The loop of a step on the line: where to begin, when to stop, and what has been reached."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from jko.metrics import NO_PROOF, as_array
from jko.status import Status
from jko.steps.endless import endless
from jko.steps.line.newton import descend
from jko.steps.line.objective import Objective, Spot
from jko.steps.line.ordered import CRUSH
from jko.steps.memory import rounding
from jko.steps.result import StepResult

FALLEN = 1e-3  # of the first residual: where it has fallen so much, there is a minimum
LOOK = 20  # iterations after which to look whether there is a minimum at all


class Reached(NamedTuple):
    """What a minimisation gives back."""

    spot: Spot
    residual: float
    iterations: int
    evaluations: int
    status: Status


def minimise(objective: Objective, tol: float | None, max_iterations: int) -> StepResult:
    """The step, from the better of staying and of keeping the last step's velocity."""
    start, before, evaluations = begin(objective)
    spot, residual, iterations, more, status = descent(objective, start, tol, max_iterations)
    if status in (Status.STALLED, Status.MAX_ITERATIONS) and objective.folded(spot):
        status = Status.NOT_A_GRAPH
    problem = objective.problem
    velocity = torch.from_numpy((spot.u - objective.start) / problem.tau)
    return StepResult.of(
        problem,
        objective.state(spot.u),
        energy=spot.energy,
        cost=spot.cost,
        before=before,
        residual=residual,
        iterations=iterations,
        evaluations=evaluations + more,
        status=status,
        tolerance=math.inf if tol is None else tol,
        coupling=NO_PROOF if status is Status.NOT_FINITE else objective.coupling(spot),
        memory={"velocity": velocity, "value": velocity.new_tensor(spot.energy)},
        gap=objective.gap(spot, residual),
    )


def begin(objective: Objective) -> tuple[Spot, float, int]:
    """Where to begin, the energy of the base point, and the evaluations spent."""
    ahead, known = _ahead(objective), objective.problem.memory.get("value")
    if ahead is not None and known is not None and ahead.value < float(known):
        return ahead, float(known), 1
    stay = objective.at(objective.start)
    if ahead is None:
        return stay, stay.energy, 1
    return (ahead if ahead.value < stay.value else stay), stay.energy, 2


def _ahead(objective: Objective) -> Spot | None:
    """The spot that the last step's velocity leads to; None where it would crush a cell."""
    velocity, start, x = objective.problem.memory.get("velocity"), objective.start, objective.places
    if velocity is None or velocity.numel() != len(start):
        return None
    u = objective.inside(start + objective.problem.tau * as_array(velocity).ravel())
    new, old = u[x], start[x]
    kept = new[1:] - new[:-1] > (1 - CRUSH) * (old[1:] - old[:-1])
    return objective.at(u) if kept.all() else None


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite gets a status
def descent(objective: Objective, spot: Spot, tol: float | None, max_iterations: int) -> Reached:
    """Newton with a line search from ``spot``, until the Euler-Lagrange equation holds."""
    evaluations, first = 0, math.inf

    def ahead(factor: float, widen: bool = False) -> tuple[float, float]:
        new = objective.further(spot, factor, widen)
        return (math.inf, 0.0) if new is None else (new.value, new.energy)

    def at_last(otherwise: Status) -> Status:
        lost = endless(lambda factor: ahead(factor, True), spot.value)
        return Status.UNBOUNDED if lost else otherwise

    for iteration in itertools.count():
        if not (math.isfinite(spot.value) and np.isfinite(spot.gradient).all()):
            return Reached(spot, math.nan, iteration, evaluations, Status.NOT_FINITE)
        left, allowed = objective.residual(spot), objective.tolerance(spot, tol)
        if not math.isfinite(left + allowed):
            return Reached(spot, math.nan, iteration, evaluations, Status.NOT_FINITE)
        first = left if iteration == 0 else first
        if left <= allowed:
            # small beside the length of the move alone; and the fall itself below the rounding of E
            far = iteration > 0 and left > FALLEN * first
            lost = abs(spot.value) < rounding(spot.energy)
            away = far and (lost or endless(ahead, spot.value))
            status = Status.UNBOUNDED if away else Status.CONVERGED
            return Reached(spot, left, iteration, evaluations, status)
        if iteration % LOOK == LOOK - 1 and endless(ahead, spot.value):
            return Reached(spot, left, iteration, evaluations, Status.UNBOUNDED)
        if iteration == max_iterations:
            return Reached(spot, left, iteration, evaluations, at_last(Status.MAX_ITERATIONS))
        new, tried = descend(objective, spot, left)
        evaluations += tried
        if new is None:
            return Reached(spot, left, iteration, evaluations, at_last(Status.STALLED))
        spot = new
    raise AssertionError("unreachable")
