"""The Lagrangian step: the unknown is the map T in L2(mu_k; R^dim), and mu = T_# mu_k.

``minimise over T:  E(T_# mu_k) + int |T - y|^2 dmu_k / (2 tau) + const``

with partners y = id at first.  With equal weights the identity coupling is optimal at a global minimiser: relabelling
leaves E alone and cannot raise the cost.  So a step minimises with the coupling fixed and certifies it afterwards; if
it is not optimal, it relabels (equal weights) or takes the exact plan (unequal weights; y is then the plan's
barycentre, and the constant its variance) and goes on.  The objective only falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.measures import ChargedParticles, OnCells, Particles, State
from jko.metrics import NO_PROOF, Certificate, Plan, as_array, certify, certify_plan
from jko.status import Status
from jko.steps.linesearch import Objective, Point
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

ROUNDS = 20  # of minimising and planning in one step


@dataclass(frozen=True, eq=False)
class Coupling:
    """The coupling held fixed by a minimisation: partner y_i of atom i, and the cost that no map can remove."""

    partners: Tensor
    variance: float = 0.0
    plan: Plan | None = None  # None: the index coupling

    def cost(self, problem: StepProblem, points: Tensor) -> float:
        """int |T - y|^2 dmu + variance."""
        d = points - self.partners
        return float(problem.base.inner(d, d)) + self.variance

    def objective(self, problem: StepProblem) -> Objective:
        """T -> E(T_# mu_k) + cost / (2 tau), with its gradient in L2(mu_k)."""
        base, tau = problem.base, problem.tau

        def evaluate(points: Tensor) -> Point:
            energy = problem.energy.evaluate(base.moved(points))
            gradient = energy.gradient + (points - self.partners) / tau
            return Point(
                points,
                float(energy.value) + self.cost(problem, points) / (2 * tau),
                gradient,
                energy,
            )

        return evaluate


class Found(NamedTuple):
    """What a minimiser gives back."""

    point: Point
    residual: float
    iterations: int
    evaluations: int
    status: Status
    memory: Memory


#: (problem, coupling, starting point, memory) -> Found
Minimiser = Callable[[StepProblem, Coupling, Point, Memory], Found]


def natural_residual(problem: StepProblem, point: Point) -> Tensor:
    """``(T - P(T - tau g)) / tau``: the gradient g itself without a domain. It vanishes at stationary points."""
    domain, tau = problem.base.domain, problem.tau
    if domain is None:
        return point.gradient
    return (point.x - domain.project(point.x - tau * point.gradient)) / tau


def starting_point(problem: StepProblem, coupling: Coupling, points: Tensor) -> Point:
    """The objective at ``points``; nothing is evaluated again at the base point."""
    if points is problem.base.points:
        cost = coupling.cost(problem, points) / (2 * problem.tau)
        gradient = problem.before.gradient + (points - coupling.partners) / problem.tau
        return Point(points, float(problem.before.value) + cost, gradient, problem.before)
    return coupling.objective(problem)(points)


def solve_lagrangian(
    problem: StepProblem,
    minimise: Minimiser,
    exact_plans: bool = False,
    start: Tensor | None = None,
) -> StepResult:
    """Minimise (from ``start``, default the base point), certify, relabel or re-plan, until the coupling is optimal."""
    _refuse_cells(problem.previous)
    base = problem.base
    coupling, memory = Coupling(base.points), problem.memory
    point = starting_point(problem, coupling, base.points if start is None else start)
    iterations, evaluations = 0, 0 if "gradient" in memory else 1
    for _ in range(ROUNDS):
        found = minimise(problem, coupling, point, memory)
        iterations, evaluations = iterations + found.iterations, evaluations + found.evaluations
        if found.status in (Status.NOT_FINITE, Status.UNBOUNDED):
            return _result(problem, coupling, found, NO_PROOF, iterations, evaluations)
        certificate = prove(problem, coupling, found.point, exact_plans)
        if certificate.optimal or certificate.plan is None:
            break
        order, coupling = follow(problem, certificate.plan)
        point, memory = (
            starting_point(problem, coupling, found.point.x[order]),
            permuted(found.memory, order),
        )
        evaluations += 1
    return _result(problem, coupling, found, certificate, iterations, evaluations)


def _refuse_cells(state: State) -> None:
    """Refuse what is not moved atom by atom."""
    if isinstance(state, OnCells) or type(state).placed is State.placed:
        hint = "densities have solvers of their own: jko.Dynamic() on a grid, jko.Quantile() on a mesh of the line"
        what = "the state of a solver that moves atoms"
        checks.kind(what, state, Particles, ChargedParticles, hint=hint)


def prove(problem: StepProblem, coupling: Coupling, point: Point, exact_plans: bool) -> Certificate:
    """Whether the coupling is optimal between the new atoms and the old ones, and a better plan if it is not."""
    base, potential = problem.base, problem.tau * point.energy.variation
    x, y, m, p = (as_array(t) for t in (point.x, base.points, base.weights, potential))
    if coupling.plan is None and not exact_plans:
        return certify(x, y, m, p)
    return certify_plan(x, y, m, coupling.plan or Plan.identity(m))


def follow(problem: StepProblem, plan: Plan) -> tuple[Tensor, Coupling]:
    """The order that makes a better plan the index coupling (equal weights), or the coupling of the plan itself."""
    base = problem.base
    device = base.points.device
    if plan.is_permutation and base.has_equal_weights:
        partner = torch.from_numpy(plan.cols[plan.rows.argsort()]).to(device)
        return partner.argsort(), Coupling(base.points)
    y = as_array(base.points)
    partners = plan.barycentres(y)
    variance = plan.cost(partners, y)
    stay = torch.arange(base.N, device=device)
    return stay, Coupling(torch.from_numpy(partners).to(base.points), variance, plan)


def permuted(memory: Memory, order: Tensor) -> Memory:
    """Curvature pairs of the relabelled atoms."""
    return {
        name: pair[order] for name, pair in memory.items() if name.startswith(("move/", "slope/"))
    }


def _result(
    problem: StepProblem,
    coupling: Coupling,
    found: Found,
    certificate: Certificate,
    iterations: int,
    evaluations: int,
) -> StepResult:
    point, status = found.point, found.status
    if status.ok and not certificate.optimal:
        status = Status.COUPLING_NOT_OPTIMAL
    state: State = problem.previous
    try:
        state = problem.state(point.x)
    except ValueError:
        status = Status.NOT_A_GRAPH if torch.isfinite(point.x).all() else Status.NOT_FINITE
    return StepResult.of(
        problem,
        state,
        energy=float(point.energy.value),
        cost=coupling.cost(problem, point.x),
        before=float(problem.before.value),
        residual=found.residual,
        iterations=iterations,
        evaluations=evaluations,
        status=status,
        coupling=certificate,
        memory=found.memory | point.energy._asdict(),
    )
