"""Pricing in low dimension: most pairs are seen to be allowed by the boxes that they lie in.

With ``phi = (|x|^2 - alpha) / 2`` and ``psi = (|y|^2 - beta) / 2`` a pair is allowed where ``x.y <= phi(x) + psi(y)``.
In a box with centre c and half widths h let ``phi >= p + g.(x - c)`` at its atoms, where g is a guess of the gradient
of phi, which is where the atoms go; and ``psi >= s + q.(y - d)`` in a box with centre d and half widths w.  Then

``x.y - phi - psi <= c.d - p - s + sum_k max over e = w_k, -w_k of (c_k - q_k) e + h_k |d_k + e - g_k|``,

and where that is negative no pair of the two boxes is looked at.  Any guess gives the same answer, a good one sooner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index
from jko.metrics.expansions import EPS
from jko.metrics.halving import Halving
from jko.metrics.pricing import Pricing
from jko.numerics.compiled import njit

LEAF = 4  # atoms of a box, at least
SOME = 4  # violated pairs that are reported for each row and each column


class Boxes(NamedTuple):
    """The boxes of all cells of a cloud, those after l halvings from 2^l - 1 on, and the affine bounds in them."""

    order: Index
    start: Index
    centre: Array
    half: Array
    slope: Array
    least: Array

    @classmethod
    def of(cls, x: Array, phi: Array, slope: Array) -> Boxes:
        """Boxes of the atoms x (N, dim) with ``phi`` (N,), whose gradient is about ``slope`` (N, dim)."""
        order, bounds = Halving.of(x, LEAF)
        x, phi, slope = x[order], phi[order], slope[order]
        parts = []
        for level in bounds:
            start, count = level[:-1], np.diff(level)
            low, high = np.minimum.reduceat(x, start), np.maximum.reduceat(x, start)
            centre = (low + high) / 2
            half = np.maximum(high - centre, centre - low)
            mean = np.add.reduceat(slope, start) / count[:, None]
            offset = x - np.repeat(centre, count, axis=0)
            rest = phi - np.einsum("nk,nk->n", offset, np.repeat(mean, count, axis=0))
            parts.append((start, centre, half, mean, np.minimum.reduceat(rest, start)))
        start, *fields = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(order, np.append(start, len(x)), *fields)


def price_in_boxes(
    x: Array, y: Array, alpha: Array, beta: Array, forth: Array, back: Array
) -> Pricing:
    """Check ``alpha_i + beta_j <= |x_i - y_j|^2`` for all pairs, as :func:`jko.metrics.pricing.price` does.

    Parameters
    ----------
    x, y : (N, dim), (M, dim)
        Atoms.
    alpha, beta : (N,), (M,)
        Potentials.
    forth, back : (N, dim), (M, dim)
        About where each atom of x goes, and where each of y comes from.
    """
    centre = y.mean(0)
    X, Y, G, Q = (points - centre for points in (x, y, forth, back))
    squares = [(points * points).sum(1) for points in (X, Y, G, Q)]
    phi, psi = (squares[0] - alpha) / 2, (squares[1] - beta) / 2
    size = max(float(np.abs(terms).max()) for terms in (*squares, alpha, beta))
    rows, cols = Boxes.of(X, phi, G), Boxes.of(Y, psi, Q)
    room = 32 * (x.shape[1] + 4) * EPS * size
    found = _violated(x, y, alpha, beta, *rows, *cols, room)
    deficit, safe, best_row, best_col = found
    (i, p), (q, j) = np.nonzero(best_row >= 0), np.nonzero(best_col.T >= 0)
    pairs = np.unique(np.concatenate([i * len(y) + best_row[i, p], best_col[j, q] * len(y) + j]))
    return Pricing(deficit, safe - deficit, pairs // len(y), pairs % len(y))


@njit(cache=True)
def _noted(value: float, index: int, values: Array, indices: Index) -> None:  # pragma: no cover
    """Put a value into a short list of lowest values, in order."""
    k = len(values) - 1
    if value >= values[k]:
        return
    while k > 0 and values[k - 1] > value:
        values[k], indices[k] = values[k - 1], indices[k - 1]
        k -= 1
    values[k], indices[k] = value, index


@njit(cache=True)
def _violated(
    x: Array,
    y: Array,
    alpha: Array,
    beta: Array,
    order: Index,
    start: Index,
    c: Array,
    h: Array,
    g: Array,
    p: Array,
    other: Index,
    begin: Index,
    d: Array,
    w: Array,
    q: Array,
    s: Array,
    room: float,
) -> tuple[Array, Array, Index, Index]:  # pragma: no cover
    """Deficits, deficits that are safe from rounding, and the most violated pairs of each row and column."""
    N, M, dim = len(x), len(y), x.shape[1]
    deficit, safe = np.zeros(M), np.zeros(M)
    row_value, row_best = np.zeros((N, SOME)), np.full((N, SOME), -1)
    col_value, col_best = np.zeros((M, SOME)), np.full((M, SOME), -1)
    stack, leaves = np.empty(64, np.int64), (len(begin) - 1) // 2
    for A in range((len(start) - 1) // 2, len(start) - 1):
        stack[0], waiting = 0, 1
        while waiting:
            waiting -= 1
            B = stack[waiting]
            bound = -p[A] - s[B]
            for k in range(dim):
                slope, edge = c[A, k] - q[B, k], d[B, k] - g[A, k]
                above = slope * w[B, k] + h[A, k] * abs(edge + w[B, k])
                below = -slope * w[B, k] + h[A, k] * abs(edge - w[B, k])
                bound += c[A, k] * d[B, k] + max(above, below)
            if bound < -room:
                continue
            if leaves > B:  # it has halves
                stack[waiting], stack[waiting + 1] = 2 * B + 1, 2 * B + 2
                waiting += 2
                continue
            for m in range(begin[B], begin[B + 1]):
                j = other[m]
                for n in range(start[A], start[A + 1]):
                    i = order[n]
                    reduced = 0.0
                    for k in range(dim):
                        reduced += (x[i, k] - y[j, k]) ** 2
                    reduced = reduced - alpha[i] - beta[j]
                    large = abs(alpha[i]) + abs(beta[j])
                    wrong = EPS * ((dim + 4) * (abs(reduced) + large) + 2 * large)
                    if reduced < wrong:
                        safe[j] = max(safe[j], wrong - reduced)
                        deficit[j] = max(deficit[j], -reduced)
                        if reduced < -4 * EPS * large:
                            _noted(reduced, j, row_value[i], row_best[i])
                            _noted(reduced, i, col_value[j], col_best[j])
    return deficit, safe, row_best, col_best
