"""What a solver is, and the natural one of a measure in W2."""

from __future__ import annotations

from typing import Protocol

from jko.measures import GridDensity, LineMesh, State
from jko.steps.dynamic import Dynamic
from jko.steps.lbfgs import LBFGS
from jko.steps.line import Quantile
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult


class Solver(Protocol):
    """What a solver is: ``solve(problem) -> StepResult``."""

    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the proximal problem."""
        ...


def solver_of_measure(state: State) -> Solver:
    """:class:`Dynamic` on a grid, :class:`Quantile` on a mesh of the line, :class:`LBFGS` for atoms."""
    if isinstance(state, GridDensity):
        return Dynamic()
    return Quantile() if isinstance(state, LineMesh) else LBFGS()
