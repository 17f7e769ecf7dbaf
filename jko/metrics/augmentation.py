"""Mass sent along shortest ways, from potentials that are nearly optimal already (compiled).

Potentials that are feasible on all arcs, and a flow on arcs that are tight, are optimal for the mass that flows.  An
atom of x that has mass left looks for the nearest y that lacks some, in reduced costs; mass on the way is sent on to
other partners; and the potentials are raised by what the way was longer than (Hungarian method; Jonker and Volgenant,
Computing 38, 1987).  Where potentials are good the ways are short, and the work is local.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, pair_costs, sums
from jko.numerics.compiled import njit


class Arcs(NamedTuple):
    """Arcs in order of their rows: row i has those from ``first[i]`` on; and ``by_col``, in order of their columns."""

    rows: Index
    cols: Index
    costs: Array
    first: Index
    by_col: Index
    first_col: Index

    @classmethod
    def of(cls, x: Array, y: Array, keys: Index) -> Arcs:
        """The pairs with sorted keys i M + j; every atom has one."""
        N, M = len(x), len(y)
        rows, cols = keys // M, keys % M
        by_col = np.argsort(cols, kind="stable")
        first = np.searchsorted(rows, np.arange(N + 1))
        first_col = np.searchsorted(cols[by_col], np.arange(M + 1))
        return cls(rows, cols, pair_costs(x, y, rows, cols), first, by_col, first_col)

    def feasible(self, beta: Array) -> tuple[Array, Array]:
        """The largest ``alpha`` that ``beta`` allows on the arcs, and the largest ``beta`` that this allows."""
        open_ = self.costs - beta[self.cols]
        alpha = np.minimum.reduceat(open_, self.first[:-1])
        slack = (open_ - alpha[self.rows])[self.by_col]
        return alpha, beta + np.minimum.reduceat(slack, self.first_col[:-1])

    def completed(
        self, a: Index, b: Index, flow: Index, alpha: Array, beta: Array, budget: int
    ) -> bool:
        """Send all mass that ``flow`` (K,) has not sent, in place; False if that would look at more arcs than that."""
        excess, lack = (
            m - sums(index, flow.astype(np.float64), len(m)).astype(np.int64)
            for index, m in ((self.rows, a), (self.cols, b))
        )
        return bool(_augmented(*self, flow, alpha, beta, excess, lack, budget))


@njit(cache=True)
def _augmented(
    rows: Index,
    cols: Index,
    costs: Array,
    first: Index,
    by_col: Index,
    first_col: Index,
    flow: Index,
    alpha: Array,
    beta: Array,
    excess: Index,
    lack: Index,
    budget: int,
) -> bool:  # pragma: no cover
    """Send the excess of all rows, one shortest way after the other; whether the budget sufficed.

    ``rows_seen`` are reached at ``far_row`` by the arc ``from_col``, ``cols_seen`` at ``far`` by ``from_row``.
    """
    N, M = len(excess), len(lack)
    far, far_row, done = np.full(M, np.inf), np.full(N, np.inf), np.zeros(M, np.bool_)
    from_row, from_col = np.full(M, -1), np.full(N, -1)
    rows_seen, cols_seen = np.empty(N, np.int64), np.empty(M, np.int64)
    heap = np.empty(len(cols) + 1), np.empty(len(cols) + 1, np.int64)
    for source in range(N):
        while excess[source] > 0:
            far_row[source], from_col[source], rows_seen[0] = 0.0, -1, source
            reached, touched, waiting, looked, bound, target = 1, 0, 0, 0, np.inf, -1
            while True:
                while looked < reached:
                    i = rows_seen[looked]
                    looked += 1
                    budget -= first[i + 1] - first[i]
                    base = far_row[i] - alpha[i]
                    for k in range(first[i], first[i + 1]):
                        j = cols[k]
                        length = base + (costs[k] - beta[j])
                        if length < bound and length < far[j] and not done[j]:
                            if far[j] == np.inf:
                                cols_seen[touched] = j
                                touched += 1
                            far[j], from_row[j] = length, k
                            if lack[j] > 0:
                                bound, target = length, j
                            else:
                                _push(heap, waiting, length, j)
                                waiting += 1
                j = -1
                while waiting and heap[0][0] < bound and j < 0:
                    length, j = heap[0][0], heap[1][0]
                    waiting -= 1
                    _pop(heap, waiting)
                    if done[j] or length > far[j]:
                        j = -1
                if j < 0:
                    break
                done[j] = True
                for q in range(first_col[j], first_col[j + 1]):
                    k = by_col[q]
                    if flow[k] > 0 and far_row[rows[k]] == np.inf:
                        far_row[rows[k]], from_col[rows[k]] = length, k
                        rows_seen[reached] = rows[k]
                        reached += 1
            for i in rows_seen[:reached]:
                alpha[i] += bound - min(far_row[i], bound) if target >= 0 else 0.0
                far_row[i] = np.inf
            for j in cols_seen[:touched]:
                beta[j] -= bound - min(far[j], bound) if target >= 0 else 0.0
                far[j], done[j] = np.inf, False
            if target < 0 or budget < 0:
                return False
            amount, j = min(excess[source], lack[target]), target
            while from_col[rows[from_row[j]]] >= 0:
                k = from_col[rows[from_row[j]]]
                amount, j = min(amount, flow[k]), cols[k]
            j = target
            flow[from_row[j]] += amount
            while from_col[rows[from_row[j]]] >= 0:
                k = from_col[rows[from_row[j]]]
                flow[k] -= amount
                j = cols[k]
                flow[from_row[j]] += amount
            excess[source] -= amount
            lack[target] -= amount
    return True


@njit(cache=True)
def _push(
    heap: tuple[Array, Index], size: int, value: float, index: int
) -> None:  # pragma: no cover
    """Put an entry into a binary heap of ``size`` entries."""
    values, indices, k = heap[0], heap[1], size
    while k > 0 and values[(k - 1) >> 1] > value:
        values[k], indices[k] = values[(k - 1) >> 1], indices[(k - 1) >> 1]
        k = (k - 1) >> 1
    values[k], indices[k] = value, index


@njit(cache=True)
def _pop(heap: tuple[Array, Index], size: int) -> None:  # pragma: no cover
    """Take the least entry out of a binary heap; ``size`` are left."""
    values, indices, k = heap[0], heap[1], 0
    value, index = values[size], indices[size]
    while 2 * k + 1 < size:
        child = 2 * k + 1
        if child + 1 < size and values[child + 1] < values[child]:
            child += 1
        if values[child] >= value:
            break
        values[k], indices[k] = values[child], indices[child]
        k = child
    values[k], indices[k] = value, index
