"""What a solver is, and the natural one of a kind of state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jko.measures import State
from jko.metrics import of_kind
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult


class Solver(Protocol):
    """What a solver is: ``solve(problem) -> StepResult``.

    It steps in the natural metric of its states; one that honours others names them in ``forms``, a set of
    :class:`jko.steps.problem.Form`.
    """

    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the proximal problem."""
        ...


#: the solver of a kind of state; ``jko/steps/__init__.py`` fills it, so that solvers may ask for others
SOLVERS: dict[type, Callable[[], Solver]] = {}


def natural_solver(state: State) -> Solver:
    """The solver for a kind of state; its metric is :func:`jko.metrics.natural_metric`."""
    return of_kind(SOLVERS, state)()
