"""Time schemes: recipes of JKO steps that make one step of the flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.steps import Memory, Solver, StepResult, step


class Scheme(Protocol):
    """What a scheme is: it advances a state by one time step.

    It never raises :class:`jko.StepFailed`: a result whose status is not ok ends the flow.
    """

    def advance(
        self,
        energy: Energy,
        state: State,
        *,
        tau: float,
        metric: Metric | None = None,
        solver: Solver | None = None,
        memory: Memory | None = None,
    ) -> StepResult:
        """The state after time tau."""
        ...


@dataclass(frozen=True)
class Implicit:
    """The JKO scheme itself: one step of length tau, first order in tau.

    Source: survey Remark 3.4; Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).
    """

    def advance(
        self,
        energy: Energy,
        state: State,
        *,
        tau: float,
        metric: Metric | None = None,
        solver: Solver | None = None,
        memory: Memory | None = None,
    ) -> StepResult:
        """One JKO step."""
        return step(
            energy, state, tau=tau, metric=metric, solver=solver, memory=memory, throw=False
        )
