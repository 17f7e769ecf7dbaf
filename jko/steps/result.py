"""What a step gives back: the new state with its proof, or a sentence."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.duality import Gap, step_gap
from jko.measures import LineMesh, State
from jko.metrics import Certificate
from jko.shown import Shown, joined
from jko.status import Status
from jko.steps.memory import Memory, bound, rounding, without_evaluation
from jko.steps.problem import StepProblem

LARGEST = sys.float_info.max  # an infinite residual is that of no minimum


class Falls(Enum):
    """What a step of a kind cannot raise; it is judged by this."""

    OBJECTIVE = "a minimiser: energy and cost / (2 tau) together are at most the energy before"
    ENERGY = "its cost is an estimate, or the state was put back on a grid: the energy is at most the energy before"
    PROVED = "a scheme of several solves: the inequality that was proved for it, ``proved``, holds"
    NEITHER = "another functional is minimised (entropic, constrained): its solver judges it"


class Proved(NamedTuple):
    """What a scheme proves of each of its steps: ``left <= right``, in units of the energy."""

    left: float
    right: float

    def holds(self, dtype: torch.dtype = torch.float64) -> bool:
        """Whether it does, up to rounding of energies in this precision."""
        return self.left - self.right <= rounding(self.left, self.right, dtype=dtype)


@dataclass(frozen=True, eq=False)
class StepResult(Shown):
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
        Proof that the cost is the squared distance: its ``proof`` and the bound on ``cost - metric^2``.  Of a solver
        with ``examine=False`` it is worked out when it is read (:class:`jko.metrics.OnRequest`).
    figures
        What else the solver reports, by name; a flow keeps each as a column of the trajectory.
    gap
        The certificate, where the solver has one of its own: a :class:`jko.duality.Gap`, or a function that computes it
        when it is asked for.  None: that of :func:`jko.duality.step_gap`.
    falls
        What the step cannot raise, a :class:`Falls`; see :func:`judged`.
    proved
        The inequality of ``Falls.PROVED``; None elsewhere.
    fields
        Tensors that the solver reports beside the state, by name; a flow does not keep them.

    Examples
    --------
    >>> import jko
    >>> result = jko.step(jko.SquaredNorm(), jko.Particles([[3.0]]), tau=0.5)
    >>> result.status.name, result.slack >= 0, round(result.energy, 1)
    ('CONVERGED', True, 2.0)
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
    falls: Falls = field(repr=False, default=Falls.OBJECTIVE)
    proved: Proved | None = field(repr=False, default=None)
    fields: dict[str, Tensor] = field(repr=False, default_factory=dict)

    @classmethod
    def of(
        cls,
        problem: StepProblem,
        state: State,
        *,
        energy: float,
        cost: float,
        before: float,
        status: Status,
        tolerance: float = math.inf,
        **rest: Any,
    ) -> StepResult:
        """The result whose objective and slack follow from its energies and cost; STALLED above its tolerance."""
        half = cost / (2 * problem.tau)
        memory = bound(rest.pop("memory", {}), problem.memory, state)
        if status is Status.CONVERGED and rest["residual"] > tolerance:
            status = Status.STALLED
        return cls(
            state=state,
            energy=energy,
            cost=cost,
            objective=energy + half,
            slack=before - energy - half,
            status=status,
            problem=problem,
            memory=memory,
            **rest,
        )

    @property
    def pressure(self) -> Tensor:
        """The pressure p >= 0 of a step with :class:`jko.energies.Congestion`, of the shape of the grid.

        It is 0 where the density is below the limit, and the crowd, which would move by ``-tau grad dE/dmu`` without
        a limit, moves by ``-tau grad p`` besides.

        Raises
        ------
        ValueError
            There is no such energy, or the solver does not find its pressure.
        """
        if "pressure" not in self.fields:
            raise ValueError(
                "this step has no pressure: jko.Dynamic() and jko.Quantile() find that of energies with "
                "jko.energies.Congestion(limit)"
            )
        return self.fields["pressure"]

    @property
    def before(self) -> float:
        """E(mu_k)."""
        return self.slack + self.energy + self.cost / (2 * self.problem.tau)

    def joined(
        self,
        problem: StepProblem,
        state: State,
        *,
        energy: float,
        cost: float,
        before: float | None = None,
        memory: Memory | None = None,
        figures: dict[str, float | str] | None = None,
        **changes: Any,
    ) -> StepResult:
        """The step of ``problem`` to ``state`` of which this one is the last part, or one that was gone beyond.

        Objective and slack follow.  What is not given is this part's: the work, the proof of the cost, E(mu_k), the
        memory without its evaluation, and the figures, to which others are added.
        """
        before, half = self.before if before is None else before, cost / (2 * problem.tau)
        return replace(
            self,
            problem=problem,
            state=state,
            energy=energy,
            cost=cost,
            objective=energy + half,
            slack=before - energy - half,
            memory=without_evaluation(self.memory) if memory is None else memory,
            figures={**self.figures, **(figures or {})},
            **changes,
        )

    def instead_of(self, *tried: StepResult) -> StepResult:
        """The plain step that is taken where others, whose work counts, were no good: ``fallback`` is 1."""
        return replace(
            self,
            iterations=self.iterations + sum(part.iterations for part in tried),
            evaluations=self.evaluations + sum(part.evaluations for part in tried),
            figures={**self.figures, "fallback": 1.0},
        )

    def stayed(self) -> StepResult:
        """No move at all: better than a move that rounding, or the solver's tolerance, makes worse."""
        energy, memory, status = self.before, self.memory, Status.STALLED
        end = self.problem.previous
        return self.joined(self.problem, end, energy=energy, cost=0.0, memory=memory, status=status)

    def certificate(self, **options: Any) -> Gap:
        """The duality gap: how far the step's value is from the minimum over *all* of P2, atoms free to split.

        On particles see :func:`jko.duality.step_gap` for the options.  On a grid it is the gap of the discrete
        problem, over all densities on that grid, and there are no options: they are refused.
        """
        if self.gap is not None:
            if options:
                raise TypeError(f"the certificate of this step has no option {', '.join(options)}")
            found = self.gap() if callable(self.gap) else self.gap
            sizes = (self.objective, found.lower_bound, 1e-300)
            below = 0 > found.value >= -rounding(*sizes, dtype=self.state.weights.dtype)
            return replace(found, value=0.0) if below else found
        problem = self.problem
        mu = self.state.atoms
        return step_gap(problem.energy, problem.base, problem.tau, mu, self.objective, **options)

    def _facts(self) -> dict[str, Any]:
        names = ("status", "energy", "cost", "slack", "residual")
        facts = {name: getattr(self, name) for name in names} | {"proof": self.coupling.known.proof}
        work = {"iterations": self.iterations, "evaluations": self.evaluations}
        return facts | work | {"state": self.state} | self.figures

    def _line(self) -> str:
        small = (f"{n} {getattr(self, n):.2g}" for n in ("cost", "slack", "residual"))
        known = (self.coupling.known.proof.name,)
        return joined(
            f"StepResult({self.status.name}, energy {self.energy:.6g}, ", [*small, *known]
        )

    def _picture(self) -> str:
        return self.state._picture()

    def __str__(self) -> str:
        return (
            f"energy {self.energy:.6g}  cost {self.cost:.3g}  slack {self.slack:.3g}  residual {self.residual:.1e}  "
            f"({self.iterations} iterations, {self.evaluations} evaluations; {self.status.name}; "
            f"coupling {self.coupling.known.proof.name})"
        )


