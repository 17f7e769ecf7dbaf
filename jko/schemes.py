"""Time schemes: recipes of JKO steps that make one step of the flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from jko.energies import Energy
from jko.measures import State
from jko.metrics import NO_PROOF, Metric, natural_metric
from jko.shown import Shown
from jko.status import Status
from jko.steps import Memory, Solver, StepProblem, StepResult, step
from jko.steps.beyond import beyond
from jko.steps.memory import rounding, without_evaluation
from jko.steps.result import Falls
from jko.steps.split import Strang as Strang


class Scheme(Protocol):
    """What a scheme is: it advances a state by one time step.

    It never raises :class:`jko.StepFailed`: a result whose status is not ok ends the flow.

    Examples
    --------
    >>> import jko
    >>> jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=1, scheme=jko.SDIRK2()
    ... ).status.name
    'FINISHED'
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
        """The state after time tau."""
        ...


@dataclass(frozen=True)
class Implicit(Shown):
    """The JKO scheme itself: one step of length tau, first order in tau.

    Source: survey Remark 3.4; Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).

    Examples
    --------
    >>> import jko
    >>> start, E = jko.Particles([[1.0]]), jko.SquaredNorm()
    >>> a, b = (
    ...     jko.flow(E, start, tau=0.5, steps=1, **kind)
    ...     for kind in ({}, {"scheme": jko.Implicit()})
    ... )
    >>> bool(a.energies[-1] == b.energies[-1])
    True
    """

    order = 1
    growth = 2.5

    def constant(self, ratio: float) -> float:
        """1/2"""
        return 0.5

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
        """One JKO step."""
        return step(
            energy, state, tau=tau, metric=metric, solver=solver, memory=memory, throw=False
        )


GAMMA = 1 - 1 / math.sqrt(2)
RATIO = (1 - 2 * GAMMA) / GAMMA  # sqrt 2


@dataclass(frozen=True)
class SDIRK2(Shown):
    """Two JKO steps with a move along the first one's geodesic between them: second order in tau.

    ``mu_1 = JKO_{g tau}(mu_0)``,  ``mu_bar = (T + r (T - id))_# mu_0``,  ``mu = JKO_{g tau}(mu_bar)``

    with T the map of the first step, ``g = 1 - 1/sqrt 2`` and ``r = (1 - 2 g) / g = sqrt 2``.

    On atoms it is the L-stable singly diagonally implicit Runge-Kutta method of order two.  No starting steps are
    needed, and tau may change from step to step.

    The result has the columns of the solver and one more, ``fallback``: 1 where the energy would have risen, or where
    mu_bar does not exist (a mesh folds), so that one plain step of length tau was taken; else 0.

    Notes
    -----
    ``cost`` is the squared length of the way, ``(|mu_0 mu_bar| + |mu_bar mu|)^2`` with the first part (1 + r) times the
    first step: by the triangle inequality at least the squared distance.  ``slack = E(mu_0) - E - cost / (2 tau)`` has
    no sign by theory; that the energy does not rise is checked.  ``residual`` is the larger of both steps'; iterations
    and evaluations are sums.

    Inexact steps spoil the order: an error of the size of the tolerance stays at every step, so choose a solver with
    an absolute ``tol`` on atoms (:class:`jko.BlockNewton` as it is, ``jko.LBFGS(tol=1e-8)``).

    Source: Alexander, SIAM J. Numer. Anal. 14 (1977), for the method in R^n; survey (3.7) for the flow.

    Examples
    --------
    >>> import jko, math
    >>> mu = jko.Particles([[1.0]])
    >>> newton = jko.BlockNewton(tol=1e-12)
    >>> for scheme in (jko.Implicit(), jko.SDIRK2()):
    ...     run = jko.flow(jko.SquaredNorm(), mu, tau=0.1, t1=1.0, solver=newton, scheme=scheme)
    ...     print(f"{abs(float(run.final.points) - math.exp(-1)):.1e}")
    1.8e-02
    1.5e-04
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
        """Two steps, or one where two are no good."""

        def stage(base: State, length: float, left: Memory | None) -> StepResult:
            return step(
                energy, base, tau=length, metric=metric, solver=solver, memory=left, throw=False
            )

        first = stage(state, GAMMA * tau, memory)
        between = beyond(first, RATIO) if first.status.ok else None
        done = [first]
        if between is not None:
            second = stage(between, GAMMA * tau, without_evaluation(first.memory))
            done.append(second)
            result = _joined(energy, state, tau, metric, first, second)
            risen = result.energy > first.before + rounding(first.before, result.energy)
            if second.status.ok and not risen:
                return result
        plain = stage(state, tau, memory)
        return plain.instead_of(*done)


def _joined(
    energy: Energy,
    state: State,
    tau: float,
    metric: Metric | None,
    first: StepResult,
    second: StepResult,
) -> StepResult:
    """Both stages as one step of length tau."""
    cost = ((1 + RATIO) * first.cost**0.5 + second.cost**0.5) ** 2
    wanted = natural_metric(state) if metric is None else metric
    return second.joined(
        StepProblem(energy, wanted, state, tau),
        second.state,
        energy=second.energy,
        cost=cost,
        before=first.before,
        memory=second.memory,
        residual=max(first.residual, second.residual),
        iterations=first.iterations + second.iterations,
        evaluations=first.evaluations + second.evaluations,
        status=first.status if second.status is Status.CONVERGED else second.status,
        coupling=NO_PROOF,
        figures={"fallback": 0.0},
        gap=None,
        falls=Falls.ENERGY,
    )
