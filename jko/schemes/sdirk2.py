"""``SDIRK2``: two JKO steps with a move along the first one's geodesic between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.schemes.recipe import Recipe
from jko.shown import Shown
from jko.steps import Memory, Solver, StepResult
from jko.steps.beyond import beyond
from jko.steps.memory import rounding
from jko.steps.result import Falls

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

    order: ClassVar[int] = 2
    growth: ClassVar[float] = 2.5

    def constant(self, ratio: float) -> float:
        """C of the local error ``C tau^3 X'''`` of linear problems."""
        return 3 * GAMMA**2 - 2 * GAMMA**3 - 1 / 6

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
        recipe = Recipe.of(energy, state, tau, metric, solver, memory)
        first = recipe.solve(state, GAMMA * tau)
        between = beyond(first, RATIO) if first.status.ok else None
        if between is None:
            return recipe.plain()
        second = recipe.solve(between, GAMMA * tau)
        risen = second.energy > first.before + rounding(first.before, second.energy)
        if risen or not second.status.ok:
            return recipe.plain()
        cost = ((1 + RATIO) * first.cost**0.5 + second.cost**0.5) ** 2
        return recipe.joined(cost=cost, before=first.before, falls=Falls.ENERGY)
