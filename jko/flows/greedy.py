"""``Greedy``: the largest step whose inner solve stays cheap."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jko import checks
from jko.flows.clock import Tick
from jko.flows.controlled import Verdict
from jko.ledger import Present
from jko.measures import State
from jko.schemes import Implicit, Scheme
from jko.shown import Shown
from jko.steps import StepResult

FEW, MANY = 8, 20  # iterations of a step that is too short, or too long
FACTOR = 4.0  # between it and the next one
LONGEST = 1e9


@dataclass(frozen=True)
class Greedy(Shown):
    """Training steps that are as long as the inner solve stays cheap: ``jko.flow(..., tau=jko.Greedy())``.

    A step that took at most 8 iterations of the solver is followed by one four times as long, a step that took 20 or
    more by one a quarter as long; one that has no minimum, or fails otherwise, is made again with half the length.

    Parameters
    ----------
    first : float
        Length of the first step.
    longest : float
        No step is longer.

    Notes
    -----
    It is for training, where the way is of no interest: there is one number less to choose.  On five data sets it took
    about as many evaluations to a risk as the best fixed tau of 1, 10, ..., 10^4 for that set, which is another for
    each (``benchmarks/adaptive.py --greedy``).  Every step is an ordinary JKO step with its ledger, so the energy never
    rises.  To follow the flow take :class:`jko.Adaptive`.

    Give the solver with it that trains, ``solver=jko.LBFGS.training()``: its steps are inexact.

    The flow time is that of the steps.  The column ``proposed`` has the length of the next step, and ``rejected`` how
    often a step was halved.

    Raises
    ------
    TypeError
        From the flow: another scheme than :class:`jko.Implicit`.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    >>> F = (
    ...     jko.Risk(jko.Data(x, x[:, 0].sin()), activation=jko.Ridge(torch.tanh))
    ...     + 1e-3 * jko.SquaredNorm()
    ... )
    >>> mu = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))
    >>> run = jko.flow(F, mu, tau=jko.Greedy(), steps=12, solver=jko.LBFGS.training())
    >>> bool((run.slacks >= 0).all()), bool(run.times[-1] > 1000)
    (True, True)
    """

    first: float = 1.0
    longest: float = LONGEST

    def __post_init__(self) -> None:
        checks.number("first", self.first, above=0)
        checks.number("longest", self.longest, above=0)

    @property
    def growth(self) -> float:
        """By which factor a step may be longer than the one before."""
        return FACTOR

    def rule(self, scheme: Scheme, state: State) -> Greedy:
        """The same for all states; of schemes for the plain one."""
        if not isinstance(scheme, Implicit):
            raise TypeError(
                f"Greedy trains by plain steps, jko.Implicit(), not by {type(scheme).__name__}; leave the scheme out, "
                "or follow the flow by tau=jko.Adaptive(tol)"
            )
        return self

    def residual(self, tau: float) -> float:
        """As the solver has it."""
        return math.inf

    def weigh(self, now: Present, tick: Tick, result: StepResult, tries: int) -> Verdict:
        """Take every step; the next one is longer after few iterations, shorter after many."""
        many = result.iterations >= MANY
        few = result.iterations <= FEW and not tries
        factor = FACTOR if few else 1 / FACTOR if many else 1.0
        return Verdict(True, min(factor * tick.tau, self.longest))
