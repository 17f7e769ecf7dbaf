"""What a solver is, and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, Self, runtime_checkable

from jko.energies import Energy, value_of
from jko.measures import State
from jko.spaces import refuse_wrapped
from jko.steps.problem import Form, StepProblem
from jko.steps.result import StepResult


class Solver(Protocol):
    """What a solver is: ``solve(problem) -> StepResult``.

    It steps in the natural metric of its states; one that honours others names them in ``forms``, a set of
    :class:`jko.steps.problem.Form`.  One whose steps know domains that come round says so: ``seams = True``.

    Examples
    --------
    >>> import jko
    >>> from jko.steps import Solver
    >>> solver: Solver = jko.LBFGS()  # for type checkers; what counts is the method
    >>> callable(solver.solve)
    True
    """

    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the proximal problem."""
        ...


@runtime_checkable
class Values(Protocol):
    """What a solver has besides, if it counts more than E of a state: :class:`jko.Sinkhorn` gives atoms volumes."""

    def value(self, energy: Energy, state: State) -> float:
        """E(state), as the solver's steps see it."""
        ...


def energy_by(solver: Solver | None) -> Callable[[Energy, State], float]:
    """E(state) as the steps of a solver see it."""
    if isinstance(solver, Values):
        return solver.value
    return lambda energy, state: value_of(energy, state)


def claimed(solver: object) -> float:
    """The residual that a step of this solver claims to have: its ``tol``, or that of the solver within; else inf."""
    tol = getattr(solver, "tol", None)
    if isinstance(tol, (int, float)):
        return float(tol)
    within = getattr(solver, "solver", None) or getattr(solver, "positions", None)
    return math.inf if within is None else claimed(within)


@runtime_checkable
class Sharpens(Protocol):
    """What a solver has besides, if it can be told how exact a step must be."""

    def sharpened(self, residual: float) -> Solver:
        """The same solver, whose steps leave a residual of at most this in L2(mu)."""
        ...


def sharpened(solver: Solver, residual: float) -> Solver:
    """The solver, told to leave a residual of at most this, if it can be told."""
    return solver.sharpened(residual) if isinstance(solver, Sharpens) else solver


class Sharpened:
    """A frozen dataclass whose ``tol`` is a residual in L2(mu), or None for one that is far below any need."""

    def sharpened(self, residual: float) -> Self:
        """The same solver, whose steps leave a residual of at most this in L2(mu)."""
        tol = getattr(self, "tol", None)
        return self if tol is None or tol <= residual else replace(self, tol=residual)  # type: ignore[type-var]


def refuse_unhonoured(solver: object, problem: StepProblem) -> None:
    """Refuse a metric, or periodic axes, that the solver would not see.

    Raises
    ------
    TypeError
        A solver whose ``forms`` do not name what the metric is to the step.
    ValueError
        A domain that comes round, and a solver without ``seams``.
    """
    if not getattr(solver, "seams", False):
        refuse_wrapped(type(solver).__name__, problem.base.domain)
    known = getattr(solver, "forms", {Form.NATURAL})
    if problem.form not in known:
        others = "and scaled metrics" if Form.SCALED in known else "metric of a state"
        raise TypeError(
            f"{type(solver).__name__} steps in the natural {others} only, not in {problem.metric!r}; "
            "jko.LBFGS() takes any metric"
        )
