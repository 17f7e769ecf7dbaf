"""Pricing: the reduced costs of all pairs, and what potentials prove (Kantorovich duality on atoms).

``W2^2 = max sum_i a_i alpha_i + sum_j b_j beta_j   subject to  alpha_i + beta_j <= |x_i - y_j|^2``

So potentials that satisfy all N M constraints bound W2^2 from below.  The constraints are checked in blocks by one
matrix product each; only pairs too close to call are recomputed from coordinate differences, since the expanded
square |x|^2 + |y|^2 - 2 x.y is wrong by rounding of the large terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from jko.metrics.couplings import BLOCK, Array, Index, all_costs, pair_costs, squares
from jko.metrics.expansions import EPS


class Pricing(NamedTuple):
    """The constraints that a pair of potentials violates.

    ``deficit[j] = max(0, max_i alpha_i + beta_j - |x_i - y_j|^2)``; ``beta - deficit`` is feasible.
    ``rows``, ``cols`` are pairs with a violation, the largest of its row or column within one of ``groups`` parts.
    ``unsure[j]``: what rounding may have hidden of a violation; ``beta - deficit - unsure`` is feasible for certain.
    """

    deficit: Array
    unsure: Array
    rows: Index
    cols: Index


class RoughCosts:
    """The reduced costs ``|x_i - y_j|^2 - alpha_i - beta_j`` by blocks of rows, wrong by at most ``error``."""

    def __init__(self, x: Array, y: Array, alpha: Array, beta: Array) -> None:
        centre = y.mean(0)
        x, y = x - centre, y - centre
        left, right = squares(x) - alpha, squares(y) - beta
        self.left = np.column_stack([x, left, np.ones(len(x))])
        self.right = np.column_stack([-2 * y, np.ones(len(y)), right])
        scale = max(
            np.abs(left).max(), np.abs(right).max(), (x * x).sum(1).max(), (y * y).sum(1).max()
        )
        self.error = 4 * (x.shape[1] + 4) * EPS * float(scale)

    def all(self) -> Array:
        """All of them, (N, M)."""
        # by torch, whose number of threads a caller can set
        return np.asarray((torch.from_numpy(self.left) @ torch.from_numpy(self.right).T).numpy())

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """First row and reduced costs (rows, M) of every block."""
        height = max(1, BLOCK // len(self.right))
        for start in range(0, len(self.left), height):
            # by torch, whose number of threads a caller can set
            block = torch.from_numpy(self.left[start : start + height])
            yield start, (block @ torch.from_numpy(self.right).T).numpy()


def price(x: Array, y: Array, alpha: Array, beta: Array, groups: int = 8) -> Pricing:
    """Check ``alpha_i + beta_j <= |x_i - y_j|^2`` for all pairs.

    Parameters
    ----------
    x, y : (N, dim), (M, dim)
        Atoms.
    alpha, beta : (N,), (M,)
        Potentials.
    groups
        How many violated pairs to report for each row and each column, at most.
    """
    M = len(y)
    reduced = RoughCosts(x, y, alpha, beta)
    sure = -reduced.error
    deficit, unsure, found = np.zeros(M), np.zeros(M), []
    lowest, where = np.full((groups, M), sure), np.full((groups, M), -1)
    for block, (start, R) in enumerate(reduced.blocks()):
        best = R.argmin(0)
        value = R[best, np.arange(M)]
        group = block % groups
        better = value < lowest[group]
        lowest[group][better], where[group][better] = value[better], start + best[better]
        if better.any():
            found.append(_lowest_of_rows(R, start, sure, groups))
        doubtful = np.flatnonzero((value >= sure) & (value <= reduced.error))
        if len(doubtful):
            i, column = np.nonzero(np.abs(R[:, doubtful]) <= reduced.error)
            i, j = start + i, doubtful[column]
            exact = pair_costs(x, y, i, j) - alpha[i] - beta[j]
            np.maximum.at(deficit, j, -exact)
            np.maximum.at(unsure, j, rounding(x.shape[1], exact, alpha[i], beta[j]))
            low = exact < -4 * EPS * (np.abs(alpha[i]) + np.abs(beta[j]))
            found.append((i[low], j[low]))
    part, j = np.nonzero(where >= 0)
    found.append((where[part, j], j))
    deficit = np.maximum(deficit, np.where(where >= 0, -lowest, 0.0).max(0))
    np.maximum(unsure, np.where((where >= 0).any(0), reduced.error, 0.0), out=unsure)
    rows, cols = (np.concatenate(part) for part in zip(*found, strict=True))
    return Pricing(deficit, unsure, rows.astype(np.int64), cols.astype(np.int64))


def _lowest_of_rows(R: Array, start: int, below: float, groups: int) -> tuple[Index, Index]:
    """The lowest entry of every row in each group of columns, where it is under ``below``."""
    rows, cols, every = [], [], np.arange(len(R))
    width = -(-R.shape[1] // groups)
    for first in range(0, R.shape[1], width):
        part = R[:, first : first + width]
        best = part.argmin(1)
        low = part[every, best] < below
        rows.append(start + every[low])
        cols.append(first + best[low])
    return np.concatenate(rows), np.concatenate(cols)


def costs_for(x: Array, y: Array, limit: float) -> tuple[Array, float]:
    """``|y_i - x_j|^2``, (N, N), and how wrong they may be: made by a product of matrices where that is good enough.

    A plan that is optimal for costs wrong by ``error`` is optimal up to ``2 error``.  Where this is not far below the
    limit the costs are made from coordinate differences, and each is right to its last digits.
    """
    rough = RoughCosts(y, x, np.zeros(len(x)), np.zeros(len(y)))
    if 20 * rough.error <= limit:
        return rough.all(), rough.error
    return all_costs(y, x), 0.0


def rounding(dim: int, reduced: Array, alpha: Array, beta: Array) -> Array:
    """How wrong ``reduced`` costs ``|x_i - y_j|^2 - alpha_i - beta_j`` can be, made from coordinate differences."""
    potentials = np.abs(alpha) + np.abs(beta)
    return np.asarray(EPS * ((dim + 4) * (np.abs(reduced) + potentials) + 2 * potentials))
