"""Steps that have no minimum, or one so far away that a relative test would stop half way.

For a convex energy the step is at most ``tau |grad E(mu_k)|`` long and the objective at least ``1 / tau`` convex, so a
residual of ``fraction |T - y| / tau`` is an error of ``fraction |T - y|``.  Neither holds for others: with
``V = -|xi|^2 / 2`` and tau = 0.99 the step is a hundred times as long and the objective curved by ``1 / tau - 1``
alone; with tau >= 1 it falls without end.
"""

from __future__ import annotations

import math

from torch import Tensor

from jko.steps.endless import endless
from jko.steps.linesearch import Evaluator, Move, Point
from jko.steps.penalty import Penalty
from jko.steps.problem import StepProblem

FAR = 1e8  # times tau |grad E|: as long as no convex step is
CURVED = 0.5  # times 1 / tau: curved at least so much an error is at most twice that of a convex objective
STRAIGHT = 1e-10  # times 1 / tau: less is rounding
STRETCH = 1e6  # times the move that the model proposed: a search that found no rise


class Runaway:
    """What the moves of one minimisation say about the shape of the objective."""

    def __init__(
        self, problem: StepProblem, penalty: Penalty, objective: Evaluator, fraction: float
    ) -> None:
        self.problem, self.penalty, self.objective = problem, penalty, objective
        self.fraction = fraction
        self.convex, self.last = True, 0.0  # the curvature along the last move, times tau
        self.longest = problem.tau * problem.steepest  # of a convex energy
        self.reach = FAR * self.longest

    def learn(self, move: Move) -> None:
        """Take in a move that was searched for."""
        self.last = self.problem.tau * move.rise / move.square if move.square > 0 else math.inf
        self.convex = self.convex and self.last >= CURVED
        if self.last < STRAIGHT and move.stretch > STRETCH:
            self.reach = min(self.reach, 0.5 * self.length(move.end))

    def trusted(self, point: Point) -> bool:
        """Whether nothing has been seen that no convex energy does: so a small residual is a small error."""
        return self.convex and self.length(point) <= (1 + self.fraction) * self.longest

    def close(self, point: Point, d: Tensor) -> bool:
        """Whether the minimum is near by the model's move d as well, where the objective is not convex."""
        left, length = self.problem.norm(d), self.length(point)
        return self.last > STRAIGHT and left <= self.fraction * length

    def length(self, point: Point) -> float:
        """``|T - y|``."""
        return self.penalty.distance(self.problem, point)

    def endless(self, point: Point) -> bool:
        """Whether the objective falls along the move as far as numbers can tell.

        Asked only where the move is longer than that of any convex energy by the factor FAR, or where a search found no
        rise; and again only where it has become longer by that factor.
        """
        if point.value == -math.inf:
            return True
        length = self.length(point)
        if not length > self.reach:
            return False
        self.reach = FAR * length
        y, domain = self.penalty.partners, self.problem.base.domain

        def ahead(factor: float) -> tuple[float, float]:
            x = y + factor * (point.x - y)
            trial = self.objective(x if domain is None else domain.project(x))
            return trial.value, float(trial.energy.value)

        return endless(ahead, point.value, point.x.dtype, far=True)

    def torn(self, point: Point, residual: float) -> bool:
        """Whether the slope grows without end where no lower value was found: a pole, no kink."""
        return residual > FAR * max(self.problem.steepest, self.length(point) / self.problem.tau)
