"""The screened bound: how far the index coupling is from optimal, by one potential and products in single precision.

``violation_ij = |x_i - y_i|^2/2 - |x_j - y_i|^2/2 + p_i - p_j <= 0`` for all i, j proves that no coupling is cheaper
than x_i <-> y_i, and ``cost - W2^2 <= 2 sum_i m_i max_j violation_ij`` for every p: it is the duality gap.  The maxima
cost N^2 products of float32 numbers, to which a bound of their rounding is added; only pairs that this leaves in doubt
are computed again, from coordinate differences.  So what is handed back is never below the exact gap.

Rows i are taken in cells of neighbours, from an origin c of each: with ``r_i = y_i - c``, ``z_j = x_j - c``,

``violation_ij = a_i + r_i . z_j - b_j,   a_i = (|x_i - y_i|^2 - |r_i|^2)/2 + p_i - p_c,   b_j = |z_j|^2/2 + p_j - p_c``

*Rounding.*  A sum of K products, in any order, is wrong by at most ``K u / (1 - K u)`` times the sum of their sizes,
u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); that r, z, b were rounded to
float32 before makes it K + 2.  Here K = dim + 1, and ``|r_i| |z_j| <= |r_i|^2/2 + |z_j|^2/2``: a share of the row and
a share of the column, each added before the maximum is taken, which then is one of upper bounds.  They are small where
the origin is near.

*Pruning.*  ``violation_ij <= max a + rho |z_j| - b_j``, rho the largest ``|r_i|`` of the cell: where moves are short
next to the cloud, most columns are too far for any row of a cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from jko.metrics.couplings import BLOCK, Array, Index, pair_costs, squares
from jko.metrics.expansions import EPS

CELL = 1024  # atoms of a cell, at most
FIRST = 64  # rows that are looked at first
CLOSE = 4096  # pairs of a row, in the mean, that are computed again at most
SPARE = 8  # roundings counted beyond the dim of a product
TINY = 2.0**-124  # what a float32 number loses where it underflows, with room


class Screening(NamedTuple):
    """``cost - W2^2 <= bound``, all rounding counted; ``seen`` is what some longest moves add to it."""

    bound: float
    seen: float


def screened(x: Array, y: Array, m: Array, potential: Array, limit: float = math.inf) -> Screening:
    """An upper bound of ``cost - W2^2`` by a potential; inf as soon as it exceeds ``limit``.

    Parameters
    ----------
    x, y : (N, dim)
        New atoms and the old atoms they came from; squares of their coordinates are numbers.
    m : (N,)
        Masses.
    potential : (N,)
        Any numbers p.  The step's own ``tau phi(x_j)`` is a good one, so are parts of it, and 0 where moves are short.
    limit
        From where on the bound is of no use.
    """
    N = len(m)
    own = pair_costs(x, y, np.arange(N), np.arange(N))
    cells = [rows[np.argsort(-own[rows], kind="stable")] for rows in parts(y, CELL)]
    cells.sort(key=lambda rows: -float(own[rows[0]]))  # what is not optimal shows in long moves
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # a potential may be of another scale
        for rows in cells:
            cell, start, height = Cell(x, y, own, potential, rows), 0, FIRST
            while start < len(rows):
                some = slice(start, start + height)
                total += 2 * float(m[rows[some]] @ cell.largest(some))
                if not total <= limit:
                    return Screening(math.inf, total)
                start, height = start + height, 2 * height
    return Screening(total * (1 + N * EPS), total)


def parts(points: Array, size: int) -> list[Index]:
    """The indices of at most ``size`` neighbours each: the cloud is halved at medians of its widest coordinate."""
    todo, done = [np.arange(len(points))], []
    while todo:
        part = todo.pop()
        if len(part) <= size:
            done.append(part)
            continue
        column = points[part, int(np.ptp(points[part], axis=0).argmax())]
        order = part[np.argpartition(column, len(part) // 2)]
        todo += [order[: len(part) // 2], order[len(part) // 2 :]]
    return done


class Cell:
    """Some rows of the violations over ``unit^2``, without the columns that pruning takes away.

    ``left[i] . right[j] + offset[i]`` is at least the violation, and above it by at most ``2 (share[i] + shares[j])``.
    The first columns are the rows' own.
    """

    def __init__(self, x: Array, y: Array, own: Array, p: Array, rows: Index) -> None:
        """About the one of the rows' old atoms that is nearest to their mean."""
        self.x, self.y, self.own, self.p, self.rows = x, y, own, p, rows
        dim, (u, dtype) = x.shape[1], _precision()
        first = rows[squares(y[rows] - y[rows].mean(0)).argmin()]
        r, z, rise = y[rows] - y[first], x - y[first], p - p[first]
        r2, z2 = squares(r), squares(z)
        a, b = (own[rows] - r2) / 2 + rise[rows], z2 / 2 + rise
        gamma = (dim + SPARE) * u / (1 - (dim + SPARE) * u)
        share = gamma * r2 / 2 + (dim + SPARE) * EPS * (own[rows] + r2 + np.abs(rise[rows]))
        shares = gamma * (z2 / 2 + np.abs(b))
        near = (a + share).max() + math.sqrt(r2.max()) * np.sqrt(z2) > b - shares
        near[rows] = False
        self.columns = np.concatenate([rows, np.flatnonzero(near)])
        z2, b, shares = z2[self.columns], b[self.columns], shares[self.columns]
        self.unit = _root_above(max(float(v.max()) for v in (r2, z2, np.abs(b))))
        self.left = torch.ones(len(rows), dim + 1, dtype=dtype)
        self.left[:, :dim] = torch.from_numpy(r / self.unit)
        self.right = torch.empty(len(b), dim + 1, dtype=dtype)
        self.right[:, :dim] = torch.from_numpy(z[self.columns] / self.unit)
        self.right[:, dim] = torch.from_numpy((shares - b) / self.unit**2)
        self.share = share / self.unit**2 + (dim + SPARE) * TINY
        self.shares, self.offset = shares / self.unit**2, a / self.unit**2 + self.share

    def largest(self, some: slice) -> Array:
        """Upper bounds of ``max(0, max_j violation_ij)`` for some of the rows."""
        offset, width = self.offset[some], max(len(self.rows), BLOCK // len(self.offset[some]))
        top = np.full(len(offset), -np.inf)
        for start in range(0, len(self.columns), width):
            block = self.left[some] @ self.right[start : start + width].T
            if start == 0:
                block.diagonal(some.start).fill_(-math.inf)  # the own pair
            np.maximum(top, block.amax(1).numpy(), out=top)
        bound = np.maximum(0.0, top + offset) * self.unit**2
        doubt, height = np.flatnonzero(bound), max(1, BLOCK // len(self.columns))
        for start in range(0, len(doubt), height):
            part = doubt[start : start + height]
            i, j = self._close(some.start + part)
            if len(i) <= CLOSE * len(part):
                bound[part] = 0.0
                np.maximum.at(bound, part[i], self._violations(some.start + part[i], j))
        return bound

    def _close(self, rows: Index) -> tuple[Index, Index]:
        """The pairs among which the largest violation of each of some rows is, if it is positive."""
        block = self.left[rows] @ self.right.T
        block[np.arange(len(rows)), rows] = -math.inf
        top, where = (v.numpy() for v in block.max(1))
        sure = top - 2 * (self.share[rows] + self.shares[where])
        return np.nonzero(block.numpy() > np.maximum(sure, -self.offset[rows])[:, None])

    def _violations(self, rows: Index, columns: Index) -> Array:
        """Upper bounds of the violations of some pairs, from coordinate differences."""
        i, j = self.rows[rows], self.columns[columns]
        own, other, rise = self.own[i], pair_costs(self.x, self.y, j, i), self.p[i] - self.p[j]
        rounding = EPS * ((self.x.shape[1] + SPARE) * (own + other) / 2 + 4 * np.abs(rise))
        return (own - other) / 2 + rise + rounding


def _precision() -> tuple[float, torch.dtype]:
    """The rounding of a product of matrices and their type: double where float32 products may be of less."""
    if torch.get_float32_matmul_precision() == "highest":
        return 2.0**-24, torch.float32
    return EPS / 2, torch.float64


def _root_above(square: float) -> float:
    """A power of two whose square is at least the number."""
    return math.ldexp(1.0, (math.frexp(square)[1] + 1) // 2)
