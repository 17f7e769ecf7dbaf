"""``Strang``: steps of H, of rho and of H again, each an implicit midpoint: second order in tau."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jko import checks
from jko.duality import Gap
from jko.energies import Energy, value_of
from jko.measures import ChargedSpan, GridDensity, LineMesh, Particles, State
from jko.metrics import NO_PROOF, Metric, SplitWasserstein
from jko.shown import Shown
from jko.steps.beyond import beyond
from jko.steps.lbfgs import LBFGS
from jko.steps.memory import Memory, rounding
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult
from jko.steps.solver import Solver
from jko.steps.split.alternating import Alternating
from jko.steps.split.charge import Charged, charge_step, coefficients
from jko.steps.split.terms import SplitTerms

NO_MINIMISER = "the step is no minimiser: its parts are JKO steps gone twice as far"
TIGHT = LBFGS(fraction=1e-6)  # an inexact step of rho would spoil the order


@dataclass(frozen=True)
class Strang(Shown):
    """Half a step of H, a step of rho and half a step of H, for :class:`jko.ChargedSpan`: second order in tau.

    ``H_1/2 = 2 Q(H_k) - H_k`` with Q the step of H in L2(rho_k) of length tau/4;
    ``rho_{k+1} = (T + (T - id))_# rho_k`` with T the map of the JKO step of rho of length tau/2, H_1/2 held;
    ``H_{k+1} = 2 Q(H_1/2) - H_1/2`` with Q in L2(rho_{k+1}).

    Every part is an implicit midpoint, a JKO step of half the length gone twice as far, so the composition has order
    two; with plain implicit parts it would have order one.  The work is that of :class:`jko.steps.Alternating`.

    The result has the columns of Alternating and one more, ``fallback``: 1 where the energy would have risen, or where
    the doubled step of rho does not exist (a mesh folds), so that one plain step of length tau was taken; else 0.

    Notes
    -----
    ``cost`` bounds the squared split metric from above: ``moved`` is four times that of the half step, ``charged`` is
    ``|H_{k+1} - H_k|^2`` in L2(rho_{k+1}).  ``slack`` has no sign by theory; that the energy does not rise is checked.
    Midpoints do not damp: where tau times the curvature of G is far above one, take Alternating.

    Inexact steps of rho spoil the order.  The default for particles is ``LBFGS(fraction=1e-6)``; choose another by
    ``solver=jko.steps.Alternating(...)``, on a grid ``jko.steps.Alternating(jko.Dynamic(tol=1e-8))``.

    Source: Strang, SIAM J. Numer. Anal. 5 (1968); survey (3.19) for the flow.

    Examples
    --------
    >>> import jko, math, torch
    >>> h = jko.Ridge(torch.tanh)
    >>> state = jko.ChargedSpan(jko.Particles([[1.0, 0.0]]), lambda t: t[:, 0] * 0 + 1, h, [[0.0]])
    >>> for scheme in (jko.Implicit(), jko.Strang()):
    ...     run = jko.flow(jko.SquaredNorm(), state, tau=0.1, t1=1.0, scheme=scheme)
    ...     print(f"{abs(run.final.alpha - math.exp(-1)):.1e}")
    1.8e-02
    7.7e-05
    """

    def advance(
        self,
        energy: Energy,
        state: State,
        *,
        tau: float,
        metric: Metric | None = None,
        solver: Solver | None = None,
        memory: Memory | None = None,
    ) -> StepResult:
        """Three midpoints, or one plain step where they are no good."""
        hint = "elsewhere use jko.SDIRK2()"
        state = checks.kind("the state of Strang", state, ChargedSpan, hint=hint)
        default = Alternating(TIGHT if isinstance(state.rho, Particles) else None)
        plan, hint = default if solver is None else solver, "jko.steps.Alternating(solver)"
        plan = checks.kind("the solver of Strang", plan, Alternating, hint=hint)
        problem = StepProblem(energy, metric or SplitWasserstein(), state, tau, memory or {})
        before = value_of(energy, state)
        if not math.isfinite(before):
            return plan.solve(problem)
        inner, charged = _midpoints(problem, state, plan)
        if charged is not None:
            result = _joined(problem, state, before, inner, charged)
            if result.energy <= before + rounding(before, result.energy):
                return result
        return plan.solve(problem).instead_of(inner)


def _midpoints(
    problem: StepProblem, span: ChargedSpan, plan: Alternating
) -> tuple[StepResult, Charged | None]:
    """The half step of rho, and the last one of H; None where the doubled step of rho does not exist."""
    terms, tau = SplitTerms.of(problem.energy, span), problem.tau
    half = charge_step(span.rho, span, terms, tau / 4).reach(2)
    inner = plan.transport(half, terms, tau / 2, problem.memory)
    rho = beyond(inner, 1.0) if inner.status.ok else None
    if not isinstance(rho, (Particles, LineMesh, GridDensity)):
        return inner, None
    charged = charge_step(rho, half, terms, tau / 4)
    return inner, charged if charged.finite else None


def _joined(
    problem: StepProblem, span: ChargedSpan, before: float, inner: StepResult, charged: Charged
) -> StepResult:
    """The three midpoints as one step of length tau."""
    state = charged.reach(2)
    energy, moved = value_of(problem.energy, state), 4 * inner.cost
    square = charged.square(coefficients(state) - coefficients(span))
    return inner.joined(
        problem,
        state,
        energy=energy,
        cost=moved + square,
        before=before,
        residual=max(inner.residual, charged.residual),
        coupling=NO_PROOF,
        figures={"moved": moved, "charged": square, "fallback": 0.0},
        gap=Gap.unknown(NO_MINIMISER),
        falls=Falls.ENERGY,
    )
