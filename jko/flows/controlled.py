"""Steps that choose their own length: a rule weighs each step, and says how long the next one may be.

What the next step needs of this one stands in its row, as the column ``proposed``, and in the memory.  So a run that
is continued makes the same steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from jko.flows.clock import Goals, Tick, noted
from jko.ledger import Present
from jko.steps import Memory, StepFailed, StepResult
from jko.steps.memory import bound

FIRST = 1e-3  # tau of the first try, where none is given: short, and cheap to make again
PATIENCE = 10  # how often a step that fails is halved, unless the flow says
PROPOSED, REJECTED = "proposed", "rejected"  # columns


class Verdict(NamedTuple):
    """What a rule makes of a step: whether it is taken, and the length of the next one, or of the next try."""

    taken: bool
    tau: float
    figures: dict[str, float | str] = {}  # noqa: RUF012 (never changed)
    memory: Memory = {}  # noqa: RUF012 (never changed)
    evaluations: int = 0


class StepRule(Protocol):
    """How long steps are."""

    @property
    def first(self) -> float | None:
        """The length of the first try."""
        ...

    @property
    def growth(self) -> float:
        """By which factor a step may be longer than the one before."""
        ...

    def residual(self, tau: float) -> float:
        """The largest residual that a step of this length may leave; ``inf``: as the solver has it."""
        ...

    def weigh(self, now: Present, tick: Tick, result: StepResult, tries: int) -> Verdict:
        """Judge a step that is one, after so many tries that were not taken."""
        ...


@dataclass
class Controlled:
    """The pace of a rule: it hits the goals, makes again what the rule rejects, and halves what fails."""

    rule: StepRule
    goals: Goals
    retry: int = 0
    tries: list[StepResult] = field(default_factory=list)  # of this step, not taken
    wanted: float | None = None  # the length of the next try, after one
    asks: bool = False

    @property
    def patience(self) -> int:
        """How often in a row a step may fail."""
        return self.retry or PATIENCE

    def next(self, now: Present) -> Tick:
        """The next step: as long as is wanted, or up to the next goal; halfway there where that is nearer than two."""
        tau = self._asked(now)
        goal = self.goals.after(now.t)
        left = goal - now.t
        t = now.t + tau
        if left <= tau * (1 + 1e-9):
            tau, t = left, goal
        elif left < 2 * tau:
            tau = 0.5 * left
            t = now.t + tau
        whole = math.floor(now.through) + 1 - now.through
        return Tick(tau, t, whole, self.rule.residual(tau))

    def _asked(self, now: Present) -> float:
        if self.wanted is not None:
            return self.wanted
        proposed = now.row.get(PROPOSED, math.nan)
        if proposed == proposed:
            return float(proposed)
        return FIRST if self.rule.first is None else self.rule.first

    def weighed(self, now: Present, tick: Tick, result: StepResult) -> StepResult | None:
        """The step that was taken, with what its tries cost; None where it is tried again."""
        if not result.status.ok:
            if self._failed() >= self.patience:
                return result
            self._again(0.5 * tick.tau, result)
            return None
        asked = self._asked(now)
        verdict = self.rule.weigh(now, tick, result, len(self.tries))
        if not verdict.taken:
            self._again(verdict.tau, result)
            return None
        proposed = verdict.tau
        if tick.tau < asked:  # cut at a goal: as long as was asked for, not longer
            proposed = min(proposed, tick.tau) if proposed < tick.tau else asked
            proposed = min(proposed, self.rule.growth * tick.tau)
        figures = {**verdict.figures, REJECTED: len(self.tries), PROPOSED: proposed}
        memory = bound({**result.memory, **verdict.memory}, result.memory, result.state)
        tries, self.tries, self.wanted = self.tries, [], None
        return replace(
            result,
            iterations=result.iterations + sum(part.iterations for part in tries),
            evaluations=result.evaluations
            + verdict.evaluations
            + sum(part.evaluations for part in tries),
            figures={**result.figures, **figures},
            memory=memory,
        )

    def _failed(self) -> int:
        """How often in a row it has failed."""
        oks = [part.status.ok for part in reversed(self.tries)]
        return [*oks, True].index(True)

    def _again(self, tau: float, result: StepResult) -> None:
        self.wanted = tau
        self.tries.append(result)

    def gave_up(self, failed: StepFailed) -> StepFailed:
        """The failure with a note on how often tau was halved."""
        return noted(failed, self._failed())
