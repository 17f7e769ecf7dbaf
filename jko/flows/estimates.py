"""The error of one step, estimated from the step itself: from its labels, or from its ledger.

*Labels* are atoms that keep their masses while they move: particles, pairs, the Gauss points of a mesh.  With v_k the
velocity at X_k the step is compared with the prediction that it made beforehand,

``X_p = X_k + tau v_k``,  of order two ``+ tau^2 / 2 (v_k - v_{k-1}) / tau_{k-1}``.

To leading order ``X_p`` errs by ``-c tau^{p+1} X^{(p+1)}`` with c = 1/2, or 1/6 + 1/(4 w) where w = tau_k / tau_{k-1},
and the scheme by ``C tau^{p+1} X^{(p+1)}``; so ``C / (C + c) |X_{k+1} - X_p|`` is the scheme's own error.  For
implicit Euler this is ``tau / 2 |v_{k+1} - v_k|``.

The *ledger* needs the energy and the metric alone, and so works on any state: along a flow of Hessian A

``q = tau (E_k - E_{k+1}) / d^2 - 1 = tau / 2 <a, A a> / |a|^2 + ...``,  ``|q| d <= tau^2 / 2 |X''|`` to leading order,

by Cauchy and Schwarz a lower bound, and nothing where a is orthogonal to A a, so that q changes its sign.  In its
place stands ``tau kappa`` with the curvature ``kappa = max(|q| / tau, .7 kappa_before)``, and the first
|q| is at least .1.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from jko.flows.clock import Tick
from jko.ledger import Present
from jko.measures import NormalLaws, OnCells
from jko.schemes import Scheme
from jko.schemes.recipe import FALLBACK
from jko.schemes.recipe import VELOCITY as FIELD
from jko.steps import Memory, StepProblem, StepResult
from jko.steps.affine import difference, square
from jko.steps.problem import Form

VELOCITY, EARLIER, LENGTH = "adaptive.velocity", "adaptive.earlier", "adaptive.length"  # memory
CURVATURE = "curvature"  # the column of kappa
REMEMBERED, AT_FIRST = 0.7, 0.1  # of the curvature before; of q, in a first step


class Estimate(NamedTuple):
    """An error in the metric, the order of the step that made it, what the row says of it, and what to remember.

    ``evaluations`` of the energy were made for it.
    """

    error: float
    order: int
    figures: dict[str, float | str] = {}  # noqa: RUF012 (never changed)
    memory: Memory = {}  # noqa: RUF012 (never changed)
    evaluations: int = 0


@runtime_checkable
class KnownError(Scheme, Protocol):
    """A scheme whose error is known: its order p, C, and how fast steps may grow."""

    order: ClassVar[int]
    growth: ClassVar[float]

    def constant(self, ratio: float) -> float:
        """C of ``C tau^{p+1} X^{(p+1)}``, ``ratio`` being tau over the one before."""
        ...


class Estimator(Protocol):
    """The error of a step."""

    def __call__(self, now: Present, tick: Tick, result: StepResult) -> Estimate:
        """Estimate it."""
        ...


def by_ledger(now: Present, tick: Tick, result: StepResult) -> Estimate:
    """From the energies and the cost of a step of implicit Euler."""
    fell = result.before - result.energy + float(result.figures.get("remap", 0.0))
    cost, before = result.cost, now.row.get(CURVATURE, math.nan)
    q = abs(tick.tau * fell / cost - 1) if cost > 0 else 0.0
    q = max(q, REMEMBERED * before * tick.tau if before == before else AT_FIRST)
    return Estimate(q * math.sqrt(cost), 1, {CURVATURE: q / tick.tau})


class ByLabels:
    """From the prediction of the step, by the scheme's order and constant."""

    def __init__(self, scheme: KnownError) -> None:
        self.scheme = scheme

    def __call__(self, now: Present, tick: Tick, result: StepResult) -> Estimate:
        """The part of the scheme in what the prediction misses; where it cannot be made, by the ledger."""
        problem, tau = result.problem, tick.tau
        move = difference(result.state, now.state.detach())
        if move is None:
            return by_ledger(now, tick, result)
        v, earlier, length = _remembered(now.memory, move)
        fresh = v is None and "before" not in vars(problem)
        v = start_velocity(problem, tau) if v is None else v
        end = end_velocity(self.scheme, result, move)
        memory = {} if end is None else {VELOCITY: end}
        if v is None:
            return by_ledger(now, tick, result)._replace(figures={}, memory=memory)
        missed, order, constant, c = move - tau * v, 1, 0.5, 0.5
        plain = result.figures.get(FALLBACK, 0.0) == 1
        if self.scheme.order == 2 and earlier is not None and not plain:
            w = tau / length
            missed = missed - (0.5 * tau * w) * (v - earlier)
            order, constant, c = 2, abs(self.scheme.constant(w)), 1 / 6 + 1 / (4 * w)
        if self.scheme.order == 2:
            memory |= {EARLIER: v, LENGTH: torch.tensor(tau, dtype=torch.float64)}
        error = constant / (constant + c) * size(problem, missed)
        return Estimate(error, order, memory=memory, evaluations=int(fresh))


def _remembered(memory: Memory, move: Tensor) -> tuple[Tensor | None, Tensor | None, float]:
    """v_k, v_{k-1} and tau_{k-1}, as far as they are there and fit."""
    fits = (memory.get(name) for name in (VELOCITY, EARLIER))
    v, earlier = (u if u is not None and u.shape == move.shape else None for u in fits)
    length = float(memory[LENGTH]) if LENGTH in memory else math.nan
    return v, earlier if length > 0 else None, length


def size(problem: StepProblem, field: Tensor) -> float:
    """The norm of a field of the labels; in L2(mu) where the metric has a cost of its own."""
    metric = None if problem.form is Form.OWN_COST else problem.metric
    return math.sqrt(square(problem.previous, field, metric))


def end_velocity(scheme: KnownError, result: StepResult, move: Tensor) -> Tensor | None:
    """That of the last stage, of implicit Euler the step's own; None where a scheme does not know it."""
    if FIELD in result.fields:
        return result.fields[FIELD]
    return move / result.problem.tau if scheme.order == 1 else None


def start_velocity(problem: StepProblem, tau: float) -> Tensor | None:
    """``-grad dE/dmu`` at the base point, along the walls where there are some; None on cells and of normal laws."""
    if isinstance(problem.previous, (OnCells, NormalLaws)):
        return None
    base = problem.base
    v = -problem.raised(problem.before.gradient)
    if base.domain is None:
        return v
    return base.domain.shortest(base.domain.project(base.points + tau * v) - base.points) / tau
