"""What a step of the optimiser proved: numbers, so that they travel with its state."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from jko.shown import Shown
from jko.status import Status
from jko.steps import StepResult


@dataclass(frozen=True)
class LastStep(Shown):
    """What the last step of a :class:`jko.optim.JKO` proved.

    Attributes
    ----------
    before, loss
        The loss at the step's beginning and at its end, on the data that the step's closure saw.
    cost
        ``sum_g (tau / tau_g) |dp_g|^2`` with tau that of the first group: how far the parameters moved.
    slack
        ``before - loss - sum_g |dp_g|^2 / (2 tau_g)``: >= 0 says that the step lowered its objective, up to rounding.
    residual
        How far the end is from the step's minimum: the norm of the objective's slope.
    iterations, evaluations
        Of the minimisation, and of the closure.
    converged
        False where the solver stalled, in rounding or at a kink: see :class:`jko.Status`.

    Examples
    --------
    >>> import torch
    >>> from jko.optim import JKO
    >>> p = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimiser = JKO([p], lr=1.0)
    >>> def closure():
    ...     optimiser.zero_grad()
    ...     loss = (p**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimiser.step(closure)
    >>> optimiser.last.slack >= 0
    True
    """

    before: float = math.nan
    loss: float = math.nan
    cost: float = 0.0
    slack: float = 0.0
    residual: float = math.nan
    iterations: int = 0
    evaluations: int = 0
    converged: bool = False

    @classmethod
    def of(cls, result: StepResult, evaluations: int) -> LastStep:
        """Read off a result, with the closure's own count."""
        return cls(
            before=result.before,
            loss=result.energy,
            cost=result.cost,
            slack=result.slack,
            residual=result.residual,
            iterations=result.iterations,
            evaluations=evaluations,
            converged=result.status is Status.CONVERGED,
        )

    def numbers(self) -> dict[str, float]:
        """By name, as a state keeps them."""
        return asdict(self)
