"""Exact plans where clouds span many scales: the transport problem solved again for what the last answer left open.

A simplex in floating-point numbers decides by reduced costs that are wrong by rounding of the largest cost.  So its
potentials are taken out of the costs with all digits (:mod:`jko.metrics.expansions`), what is left is scaled up, and
solved again: each round gives the next digits of the potentials (Gleixner, Steffy and Wolter, INFORMS J. Comput. 28,
2016, "iterative refinement").

If no reduced cost is below -s, and none above s on the pairs that carry mass, then a cycle that lowers the cost goes
along no pair whose reduced cost is above ``2 min(N, M) s``.  So costs are cut off there, and what is left lies on one
scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, squares
from jko.metrics.expansions import ReducedCosts
from jko.metrics.simplex import ALL_PAIRS, Basis, cheapest_flow
from jko.metrics.supplies import Supplies, plan_of_flow, staircase, supplies

ROUNDS = 20
TARGET = 1e-14  # of the cost: the gap that ends the rounds
NEAREST = 8  # pairs of each row and column that are tried first, where not all are
PRICINGS = 100
KEPT = 2**22  # pairs: up to here their reduced costs are kept, 32 MB
VIOLATED = 1e-9  # of the scale of a round: a pair below is tried too


class Refined(NamedTuple):
    """A plan, potentials of ``|x_i - y_j|^2`` rounded to numbers, and the gap between them before that rounding."""

    plan: Plan
    alpha: Array
    beta: Array
    gap: float


class _Judged(NamedTuple):
    """What potentials prove of a plan: the gap of the duals lowered by ``deficit``, and the largest violation."""

    gap: float
    deficit: Array
    scale: float


def refined(
    x: Array, a: Array, y: Array, b: Array, plan: Plan, alpha: Array, beta: Array
) -> Refined:
    """Improve a plan and its potentials until the gap is rounding of the cost, or no round gains anything."""
    exact, t = supplies(a, b), translation(x, y, plan)
    costs = ReducedCosts.of(x, y, t, alpha, beta)
    judged = _judge(costs, plan)
    best = plan, costs, judged
    for _ in range(ROUNDS):
        if judged.gap <= TARGET * centred_cost(x, y, t, plan):
            break
        basis = _solve(costs, exact, plan, judged)
        plan = plan_of_flow(basis.rows, basis.cols, basis.flow, exact, a, b)
        costs = costs.corrected(judged.scale * basis.alpha, judged.scale * basis.beta)
        judged, before = _judge(costs, plan), judged
        if judged.gap < best[2].gap:
            best = plan, costs, judged
        if judged.scale > 0.1 * before.scale:
            break
    plan, costs, judged = best
    costs = costs.corrected(np.zeros(len(x)), -judged.deficit)
    return Refined(plan, *costs.potentials(), judged.gap)


def translation(x: Array, y: Array, plan: Plan) -> Array:
    """The mean of ``x - y``, (dim,)."""
    return np.asarray(plan.mass @ (x[plan.rows] - y[plan.cols]) / plan.mass.sum())


def centred_cost(x: Array, y: Array, t: Array, plan: Plan) -> float:
    """What a plan costs beyond the translation: ``sum mass |x - y - t|^2``."""
    return float(plan.mass @ squares(x[plan.rows] - y[plan.cols] - t))


def _judge(costs: ReducedCosts, plan: Plan) -> _Judged:
    low = np.full(plan.shape[1], np.inf)
    for _, R in costs.blocks():
        np.minimum(low, R.min(0), out=low)
    deficit = np.maximum(0.0, -low)
    used = costs.at(plan.rows, plan.cols)
    gap = float(plan.mass @ (used + deficit[plan.cols]))
    return _Judged(max(gap, 0.0), deficit, max(float(np.abs(used).max()), float(deficit.max())))


def _solve(costs: ReducedCosts, exact: Supplies, plan: Plan, judged: _Judged) -> Basis:
    """The optimal basis for the reduced costs in units of their largest violation."""
    N, M = plan.shape
    cap = 4.0 * min(N, M) + 4.0
    if N * M <= ALL_PAIRS:
        keys = np.arange(N * M)
        R = np.concatenate([R for _, R in costs.blocks(cap * judged.scale)]).ravel()
        return cheapest_flow(exact, keys // M, keys % M, np.minimum(R / judged.scale, cap))
    kept = None
    if N * M <= KEPT:
        blocks = costs.blocks(cap * judged.scale)
        kept = [(start, np.minimum(R / judged.scale, cap)) for start, R in blocks]
    none = np.zeros(N), np.zeros(M)
    keys = _likely(_Priced(costs, judged.scale, kept, *none), exact, plan)
    for _ in range(PRICINGS):
        R = costs.at(keys // M, keys % M)
        basis = cheapest_flow(exact, keys // M, keys % M, np.minimum(R / judged.scale, cap))
        trial = _Priced(costs, judged.scale, kept, basis.alpha, basis.beta)
        more = np.union1d(keys, trial.lowest(1, -VIOLATED))
        if len(more) == len(keys):
            break
        keys = more
    return basis


class _Priced(NamedTuple):
    """All reduced costs in units of a scale, less trial potentials in the same units.

    Where there is room for it, the costs of all pairs are ``kept`` by blocks, since each round of pricing needs them.
    """

    costs: ReducedCosts
    scale: float
    kept: list[tuple[int, Array]] | None
    alpha: Array
    beta: Array

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """First row and costs of every block of rows."""
        if self.kept is None:
            trial = self.costs.corrected(self.scale * self.alpha, self.scale * self.beta)
            for start, R in trial.blocks():
                yield start, R / self.scale
            return
        for start, R in self.kept:
            yield start, R - self.alpha[start : start + len(R), None] - self.beta

    def lowest(self, count: int, below: float) -> Index:
        """Keys i M + j of the ``count`` lowest below a bound, of each row, and of each column by blocks of rows."""
        M, found = len(self.beta), [np.empty(0, dtype=np.int64)]
        for start, R in self.blocks():
            for axis in (0, 1):
                k = min(count, R.shape[axis])
                index = np.argpartition(R, k - 1, axis=axis).take(range(k), axis=axis)
                lines = np.arange(R.shape[1 - axis])
                i, j = (index, lines[None, :]) if axis == 0 else (lines[:, None], index)
                keys = (start + i) * M + j
                found.append(keys[R[i, j] < below])
        return np.unique(np.concatenate(found))


def _likely(priced: _Priced, exact: Supplies, plan: Plan) -> Index:
    """Keys i M + j of a plan's pairs, of a spanning tree's, and of the cheapest in each row and column."""
    M = plan.shape[1]
    rows, cols, _ = staircase(*exact)
    cheap = priced.lowest(NEAREST, np.inf)
    return np.unique(np.concatenate([plan.rows * M + plan.cols, rows * M + cols, cheap]))
