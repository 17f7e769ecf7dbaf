"""What the forms of a step share: a program for the conic solver, and the way from its answer to a result."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from jko.duality import Gap
from jko.energies import Congestion, Entropy, PorousMedium, value_of
from jko.measures import GridDensity, State
from jko.metrics import NO_PROOF, Certificate, Proof, as_array, transport
from jko.status import Status
from jko.steps.conic.terms import ConeTerms
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult

Array = NDArray[np.float64]
Cone = tuple[Any, list[Any]]  # an expression and the constraints that define it

TIGHT = {
    "tol_gap_abs": 1e-13,
    "tol_gap_rel": 1e-11,
    "tol_feas": 1e-10,
    "tol_ktratio": 1e-9,
    "reduced_tol_gap_abs": 1e-8,
    "reduced_tol_gap_rel": 1e-8,
    "reduced_tol_feas": 1e-8,
    "max_iter": 200,
    "max_threads": 1,
}
SHORT = TIGHT | {"max_step_fraction": 0.9}  # further from the walls of the cones: slower, and safer
SOLVED = (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
TOLERANCE = 1e-7  # of the values at hand: a gap above so much ...
ROUNDING = 1e-10  # ... and above this is not closed


class Reading(NamedTuple):
    """What a form makes of the solver's variables.

    ``value`` is the form's objective at the solver's point, ``bound`` the lower bound on its minimum, ``corrected`` the
    mass that had to be moved to make the point feasible.
    """

    state: State
    cost: float
    coupling: Certificate
    corrected: float
    value: float
    bound: float
    figures: dict[str, float | str]
    status: Status | None = None
    gap: Gap | None = None


@dataclass(frozen=True, eq=False)
class ConicForm(ABC):
    """A step as a cvxpy problem, open to constraints of the user's own.

    Attributes
    ----------
    step : StepProblem
        What it is the program of.
    positions : (n, dim)
        Where mass may be: candidates with finite potential.
    volume : float
        Of a cell; 1 for atoms.
    masses : cvxpy expression, (n,)
        Masses at the positions, affine in the variables.
    program : cvxpy.Problem
        The whole problem; ``program.var_dict`` has its variables by name.
    """

    step: StepProblem
    positions: Array
    volume: float
    masses: Any
    program: cp.Problem = field(repr=False)

    names: ClassVar[tuple[str, ...]] = ("value", "bound", "gap")

    @property
    def density(self) -> Any:
        """Masses per unit volume, a cvxpy expression (n,)."""
        return self.masses / self.volume

    def solve(self, constraints: Iterable[Any] = ()) -> StepResult:
        """Solve with further constraints on the variables, such as ``[model.density <= 1]``.

        With constraints the bound is still that of the step without them, so the gap says what they cost.

        Raises
        ------
        ValueError
            No measure satisfies the constraints.
        """
        extra = list(constraints)
        program = cp.Problem(self.program.objective, [*self.program.constraints, *extra])
        verdict = _run(program)
        if "infeasible" in verdict:
            raise ValueError(
                f"no measure satisfies the {len(extra)} constraints that were added (Clarabel: {verdict}); relax them"
            )
        if verdict not in SOLVED:
            return self._failed(verdict)
        return self._result(self.answer(float(program.value)), program, bool(extra))

    @property
    def stays(self) -> bool:
        """Whether the base point is among the measures over which the program minimises."""
        if isinstance(self.step.previous, GridDensity):
            return True
        here = {row.tobytes() for row in self.positions}
        return all(row.tobytes() in here for row in as_array(self.step.previous.support))

    @abstractmethod
    def answer(self, value: float) -> Reading:
        """Read the variables after the program was solved."""

    def _result(self, answer: Reading, program: cp.Problem, constrained: bool) -> StepResult:
        step = self.step
        before, energy = (value_of(step.energy, state) for state in (step.previous, answer.state))
        objective = energy + answer.cost / (2 * step.tau)
        gap = max(objective, answer.value) - answer.bound
        closed = gap <= max(TOLERANCE * max(abs(objective), abs(before)), ROUNDING)
        proved = program.status == cp.OPTIMAL if constrained else closed
        status = answer.status or (Status.CONVERGED if proved else Status.STALLED)
        result = StepResult.of(
            step,
            answer.state,
            energy=energy,
            cost=answer.cost,
            before=before,
            residual=answer.corrected,
            iterations=int(program.solver_stats.num_iters or 0),
            evaluations=0,
            status=status,
            coupling=answer.coupling,
            figures={
                "solver": program.status,
                "value": answer.value,
                "bound": answer.bound,
                "gap": gap,
                **answer.figures,
            },
            gap=answer.gap,
            falls=Falls.OBJECTIVE if self.stays and not constrained else Falls.NEITHER,
        )
        worse = closed and result.falls is Falls.OBJECTIVE and result.slack < 0
        return result.stayed() if worse and result.status.ok else result

    def _failed(self, verdict: str) -> StepResult:
        before = value_of(self.step.energy, self.step.previous)
        return StepResult.of(
            self.step,
            self.step.previous,
            energy=before,
            cost=0.0,
            before=before,
            residual=np.inf,
            iterations=0,
            evaluations=0,
            status=Status.MAX_ITERATIONS,
            coupling=NO_PROOF,
            figures={"solver": verdict} | dict.fromkeys(self.names, np.nan),
        )


def _run(program: cp.Problem) -> str:
    with warnings.catch_warnings():  # inaccurate solutions are judged by their gap
        warnings.simplefilter("ignore", UserWarning)
        for settings in (TIGHT, SHORT):
            try:
                program.solve(solver=cp.CLARABEL, **settings)
                return str(program.status)
            except (cp.SolverError, ValueError):  # ValueError: costs beyond all numbers
                continue
    return cp.SOLVER_ERROR


def energy_cones(terms: ConeTerms, masses: Any, shares: Any, weight: float, unit: float) -> Cone:
    """E as a convex expression; ``shares`` are densities in ``unit`` (of order 1), each with the volume ``weight``."""
    total = terms.constant + terms.potential @ masses
    if len(terms.targets):
        total += 0.5 * cp.sum_squares(terms.features @ masses - terms.targets)
    cones: list[Any] = []
    for c, E in terms.internal.summands:
        value, new = _internal(E, shares, unit)
        total, cones = total + c * weight * value, cones + new
    return total, cones


def _internal(E: Any, s: Any, unit: float) -> Cone:
    """``sum_i U(unit s_i)``."""
    if isinstance(E, Entropy):
        return unit * (-cp.sum(cp.entr(s)) + np.log(unit) * cp.sum(s)), []
    if isinstance(E, Congestion):
        return 0, [unit * s <= E.limit]
    assert isinstance(E, PorousMedium)
    scale = unit**E.m / (E.m * (E.m - 1))
    if E.m == 2:
        return scale * cp.sum_squares(s), []
    power = cp.Variable(s.shape)
    one = np.ones(s.shape)
    if E.m < 1:
        return scale * cp.sum(power), [cp.PowCone3D(s, one, power, E.m * one)]  # power <= s^m
    return scale * cp.sum(power), [cp.PowCone3D(power, one, s, one / E.m)]  # power >= s^m


def quadratic_over(x: Any, y: Any) -> Cone:
    """t with ``t >= x^2 / y``, entry by entry."""
    t = cp.Variable(x.shape)
    return t, [cp.SOC(t + y, cp.vstack([2 * x, t - y]), axis=0)]


def exact_coupling(x: Array, a: Array, y: Array, b: Array) -> tuple[float, Certificate]:
    """W2^2 between weighted atoms by an exact plan, with its proof."""
    found = transport(x, a, y, b)
    proof = Proof.LINE if x.shape[1] == 1 else Proof.SIMPLEX
    return found.squared, Certificate(proof, found.gap, found.squared, None, bool(found.exact))
