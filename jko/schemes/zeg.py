"""``ZEG``: three JKO steps, order two in tau, and an energy that never rises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.schemes.recipe import Recipe
from jko.shown import Shown
from jko.steps import Memory, Solver, StepResult
from jko.steps.affine import carried, square
from jko.steps.result import Falls, Proved

LENGTHS = 1 / 5, 1 / 4, 2 / 9  # of the stages, in parts of tau
BEYOND = (), (1 / 2,), (28 / 63, 25 / 63)  # from where they begin: parts of the increments so far
LOSS = 0.31  # of the sum of squares over tau: what the energy loses at least
DISSIPATED = "dissipated"  # its column


@dataclass(frozen=True)
class ZEG(Shown):
    """Three JKO steps from base points on the way: second order in tau, and the energy itself never rises.

    ``U_m`` minimises ``E(U) + sum_{i<m} g_mi |U - U_i|^2 / (2 tau)``,  m = 1, 2, 3, from ``U_0 = X_k`` to
    ``U_3 = X_{k+1}``, with ``g = (5), (-2, 6), (-2, 3/14, 44/7)``, labels being meant.  Each is a JKO step from an
    affine base point: ``U_1 = JKO_{tau/5}(U_0)``, ``U_2 = JKO_{tau/4}(U_1 + (U_1 - U_0) / 2)`` and
    ``U_3 = JKO_{2 tau/9}(U_2 + (25 (U_2 - U_1) + 28 (U_1 - U_0)) / 63)``.

    For any energy, convex or not, and any tau

    ``E(X_{k+1}) + 0.31 sum_m |U_m - U_{m-1}|^2 / tau <= E(X_k)``,

    if every stage ends no higher than it would at ``U_{m-1}``.  The sum is the column ``dissipated``, 0.31 / tau
    included.  Where a stage ends higher, or a base point does not exist (a mesh folds, atoms of a pair meet), one
    plain step of length tau is taken: the column ``fallback`` is 1.

    Notes
    -----
    L-stable; no starting steps are needed, and tau may change from step to step.  ``cost`` is
    ``|X_{k+1} - X_k|^2`` of the labels, at least the squared distance.  Inexact steps spoil the order: give the solver
    an absolute ``tol`` (:class:`jko.BlockNewton`, ``jko.LBFGS(tol=1e-8)``).

    A density on a grid has no labels; there moves are gradients of potentials, and earlier ones are carried along.  The
    proof, which is of labels, holds there up to terms of third order in tau and of the width of the cells; the
    inequality is checked in each step all the same.

    Source: Zaitzeff, Esedoglu and Garikipati, SIAM J. Numer. Anal. 58 (2020); survey (3.7), (3.23).

    Raises
    ------
    TypeError
        A :class:`jko.ChargedDensity` or :class:`jko.ChargedSpan`: their moves cannot be added up.
    ValueError
        A solver that leaves no potential of a density, a metric whose geodesics are not known.

    Examples
    --------
    >>> import jko, math
    >>> mu = jko.Particles([[1.0]])
    >>> newton = jko.BlockNewton(tol=1e-12)
    >>> for scheme in (jko.Implicit(), jko.ZEG()):
    ...     run = jko.flow(jko.SquaredNorm(), mu, tau=0.1, t1=1.0, solver=newton, scheme=scheme)
    ...     print(f"{abs(float(run.final.points) - math.exp(-1)):.1e}")
    1.8e-02
    1.1e-04
    """

    order: ClassVar[int] = 2
    growth: ClassVar[float] = 2.5

    def constant(self, ratio: float) -> float:
        """C of the local error ``C tau^3 X'''`` of linear problems."""
        return 11 / 360

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
        """Three stages, or one plain step where they are no good."""
        recipe = Recipe.of(energy, state, tau, metric, solver, memory)
        recipe.refuse_unmoved(self)
        found = _staged(recipe)
        return recipe.plain() if found is None else found


def _staged(recipe: Recipe) -> StepResult | None:
    """All stages as one step; None where they are no good."""
    start, tau, metric = recipe.problem.previous, recipe.problem.tau, recipe.problem.metric
    state, energy, moves = start, recipe.before, list[Tensor]()
    for length, parts in zip(LENGTHS, BEYOND, strict=True):
        shift = _sum(a * d for a, d in zip(parts, moves, strict=True)) if parts else None
        stage = recipe.solve_beside(shift, length * tau, state, energy)
        if stage is None:
            return None
        result, move = stage
        state, energy = result.state, result.energy
        moves = [*(carried(state, d, move) for d in moves), move]
    lost = LOSS * sum(square(state, d, metric) for d in moves) / tau
    proved = Proved(energy + lost, recipe.before)
    if not proved.holds(start.weights.dtype):
        return None
    return recipe.joined(
        cost=square(state, _sum(moves), metric),
        before=recipe.before,
        falls=Falls.PROVED,
        proved=proved,
        figures={DISSIPATED: lost},
    )


def _sum(fields: Iterable[Tensor]) -> Tensor:
    return torch.stack([*fields]).sum(0)
