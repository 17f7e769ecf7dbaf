"""What a step gives back: the new state with its proof, or a sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jko.duality import Gap, step_gap
from jko.measures import State, lifted
from jko.metrics import Certificate
from jko.status import Status
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem


@dataclass(frozen=True, eq=False)
class StepResult:
    """One JKO step.

    Attributes
    ----------
    state
        mu_{k+1}.
    energy, cost, objective
        E(mu_{k+1}); metric^2 of the coupling; ``energy + cost / (2 tau)``.
    slack
        ``E(mu_k) - E(mu_{k+1}) - cost / (2 tau)``: >= 0 says that the step lowered the objective.
    residual
        L2(mu) norm of ``grad dE/dmu(T) + (T - id) / tau``; with a domain, of the natural residual
        ``(T - P(T - tau g)) / tau``.
    iterations, evaluations
        Of the solver, and of the energy with its gradient.
    status
        A :class:`Status`.
    coupling
        Proof that the cost is the squared distance: its ``proof`` and the bound on ``cost - metric^2``.
    figures
        What else the solver reports, by name; a flow keeps each as a column of the trajectory.
    """

    state: State
    energy: float
    cost: float
    objective: float
    slack: float
    residual: float
    iterations: int
    evaluations: int
    status: Status
    coupling: Certificate
    problem: StepProblem = field(repr=False)
    memory: Memory = field(repr=False, default_factory=dict)
    figures: dict[str, float | str] = field(default_factory=dict)
    gap: Gap | Callable[[], Gap] | None = field(repr=False, default=None)

    def certificate(self, **options: Any) -> Gap:
        """The duality gap: how far the step's value is from the minimum over *all* of P2, atoms free to split.

        On particles see :func:`jko.duality.step_gap` for the options.  On a grid it is the gap of the discrete
        problem, over all densities on that grid, and there are no options.
        """
        if self.gap is not None:
            return self.gap() if callable(self.gap) else self.gap
        problem = self.problem
        mu = lifted(self.state)
        return step_gap(problem.energy, problem.base, problem.tau, mu, self.objective, **options)

    def __str__(self) -> str:
        return (
            f"energy {self.energy:.6g}  cost {self.cost:.3g}  slack {self.slack:.3g}  residual {self.residual:.1e}  "
            f"({self.iterations} iterations, {self.evaluations} evaluations; {self.status.name}; "
            f"coupling {self.coupling.proof.name})"
        )


class StepFailed(RuntimeError):
    """A step that is no step of the scheme; ``result`` is what there is, ``trajectory`` what came before it.

    It can be pickled and so comes out of a process pool.  What cannot go with it stays behind as None: a ``result``, or
    a domain, that is made of functions.
    """

    def __init__(
        self, status: Status, result: StepResult | None = None, trajectory: Any = None
    ) -> None:
        at = (
            ""
            if trajectory is None
            else f" (step {len(trajectory.times)}, t = {trajectory.times[-1]:g})"
        )
        super().__init__(f"{status.name}{at}: {status.value}")
        self.status, self.result, self.trajectory = status, result, trajectory

    def __copy__(self) -> StepFailed:
        return _again(self.args, self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> StepFailed:
        return _again(self.args, self.__dict__)  # results and trajectories do not change

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.args, {name: _portable(part) for name, part in self.__dict__.items()})


def _again(args: tuple[Any, ...], contents: dict[str, Any]) -> StepFailed:
    """The same failure with the same sentence, notes included."""
    failure = StepFailed.__new__(StepFailed, *args)
    failure.__dict__.update(contents)
    return failure


def _portable(part: Any) -> Any:
    """What can be pickled, as it is; None for the rest."""
    try:
        pickle.dumps(part)
    except Exception:  # pickle raises whatever the parts raise
        return None
    return part
