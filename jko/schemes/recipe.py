"""What the schemes of several solves share: their stages, and one result of them, or the plain step in their place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jko.energies import Energy
from jko.measures import State
from jko.metrics import NO_PROOF, Metric, natural_metric
from jko.status import Status
from jko.steps import Memory, Solver, StepProblem, StepResult, step
from jko.steps.affine import difference, square
from jko.steps.memory import rounding, without_evaluation
from jko.steps.solver import energy_by

FALLBACK = "fallback"  # the column: 1 where one plain step was taken, else 0
VELOCITY = "velocity"  # the field of a result: that of its labels at the end, (N, dim)


@dataclass(eq=False)
class Recipe:
    """One step of a scheme, in the making: JKO solves from base points, one after the other.

    ``done`` are the solves so far, whose work counts whatever becomes of them.
    """

    energy: Energy
    state: State
    tau: float
    metric: Metric | None
    solver: Solver | None
    memory: Memory | None
    done: list[StepResult] = field(default_factory=list)

    @property
    def ground(self) -> Metric:
        """The metric of the step."""
        return natural_metric(self.state) if self.metric is None else self.metric

    def before(self) -> float:
        """E of the state: what the memory knows, else one evaluation."""
        known = (self.memory or {}).get("value")
        return float(energy_by(self.solver)(self.energy, self.state) if known is None else known)

    def solve(self, base: State, length: float) -> StepResult:
        """The next stage: a JKO solve of this length from a base point."""
        memory = self.done[-1].memory if self.done else self.memory or {}
        if base is not self.state:
            memory = without_evaluation(memory)
        result = self._step(base, length, memory)
        self.done.append(result)
        return result

    def solve_beside(
        self, base: State, length: float, stay: State, energy: float
    ) -> StepResult | None:
        """The same, where it ends no higher than staying at ``stay``, of this energy, would: what proofs ask of it."""
        move = difference(stay, base)
        assert move is not None
        result = self.solve(base, length)
        least = energy + square(base, move, self.ground) / (2 * length)
        eps = rounding(least, result.objective, dtype=base.weights.dtype)
        return result if result.status.ok and result.objective <= least + eps else None

    def plain(self) -> StepResult:
        """One plain step of length tau in place of the stages."""
        result = self._step(self.state, self.tau, self.memory)
        return result.instead_of(*self.done) if self.done else result

    def _step(self, base: State, length: float, memory: Memory | None) -> StepResult:
        return step(
            self.energy,
            base,
            tau=length,
            metric=self.metric,
            solver=self.solver,
            memory=memory,
            throw=False,
        )

    def joined(
        self,
        state: State | None = None,
        *,
        figures: dict[str, float | str] | None = None,
        **account: Any,
    ) -> StepResult:
        """All stages as one step of length tau, to the last one's state unless told otherwise.

        ``residual`` is the largest, iterations and evaluations are sums; ``account`` says the energies, the cost and
        what cannot rise.
        """
        last, parts = self.done[-1], self.done
        status = next((part.status for part in parts if part.status is not Status.CONVERGED), None)
        same = state is None or state is last.state
        account = {"energy": last.energy, "memory": last.memory if same else None} | account
        return last.joined(
            StepProblem(self.energy, self.ground, self.state, self.tau),
            last.state if state is None else state,
            residual=max(part.residual for part in parts),
            iterations=sum(part.iterations for part in parts),
            evaluations=sum(part.evaluations for part in parts),
            status=Status.CONVERGED if status is None else status,
            coupling=NO_PROOF,
            figures={FALLBACK: 0.0} | (figures or {}),
            gap=None,
            **account,
        )