def judged(result: StepResult, tolerance: float = math.inf) -> StepResult:
    """The gate that every step passes, whatever solver made it: the status is what the numbers say.

    An ok status stays only where all numbers are finite, the mass is one, and nothing rose that cannot, up to
    :func:`jko.steps.memory.rounding` of the energies; CONVERGED only where the residual is at most ``tolerance``.
    """
    checks.kind("what a solver returns", result, StepResult, hint="StepResult.of(problem, ...)")
    if not result.status.ok:
        return result
    state = result.state
    mu = state.masses if isinstance(state, LineMesh) else state.weights
    mass = float(mu.sum() if isinstance(state, LineMesh) else state.mass)
    numbers = (result.energy, result.cost, mass)
    eps = rounding(result.before, result.energy, dtype=mu.dtype)
    rise = {
        Falls.OBJECTIVE: -result.slack,
        Falls.ENERGY: result.energy - result.before,
        Falls.PROVED: -math.inf if result.proved and result.proved.holds(mu.dtype) else math.inf,
        Falls.NEITHER: -math.inf,
    }[result.falls]
    status = result.status
    fell = result.slack > -math.inf  # from +inf: a step may leave an obstacle
    if not (
        all(map(math.isfinite, numbers))
        and fell
        and result.residual >= 0
        and result.state.is_finite
    ):
        status = Status.NOT_FINITE
    elif abs(mass - 1) > checks.WEIGHT_TOLERANCE[mu.dtype]:
        status = Status.MASS_LOST
    elif rise > eps:
        status = Status.ENERGY_ROSE
    elif status is Status.CONVERGED and not result.residual <= min(tolerance, LARGEST):
        status = Status.STALLED
    return result if status is result.status else replace(result, status=status)
