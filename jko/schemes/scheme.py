"""What a time scheme is."""

from __future__ import annotations

from typing import Protocol

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.steps import Memory, Solver, StepResult


class Scheme(Protocol):
    """What a scheme is: it advances a state by one time step.

    It never raises :class:`jko.StepFailed`: a result whose status is not ok ends the flow.

    Examples
    --------
    >>> import jko
    >>> jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=1, scheme=jko.SDIRK2()
    ... ).status.name
    'FINISHED'
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
