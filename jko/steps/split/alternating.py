"""``Alternating``: one step in the split metric, of rho with H held and then of H with rho held."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jko import checks
from jko.energies import value_of
from jko.measures import ChargedSpan, GridDensity, LineMesh, Particles
from jko.metrics import Wasserstein
from jko.shown import Shown
from jko.status import Status
from jko.steps.memory import Memory, rounding, without_evaluation
from jko.steps.natural import natural_solver
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult, judged
from jko.steps.solver import Solver
from jko.steps.split.charge import Charged, charge_step
from jko.steps.split.terms import SplitTerms


@dataclass(frozen=True)
class Alternating(Shown):
    """The step of a :class:`jko.ChargedSpan`: rho in W2 with H held, then H in L2(rho_{k+1}) in closed form.

    ``rho_{k+1} = argmin G(rho, H_k) + W2(rho, rho_k)^2 / (2 tau)``,
    ``H_{k+1} = argmin G(rho_{k+1}, H) + |H - H_k|^2_{L2(rho_{k+1})} / (2 tau)``

    Adding the two, ``G_{k+1} + W2^2 / (2 tau) + |H_{k+1} - H_k|^2 / (2 tau) <= G_k``: the energy falls by at least the
    squared split metric over 2 tau, whatever tau is.  As tau -> 0 the steps converge to (3.19), at order one.

    Parameters
    ----------
    solver
        Of the step of rho, an ordinary step in W2; default the natural one of rho: :class:`jko.LBFGS` for particles,
        :class:`jko.Quantile` for a mesh of the line, :class:`jko.Dynamic` for a density on a grid.

    Notes
    -----
    Energies: ``Risk`` with the activation and the data of the span, ``lam * SquaredNorm()`` (3.15),
    ``OnTheta(E)`` with any E, and internal energies of rho, for which rho must be a density.

    ``residual`` is the larger of both steps'.  ``figures["moved"]`` is W2^2 and ``figures["charged"]`` the squared norm
    of H_{k+1} - H_k; their sum is the cost.  ``certificate()`` is the gap of the step of rho; that of H has none.

    Why not both at once, or in L2(rho_k)?  With L2(rho_k) the infimum costs H nothing where rho_k has no mass: see
    :class:`jko.metrics.SplitWasserstein`.

    Source: survey (3.19); the two gradient flows are those of section 3.2.1.

    Raises
    ------
    TypeError, ValueError
        From ``step``: a state of another kind; an energy that is not quadratic in H, that is of other features, or that
        has a negative coefficient.

    Examples
    --------
    >>> import jko, torch
    >>> h = jko.Ridge(torch.tanh)
    >>> risk = jko.Risk(jko.Data([[0.0], [1.0]], [0.5, -0.5]), activation=h)
    >>> rho = jko.Particles([[0.5, 1.0], [2.0, 0.0]])
    >>> start = jko.ChargedSpan(rho, lambda theta: theta[:, 0], h, risk.data.x)
    >>> run = jko.flow(risk + 0.1 * jko.SquaredNorm(), start, tau=1.0, steps=3)
    >>> bool((run.slacks > 0).all())
    True
    """

    solver: Solver | None = None

    def __post_init__(self) -> None:
        if self.solver is not None:
            checks.able("solver", self.solver, "solve", "jko.LBFGS()")

    def solve(self, problem: StepProblem) -> StepResult:
        """The step of rho, then the step of H."""
        hint = "it steps (rho, H) with H in the span of features: jko.ChargedSpan(rho, H0, h, x)"
        span = checks.kind("the state of Alternating", problem.previous, ChargedSpan, hint=hint)
        terms = SplitTerms.of(problem.energy, span)
        inner = self.transport(span, terms, problem.tau, problem.memory)
        if inner.status is Status.NOT_FINITE:
            return _failed(problem, inner)
        rho = checks.kind("rho", inner.state, Particles, LineMesh, GridDensity)
        charged = charge_step(rho, span, terms, problem.tau)
        if not charged.finite:
            return _failed(problem, inner)
        return _joined(problem, inner, charged)

    def transport(
        self, span: ChargedSpan, terms: SplitTerms, tau: float, memory: Memory
    ) -> StepResult:
        """The step of rho in W2, with H held."""
        rho = span.rho
        solver = natural_solver(rho) if self.solver is None else self.solver
        memory = without_evaluation(memory)  # H is another now
        return judged(solver.solve(StepProblem(terms.held(span), Wasserstein(), rho, tau, memory)))


def _joined(problem: StepProblem, inner: StepResult, charged: Charged) -> StepResult:
    """Both steps as one."""
    tau, state = problem.tau, charged.reach()
    energy = value_of(problem.energy, state)
    square = charged.square(charged.increment)
    fall = inner.energy - energy - square / (2 * tau)
    status = inner.status
    if status.ok and not fall >= -rounding(inner.energy, energy, dtype=state.b.dtype):
        status = Status.ENERGY_ROSE
    return inner.joined(
        problem,
        state,
        energy=energy,
        cost=inner.cost + square,
        residual=max(inner.residual, charged.residual),
        status=status,
        figures={"moved": inner.cost, "charged": square},
        gap=inner.certificate,
    )


def _failed(problem: StepProblem, inner: StepResult) -> StepResult:
    """No step: the energy, its gradient or H is not finite."""
    return replace(
        inner,
        state=problem.previous,
        status=Status.NOT_FINITE,
        problem=problem,
        memory={},
        figures={**inner.figures, "moved": inner.cost, "charged": 0.0},
        gap=None,
    )


@natural_solver.register
def _(state: ChargedSpan) -> Solver:
    return Alternating()
