"""``BDF2``: one JKO step from a point beyond the present state, on the line from the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.schemes.recipe import FALLBACK, Recipe
from jko.shown import Shown
from jko.steps import Memory, Solver, StepResult
from jko.steps.affine import marks, square
from jko.steps.beyond import way
from jko.steps.memory import bound
from jko.steps.result import Falls, Proved

SHARE = 0.4  # c of the modified energy
MODIFIED = "modified"  # its column
HERE, MOVE, TAU = "bdf2/here", "bdf2/move", "bdf2/tau"  # of a memory


@dataclass(frozen=True)
class BDF2(Shown):
    """One JKO step a step, from beyond the present state: second order in tau, for one solve.

    ``mu_{k+1} = JKO_h(mu_bar)``,  ``X_bar = X_k + w^2 / (1 + 2 w) (X_k - X_{k-1})``,  ``h = tau_k (1 + w) / (1 + 2 w)``

    with X the labels of the state (atoms, edges or nodes of a mesh, the lift of a pair) and ``w = tau_k / tau_{k-1}``;
    for equal steps ``X_bar = (4 X_k - X_{k-1}) / 3`` and ``h = 2 tau / 3``.

    The energy itself may rise.  What cannot rise, for any energy and any tau, is the modified one,

    ``E_c(k) = E(mu_k) + c |X_k - X_{k-1}|^2 / tau_{k-1}``,   c = 0.4,

    while tau grows by at most 1.6 from step to step; it is the column ``modified``.  The first step, one that would
    grow by more, one whose base point does not exist (a mesh folds, atoms of a pair meet) and one whose solver ends
    higher than it would at X_k are plain JKO steps, which lower E_c as well; the column ``fallback`` is 1 where
    something was to be done and could not, else 0.

    Notes
    -----
    The history ``X_k - X_{k-1}`` and its tau are in the result's ``memory``, with the labels that they belong to: a
    flow that is resumed goes on with the same bits, and another state begins anew.

    ``cost`` is ``|X_{k+1} - X_k|^2`` of the labels, at least the squared distance.  ``slack`` has no sign.  Inexact
    steps spoil the order: give the solver an absolute ``tol`` (:class:`jko.BlockNewton`, ``jko.LBFGS(tol=1e-8)``).

    A density on a grid has no labels; there moves are gradients of potentials, and earlier ones are carried along.  The
    proof, which is of labels, holds there up to terms of third order in tau and of the width of the cells; the
    inequality is checked in each step all the same.

    Source: Matthes and Plazotta, ESAIM: M2AN 53 (2019), for equal steps; survey (3.7), (3.23) for the flows.

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
    >>> for scheme in (jko.Implicit(), jko.BDF2()):
    ...     run = jko.flow(jko.SquaredNorm(), mu, tau=0.1, t1=1.0, solver=newton, scheme=scheme)
    ...     print(f"{abs(float(run.final.points) - math.exp(-1)):.1e}")
    1.8e-02
    1.7e-03
    """

    order: ClassVar[int] = 2
    growth: ClassVar[float] = 1.6

    def constant(self, ratio: float) -> float:
        """C of the local error ``C tau^3 X'''``, ``ratio`` being tau over the one before."""
        return (1 + ratio) ** 2 / (6 * ratio * (1 + 2 * ratio))

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
        """One step from the base point, or a plain one where that is no good."""
        recipe = Recipe.of(energy, state, tau, metric, solver, memory)
        recipe.refuse_unmoved(self)
        history = History.of(recipe.problem.memory, recipe.problem.previous)
        if history is None:
            return _remembered(recipe.plain(), 0.0)
        slow = tau <= self.growth * history.tau * (1 + 1e-9)
        result = _ahead(recipe, history) if slow else None
        return _remembered(recipe.plain(), 1.0) if result is None else result


@dataclass(frozen=True, eq=False)
class History:
    """The last step: how its labels moved, (N, dim), and its tau."""

    move: Tensor
    tau: float

    @classmethod
    def of(cls, memory: Memory, state: State) -> History | None:
        """What a memory knows of the step that led to a state; None where it led elsewhere."""
        there, move, here = memory.get(HERE), memory.get(MOVE), marks(state)
        assert here is not None
        if there is None or move is None or TAU not in memory:
            return None
        alike = there.shape == here.shape and torch.equal(there, here)
        return cls(move, float(memory[TAU])) if state.every(alike) else None

    def after(self, result: StepResult) -> Memory:
        """What a result remembers, and this of the step that led to its state."""
        here = marks(result.state)
        assert here is not None
        own = {HERE: here, MOVE: self.move, TAU: here.new_tensor(self.tau, dtype=torch.float64)}
        return bound({**result.memory, **own}, result.memory, result.state)


def _ahead(recipe: Recipe, history: History) -> StepResult | None:
    """The step of the scheme; None where it is no good."""
    state, tau, metric = recipe.problem.previous, recipe.problem.tau, recipe.problem.metric
    w, before = tau / history.tau, recipe.before
    shift = w * w / (1 + 2 * w) * history.move
    stage = recipe.solve_beside(shift, tau * (1 + w) / (1 + 2 * w), state, before)
    if stage is None:
        return None
    inner, move = stage
    cost = square(inner.state, move, metric)
    proved = Proved(
        inner.energy + SHARE * cost / tau,
        before + SHARE * square(state, history.move, metric) / history.tau,
    )
    if not proved.holds(state.weights.dtype):
        return None
    return recipe.joined(
        cost=cost,
        before=before,
        falls=Falls.PROVED,
        proved=proved,
        figures={MODIFIED: proved.left},
        memory=History(move, tau).after(inner),
    )


def _remembered(plain: StepResult, fallback: float) -> StepResult:
    """A plain step with what the scheme says and remembers of its own."""
    problem, memory, cost = plain.problem, plain.memory, plain.cost
    move = way(plain) if plain.status.ok else None
    if move is not None:
        memory = History(move, problem.tau).after(plain)
        cost = square(plain.state, move, problem.metric)  # as the next step will see it
    modified = plain.energy + SHARE * cost / problem.tau
    figures = {**plain.figures, MODIFIED: modified, FALLBACK: fallback}
    return replace(plain, figures=figures, memory=memory)
