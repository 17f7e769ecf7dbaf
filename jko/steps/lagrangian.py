"""The Lagrangian step: the unknown is the map T in L2(mu_k; R^dim), and mu = T_# mu_k.

``minimise over T:  E(T_# mu_k) + int |T - y|^2 dmu_k / (2 tau) + const``

with partners y = id at first.  With equal weights the identity coupling is optimal at a global minimiser: relabelling
leaves E alone and cannot raise the cost.  So a step minimises with the coupling fixed and certifies it afterwards; if
it is not optimal, it relabels (equal weights) or takes the exact plan (unequal weights; y is then the plan's
barycentre, and the constant its variance) and goes on.  The objective only falls.  So it does with any coupling, whose
cost is at least the squared distance: training leaves the certificate to who asks for it.  A metric whose cost is not
that of the index coupling is minimised with its own (:mod:`jko.steps.penalty`), and there is nothing to certify.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.duality import Gap
from jko.measures import ChargedParticles, OnCells, Particles, State
from jko.metrics import NO_PROOF, Certificate, Plan, Proof, as_array
from jko.metrics.wrapped import Seam
from jko.metrics.wrapped_proofs import means_beside
from jko.spaces import wraps
from jko.status import Status
from jko.steps.linesearch import Point
from jko.steps.memory import PAIRS, Memory
from jko.steps.penalty import Coupling, Penalty, penalty_of
from jko.steps.problem import Form, StepProblem
from jko.steps.result import StepResult

ROUNDS = 20  # of minimising and planning in one step
UNPROVED = {Proof.OWN_COST, Proof.NOT_EXAMINED}  # couplings that need no proof
NAMED = 100  # letters of a metric's name in a trajectory


class Minimised(NamedTuple):
    """What a minimiser gives back."""

    point: Point
    residual: float
    iterations: int
    evaluations: int
    status: Status
    memory: Memory
    figures: dict[str, float | str] = {}  # noqa: RUF012 (never changed)


#: (problem, penalty, starting point, memory) -> Minimised
Minimiser = Callable[[StepProblem, Penalty, Point, Memory], Minimised]


def refuse_cells(state: State) -> None:
    """Refuse what is not moved atom by atom."""
    if isinstance(state, OnCells) or type(state).placed is State.placed:
        hint = (
            "densities and normal laws have solvers of their own, which are found where solver is left out: "
            "jko.Dynamic() on a grid, jko.Quantile() on a mesh of the line"
        )
        what = "the state of a solver that moves atoms"
        checks.kind(what, state, Particles, ChargedParticles, hint=hint)


def natural_residual(problem: StepProblem, point: Point) -> Tensor:
    """``(T - P(T - tau g)) / tau``: the gradient g itself without a domain. It vanishes at stationary points."""
    domain, tau = problem.base.domain, problem.tau
    if domain is None:
        return point.gradient
    return (point.x - domain.project(point.x - tau * point.gradient)) / tau


def solve_lagrangian(
    problem: StepProblem,
    minimise: Minimiser,
    exact_plans: bool = False,
    start: Tensor | None = None,
    examine: bool = True,
) -> StepResult:
    """Minimise (from ``start``, default the base point), certify, relabel or re-plan, until the coupling is optimal.

    Without ``examine`` the step ends with the first minimisation, and its coupling is certified when it is read.
    """
    refuse_cells(problem.previous)
    base = problem.base
    penalty, memory = penalty_of(problem), problem.memory
    point = penalty.start(problem, base.points if start is None else start)
    iterations, evaluations = 0, 0 if "gradient" in memory else 1
    for _ in range(ROUNDS):
        found = minimise(problem, penalty, point, memory)
        iterations, evaluations = iterations + found.iterations, evaluations + found.evaluations
        if found.status in (Status.NOT_FINITE, Status.UNBOUNDED):
            return _result(problem, penalty, found, NO_PROOF, iterations, evaluations)
        if not examine:
            certificate = penalty.promised(problem, found.point)
            break
        certificate = penalty.prove(problem, found.point, exact_plans)
        if certificate.optimal or certificate.plan is None:
            break
        order, penalty = follow(problem, certificate.plan, found.point.x)
        there = base.reordered(found.point.x, order)
        point = penalty.start(problem, _beside(base, there, penalty.partners))
        memory = permuted(base, found.memory, order)
        evaluations += 1
    return _result(problem, penalty, found, certificate, iterations, evaluations)


def follow(problem: StepProblem, plan: Plan, x: Tensor) -> tuple[Tensor, Coupling]:
    """The order that makes a better plan the index coupling (equal weights), or the coupling of the plan itself.

    ``x`` are the new atoms that the plan sends back.
    """
    base = problem.base
    device = base.points.device
    if plan.is_permutation and base.has_equal_weights:
        partner = torch.from_numpy(plan.cols[plan.rows.argsort()]).to(device)
        return partner.argsort(), Coupling(base.points)
    stay = torch.arange(base.N, device=device)
    if wraps(base.domain):
        here, back = as_array(problem.state(x).atoms.points), as_array(base.points)
        around, variance = means_beside(plan, here, back, Seam.of(base.domain))
        return stay, Coupling(torch.from_numpy(around).to(base.points), variance, plan)
    means = torch.from_numpy(plan.barycentres(as_array(base.points))).to(device)
    ends = (as_array(problem.stretched(p)) for p in (means, base.points))
    return stay, Coupling(means.to(base.points), plan.cost(*ends), plan)


def _beside(base: Particles, points: Tensor, partners: Tensor) -> Tensor:
    """The same places, in the turn that is nearest to the partners: where coordinates come round."""
    if not wraps(base.domain):
        return points
    assert base.domain is not None
    return partners + base.domain.shortest(points - partners)


def permuted(base: Particles, memory: Memory, order: Tensor) -> Memory:
    """Curvature pairs of the relabelled atoms."""
    if PAIRS not in memory:
        return memory
    return memory | {PAIRS: base.reordered(memory[PAIRS], order, axis=2)}


def _result(
    problem: StepProblem,
    penalty: Penalty,
    found: Minimised,
    certificate: Certificate,
    iterations: int,
    evaluations: int,
) -> StepResult:
    point, status = found.point, found.status
    known = certificate.known
    if status.ok and not known.optimal and known.proof not in UNPROVED:
        status = Status.COUPLING_NOT_OPTIMAL
    state: State = problem.previous
    try:
        state = problem.state(point.x)
    except ValueError:
        finite = problem.base.every(torch.isfinite(point.x))
        status = Status.NOT_A_GRAPH if finite else Status.NOT_FINITE
    return StepResult.of(
        problem,
        state,
        energy=float(point.energy.value),
        cost=point.cost,
        before=float(problem.before.value),
        residual=found.residual,
        iterations=iterations,
        evaluations=evaluations,
        status=status,
        coupling=certificate,
        memory=found.memory | point.energy._asdict(),
        **_said(problem, found.figures),
    )


def _said(problem: StepProblem, figures: dict[str, float | str]) -> dict[str, Any]:
    """The figures; of a step in another metric than the natural one also which, and that no gap is known."""
    if problem.form is Form.NATURAL:
        return {"figures": figures}
    name = repr(problem.metric)
    name = name if len(name) <= NAMED else type(problem.metric).__name__
    return {
        "gap": Gap.unknown(f"no lower bound is known for a step in {name}"),
        "figures": {"metrics": name, **figures},
    }
