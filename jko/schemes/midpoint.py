"""``Midpoint``: a JKO step of half the length, gone twice as far."""

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
from jko.steps.result import Falls, Proved
from jko.steps.solver import energy_by

HALFWAY = "halfway"  # the column: the energy of the midpoint


@dataclass(frozen=True)
class Midpoint(Shown):
    """A JKO step of half the length, gone twice as far: second order in tau, for one solve.

    ``Y = JKO_{tau/2}(mu_k)``,  ``mu_{k+1} = (T + (T - id))_# mu_k``

    with T the map of the half step: ``X_{k+1} = 2 Y - X_k`` in labels.

    Nothing is proved of the energy at ``mu_{k+1}``, and it may rise: where tau times the curvature is far above one,
    midpoints do not damp, and behind a wall they land beyond it.  What is proved, and checked, is the ledger of the
    half step, ``E(Y) + |Y mu_k|^2 / tau <= E(mu_k)``; ``E(Y)`` is the column ``halfway``.  Where ``mu_{k+1}`` does not
    exist (a mesh folds, atoms of a pair meet) or has no finite energy, one plain step of length tau is taken: the
    column ``fallback`` is 1.

    Notes
    -----
    ``cost`` is four times that of the half step, at least the squared distance.  ``slack`` has no sign.  With no domain
    it is the implicit midpoint rule, which conserves quadratic invariants of the flow.  Inexact steps spoil the order:
    give the solver an absolute ``tol`` (:class:`jko.BlockNewton`, ``jko.LBFGS(tol=1e-8)``).

    Source: Legendre and Turinici, C. R. Math. 355 (2017); survey (3.7), (3.23) for the flows.

    Examples
    --------
    >>> import jko, math
    >>> mu = jko.Particles([[1.0]])
    >>> newton = jko.BlockNewton(tol=1e-12)
    >>> for scheme in (jko.Implicit(), jko.Midpoint()):
    ...     run = jko.flow(jko.SquaredNorm(), mu, tau=0.1, t1=1.0, solver=newton, scheme=scheme)
    ...     print(f"{abs(float(run.final.points) - math.exp(-1)):.1e}")
    1.8e-02
    3.1e-04
    """

    order: ClassVar[int] = 2
    growth: ClassVar[float] = 2.5

    def constant(self, ratio: float) -> float:
        """C of the local error ``C tau^3 X'''`` of linear problems."""
        return 1 / 12

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
        """A half step gone twice as far, or one plain step where that is no good."""
        recipe = Recipe.of(energy, state, tau, metric, solver, memory)
        half = recipe.solve(recipe.problem.previous, tau / 2)
        new = beyond(half, 1.0) if half.status.ok else None
        end = math.nan if new is None else float(energy_by(solver)(energy, new))
        if new is None or not math.isfinite(end):
            return recipe.plain()
        whole = half.energy if half.falls is Falls.ENERGY else half.objective
        return recipe.joined(
            new,
            energy=end,
            cost=4 * half.cost,
            before=half.before,
            memory=None,
            falls=Falls.PROVED,
            proved=Proved(whole, half.before),
            fields={},
            figures={HALFWAY: half.energy},
        )
