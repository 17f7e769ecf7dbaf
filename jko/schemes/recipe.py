"""What the schemes of several solves share: their stages, and one result of them, or the plain step in their place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from jko.energies import Energy
from jko.measures import State
from jko.metrics import NO_PROOF, Metric, natural_metric
from jko.status import Status
from jko.steps import Memory, Solver, StepProblem, StepResult, step
from jko.steps.affine import difference, labels, marks, shifted, square
from jko.steps.beyond import refuse_unknown_geodesic, way, whole_way
from jko.steps.memory import rounding, without_evaluation
from jko.steps.solver import energy_by

FALLBACK = "fallback"  # the column: 1 where one plain step was taken, else 0
VELOCITY = "velocity"  # the field of a result: that of its labels at the end, (N, dim)


@dataclass(frozen=True, eq=False)
class Recipe:
    """One step of a scheme, in the making: JKO solves from base points, one after the other.

    ``problem`` is the whole step, with the memory as far as it is of this state; ``done`` are the solves so far, whose
    work counts whatever becomes of them.
    """

    problem: StepProblem
    metric: Metric | None
    solver: Solver | None
    done: list[StepResult] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        energy: Energy,
        state: State,
        tau: float,
        metric: Metric | None,
        solver: Solver | None,
        memory: Memory | None,
    ) -> Recipe:
        """From the arguments of a scheme."""
        wanted = natural_metric(state) if metric is None else metric
        return cls(StepProblem(energy, wanted, state, tau, memory or {}), metric, solver)

    @property
    def before(self) -> float:
        """E of the state: what the memory knows, else one evaluation."""
        known, (E, state) = (
            self.problem.memory.get("value"),
            (self.problem.energy, self.problem.previous),
        )
        return float(energy_by(self.solver)(E, state) if known is None else known)

    def refuse_unmoved(self, scheme: object) -> None:
        """Refuse a state or a metric that has no moves to go on along.

        Raises
        ------
        TypeError
            A state whose moves are not known.
        ValueError
            A metric whose geodesics are not known.
        """
        refuse_unknown_geodesic(self.problem)
        state = self.problem.previous
        if marks(state) is None:
            raise TypeError(
                f"{type(scheme).__name__} goes on along the moves of a state, and those of a {type(state).__name__} "
                "are not known: take jko.Strang() for a ChargedSpan, jko.Implicit() for any state"
            )

    def solve(self, base: State, length: float) -> StepResult:
        """The next stage: a JKO solve of this length from a base point."""
        memory = self.done[-1].memory if self.done else self.problem.memory
        if base is not self.problem.previous:
            memory = without_evaluation(memory)
        result = self._step(base, length, memory)
        self.done.append(result)
        return result

    def solve_beside(
        self, shift: Tensor | None, length: float, stay: State, energy: float
    ) -> tuple[StepResult, Tensor] | None:
        """A stage from ``stay`` moved by ``shift``, with the whole move from there to its end.

        None where there is no base point, where the stage has other labels, or where it ends higher than it would at
        ``stay``, which has this energy: that it does not is what proofs ask of a stage.
        """
        base = stay if shift is None else shifted(stay, shift)
        if base is None:
            return None
        result = self.solve(base, length)
        if not result.status.ok:
            return None
        move = way(result) if shift is None else whole_way(result, stay, shift)
        back = difference(stay, base)
        if move is not None and back is not None:  # in labels
            least = energy + square(base, back, self.problem.metric) / (2 * length)
            eps = rounding(least, result.objective, dtype=base.weights.dtype)
            move = move if result.objective <= least + eps else None
        return None if move is None else (result, move)

    def plain(self) -> StepResult:
        """One plain step of length tau in place of the stages."""
        result = self._step(self.problem.previous, self.problem.tau, self.problem.memory)
        return replace(result.instead_of(*self.done), fields=self._fields(result))

    def _step(self, base: State, length: float, memory: Memory | None) -> StepResult:
        return step(
            self.problem.energy,
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
        own: dict[str, Any] = {
            "energy": last.energy,
            "memory": last.memory,
            "fields": self._fields(last),
        }
        said: dict[str, float | str] = {FALLBACK: 0.0, **(figures or {})}
        return last.joined(
            self.problem,
            last.state if state is None else state,
            residual=max(part.residual for part in parts),
            iterations=sum(part.iterations for part in parts),
            evaluations=sum(part.evaluations for part in parts),
            status=Status.CONVERGED if status is None else status,
            coupling=NO_PROOF,
            figures=said,
            gap=None,
            **(own | account),
        )

    def _fields(self, solved: StepResult) -> dict[str, Tensor]:
        """The fields of a solve with the velocity of its labels, ``-grad dE/dmu`` at their end, where it has labels."""
        move = None if labels(solved.state) is None else way(solved)
        return solved.fields | ({} if move is None else {VELOCITY: move / solved.problem.tau})
