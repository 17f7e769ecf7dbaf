"""The screened bound: how far the index coupling is from optimal, by one potential and products in single precision.

``violation_ij = |x_i - y_i|^2/2 - |x_j - y_i|^2/2 + p_i - p_j <= 0`` for all i, j proves that no coupling is cheaper
than x_i <-> y_i, and ``cost - W2^2 <= 2 sum_i m_i max_j violation_ij`` for every p: it is the duality gap.  The maxima
cost N^2 products of float32 numbers, to which a bound of their rounding is added; only pairs that this leaves in doubt
are computed again, from coordinate differences.  So what is handed back is never below the exact gap.

Rows i are taken in parts of neighbours, from an origin c of each: with ``r_i = y_i - c``, ``z_j = x_j - c``,

``violation_ij = a_i + r_i . z_j - b_j,   a_i = (|x_i - y_i|^2 - |r_i|^2)/2 + p_i - p_c,   b_j = |z_j|^2/2 + p_j - p_c``

*Rounding.*  A sum of K products, in any order, is wrong by at most ``K u / (1 - K u)`` times the sum of their sizes,
u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); that r, z, b were rounded to
float32 before makes it K + 2.  Here K = dim + 1, and ``|r_i| |z_j| <= |r_i|^2/2 + |z_j|^2/2``: a share of the row and
a share of the column, each added before the maximum is taken, which then is one of upper bounds.  They are small where
the origin is near.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jko.metrics.couplings import Array, Index, pair_costs, squares
from jko.metrics.expansions import EPS

HEIGHT, WIDTH = 256, 1024  # of a block of pairs: what fits in the cache
PART = 2048  # neighbours that share an origin, at most
FIRST = 64  # rows that are looked at first
CLOSE = 4096  # pairs of a row, in the mean, that are computed again at most
SPARE = 8  # roundings counted beyond the dim of a product
OTHER = 1e100  # times the squares of a cloud: a potential that rises by more is of another scale
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
    with np.errstate(over="ignore", invalid="ignore"):
        unit = _unit(x, y, potential)
    if math.isinf(unit):
        return Screening(math.inf, math.inf)
    x, y, p = x / unit, y / unit, potential / unit / unit
    own = pair_costs(x, y, np.arange(N), np.arange(N))
    groups = _in_turn(y, own)
    x, y, own, p, m = (v[np.concatenate(groups)] for v in (x, y, own, p, m))
    room = torch.empty(HEIGHT * WIDTH, dtype=_precision()[1])
    total, start = 0.0, 0
    for end in np.cumsum([len(rows) for rows in groups]).tolist():
        largest = Violations(x, y, own, p, start, end, room).largest()
        total += 2 * unit * unit * float(m[start:end] @ largest)
        if not total <= limit:
            return Screening(math.inf, total)
        start = end
    return Screening(total * (1 + N * EPS), total)


def _in_turn(y: Array, own: Array) -> list[Index]:
    """The rows in parts, the longest moves first: what is not optimal shows there."""
    groups = [rows[np.argsort(-own[rows], kind="stable")] for rows in parts(y, PART)]
    groups.sort(key=lambda rows: -float(own[rows[0]]))
    groups[:1] = [groups[0][:FIRST], groups[0][FIRST:]]
    return [rows for rows in groups if len(rows)]


def _unit(x: Array, y: Array, p: Array) -> float:
    """A power of two: coordinates over it and p over its square differ by at most one; inf where there is none."""
    apart = 2 * float(np.max([np.abs(cloud - y[0]).max() for cloud in (x, y)]))
    square, rise = x.shape[1] * apart * apart, float(np.ptp(p))
    if not rise <= OTHER * square or math.isinf(square):
        return math.inf
    return math.ldexp(1.0, (math.frexp(max(square, rise))[1] + 1) // 2)


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


class Violations:
    """The rows ``start <= i < end`` of the violations, of clouds whose coordinates and potential differ by at most one.

    ``left[i] . right[j] + offset[i]`` is at least the violation, and above it by at most ``2 (share[i] + shares[j])``.
    """

    def __init__(
        self, x: Array, y: Array, own: Array, p: Array, start: int, end: int, room: Tensor
    ) -> None:
        """About the one of the rows' old atoms that is nearest to their mean; ``room`` is for blocks of products."""
        self.x, self.y, self.own, self.p, self.start, self.room = x, y, own, p, start, room
        rows, spare, u = slice(start, end), x.shape[1] + SPARE, _precision()[0]
        first = start + int(squares(y[rows] - y[rows].mean(0)).argmin())
        self.origin, self.level = y[first], p[first]
        r, rise = y[rows] - self.origin, p[rows] - self.level
        r2 = squares(r)
        self.gamma = spare * u / (1 - spare * u)
        self.share = self.gamma * r2 / 2 + spare * TINY
        self.share += spare * EPS * (own[rows] + r2 + np.abs(rise))  # of a itself
        self.offset = (own[rows] - r2) / 2 + rise + self.share
        self.left = torch.ones(len(r), x.shape[1] + 1, dtype=room.dtype)
        self.left[:, :-1] = torch.from_numpy(r)

    def largest(self) -> Array:
        """Upper bounds of ``max(0, max_j violation_ij)``, (R,)."""
        R = len(self.left)
        top = np.full(R, -np.inf)
        for rows, _, block, _ in self._blocks(np.arange(R)):
            np.maximum(top[rows], block.amax(1).numpy(), out=top[rows])
        bound = np.maximum(0.0, top + self.offset)
        doubt = np.flatnonzero(bound)
        if len(doubt):
            i, j = self._close(doubt)
            if len(i) <= CLOSE * len(doubt):
                bound[doubt] = 0.0
                np.maximum.at(bound, i, self._violations(i, j))
        return bound

    def _blocks(self, chosen: Index) -> Iterator[tuple[slice, int, Tensor, Array]]:
        """Which of the chosen rows, the first j, ``left . right`` without own pairs, and the shares of the columns."""
        left, own = self.left[chosen], self.start + chosen
        for start in range(0, len(self.x), WIDTH):
            z = self.x[start : start + WIDTH] - self.origin
            half = squares(z) / 2
            b = half + (self.p[start : start + WIDTH] - self.level)
            shares = self.gamma * (half + np.abs(b))
            right = torch.empty(len(z), left.shape[1], dtype=left.dtype)
            right[:, :-1], right[:, -1] = torch.from_numpy(z), torch.from_numpy(shares - b)
            inside = (own >= start) & (own < start + len(z))
            for low in range(0, len(own), HEIGHT):
                rows = slice(low, low + HEIGHT)
                block = self.room[: len(own[rows]) * len(z)].view(-1, len(z))
                torch.mm(left[rows], right.T, out=block)
                if (some := np.flatnonzero(inside[rows])).size:
                    block.numpy()[some, own[rows][some] - start] = -np.inf
                yield rows, start, block, shares

    def _close(self, chosen: Index) -> tuple[Index, Index]:
        """Pairs among which is the largest violation of each of some rows, if it is positive."""
        sure, found = -self.offset[chosen], []
        for rows, start, block, shares in self._blocks(chosen):
            top, where = (v.numpy() for v in block.max(1))
            lower = top - 2 * (self.share[chosen[rows]] + shares[where])
            np.maximum(sure[rows], lower, out=sure[rows])
            i, j = np.nonzero(block.numpy() > sure[rows, None])
            found.append((chosen[rows][i], start + j))
        i, j = (np.concatenate(side) for side in zip(*found, strict=True))
        return i, j

    def _violations(self, rows: Index, j: Index) -> Array:
        """Upper bounds of the violations of some pairs, from coordinate differences."""
        i = self.start + rows
        own, other, rise = self.own[i], pair_costs(self.x, self.y, j, i), self.p[i] - self.p[j]
        rounding = EPS * ((self.x.shape[1] + SPARE) * (own + other) / 2 + 4 * np.abs(rise))
        return (own - other) / 2 + rise + rounding


def _precision() -> tuple[float, torch.dtype]:
    """The rounding of a product of matrices and their type: double where float32 products may be of less."""
    if torch.get_float32_matmul_precision() == "highest":
        return 2.0**-24, torch.float32
    return EPS / 2, torch.float64
