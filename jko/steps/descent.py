"""The descent that all minimisers of a Lagrangian step share: residual, direction, line search, until it may stop.

A minimiser is a :class:`CurvatureModel` of the curvature: it turns residuals into directions, and may learn from moves.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from jko.status import Status
from jko.steps.lagrangian import Minimised, natural_residual
from jko.steps.linesearch import Evaluator, Move, Pair, Point, projected_path, weak_wolfe
from jko.steps.memory import Memory
from jko.steps.penalty import Penalty
from jko.steps.problem import StepProblem
from jko.steps.runaway import Runaway

NOISE = 16  # of a value, in units of its last place
WINDOW = 20  # iterations over which a value is called flat
FLAT = 1e-3  # of the step's decrease: what they bring at most then
STILL = (
    1e-12  # the same, where a cost that iterates has noise of its own and a residual is asked for
)


class CurvatureModel(Protocol):
    """What a minimiser knows of the curvature."""

    def see(self, point: Point, r: Tensor) -> float:
        """Take in a point with its residual r, and the move from the last one; the norm of r."""
        ...

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """The move to try from the point that was seen last."""
        ...

    def forget(self) -> bool:
        """Drop what was learned, because it misled; False if there is nothing to drop."""
        ...

    @property
    def memory(self) -> Memory:
        """What the next step can use."""
        ...

    @property
    def figures(self) -> dict[str, float | str]:
        """What the result says of it."""
        ...


def descend(
    problem: StepProblem,
    penalty: Penalty,
    point: Point,
    model: CurvatureModel,
    *,
    tol: float | None,
    fraction: float,
    max_iterations: int,
    ceiling: float = math.inf,
    flatness: float | None = None,
) -> Minimised:
    """Minimise with the penalty fixed, down to the residual ``tol``, or ``fraction |T - y| / tau``, and ``ceiling``.

    The second is relative error; with it goes sufficient decrease: no step ends where its slack is negative, not even
    where only slopes told points apart.
    """
    objective = Counted(penalty.objective(problem))
    first, start, values = point.x, float(problem.before.value), [point.value]
    runaway = Runaway(problem, penalty, objective, fraction)
    status = Status.MAX_ITERATIONS
    while True:
        r = natural_residual(problem, point)
        residual, d = model.see(point, r), None
        if not finite(problem, point, residual):
            status, residual = Status.NOT_FINITE, float("nan")
            if point.value == -float("inf"):
                status = Status.UNBOUNDED
            break
        ending = arrived(tol, fraction, ceiling, problem, penalty, point, residual)
        if ending is Status.CONVERGED and tol is None and slack(problem, point) < 0:
            ending = None
        if ending is Status.CONVERGED and tol is None and not runaway.trusted(point):
            d = model.direction(point, r)
            ending = ending if runaway.close(point, d) else None
        if ending is not None or (flatness is not None and flat(values, start, flatness)):
            status = ending or Status.STALLED
            break
        if len(values) > max_iterations:
            break
        if runaway.endless(point):
            status = Status.UNBOUNDED
            break
        d = model.direction(point, r) if d is None else d
        move = search(problem, objective, point, d)
        while move is None and model.forget():
            move = search(problem, objective, point, model.direction(point, r))
        if move is None:
            status = Status.UNBOUNDED if runaway.torn(point, residual) else Status.STALLED
            break
        runaway.learn(move)
        point = move.end
        values.append(point.value)
    if status is Status.STALLED and tol is None and slack(problem, point) < 0:
        point = penalty.start(problem, first)  # rounding made all others worse
        residual = problem.norm(natural_residual(problem, point))
    done = len(values) - 1, objective.count
    return Minimised(point, residual, *done, status, model.memory, model.figures)


def search(problem: StepProblem, objective: Evaluator, point: Point, d: Tensor) -> Move | None:
    """A move to a lower point along d, in the domain where there is one; None where none was found."""
    domain = problem.base.domain
    noise = NOISE * torch.finfo(point.x.dtype).eps * abs(point.value)
    if domain is None:
        return weak_wolfe(objective, point, d, noise)
    return projected_path(objective, domain.project, point, d, problem.tau, noise)


class Counted:
    """An objective that counts its calls."""

    def __init__(self, function: Evaluator) -> None:
        self.function, self.count = function, 0

    def __call__(self, x: Tensor, *pairs: Pair) -> Point:
        """Evaluate."""
        self.count += 1
        return self.function(x, *pairs)


def flat(values: list[float], start: float, share: float) -> bool:
    """Whether the last WINDOW iterations brought at most this share of what the step has brought."""
    return len(values) > WINDOW and values[-WINDOW] - values[-1] <= share * max(
        start - values[-1], 0
    )


def slack(problem: StepProblem, point: Point) -> float:
    """``E(mu_k) - E(T_# mu_k) - cost / (2 tau)``, in the order in which a result sums it."""
    half = point.cost / (2 * problem.tau)
    return float(problem.before.value) - float(point.energy.value) - half


def finite(problem: StepProblem, point: Point, residual: float) -> bool:
    """Whether value and gradient are finite; a residual that is the gradient says so of it."""
    if not abs(point.value) < float("inf"):
        return False
    seen = problem.base.domain is None and abs(residual) < float("inf")
    return seen or problem.base.every(torch.isfinite(point.gradient))


def arrived(
    tol: float | None,
    fraction: float,
    ceiling: float,
    problem: StepProblem,
    penalty: Penalty,
    point: Point,
    residual: float,
) -> Status | None:
    """CONVERGED where the residual is at most ``tol``, or ``fraction |T - y| / tau``; STALLED below rounding.

    In any case it must be at most ``ceiling``.

    A residual below the rounding of ``T / tau`` moves no atom; it is that of a minimum only where a move by ``|T|``
    would not change the energy either.
    """
    wanted = fraction * penalty.length(problem, point) / problem.tau if tol is None else tol
    if residual <= min(wanted, ceiling):
        return Status.CONVERGED
    eps, factor = torch.finfo(point.x.dtype).eps, 4 if tol is None else 1
    most = problem.size + penalty.distance(problem, point)  # of |T|, where y are the atoms of mu_k
    if residual > 2 * factor * eps * most / problem.tau:
        return None
    size = problem.norm(point.x)
    if residual > factor * eps * size / problem.tau:
        return None
    resting = tol is None and residual * size <= 4 * eps * abs(float(point.energy.value))
    return Status.CONVERGED if resting else Status.STALLED
