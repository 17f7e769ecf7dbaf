"""Linear systems that change little from one to the next: a factorisation is kept as long as it helps.

Each system is solved by GMRES, with the inverse of an earlier matrix before it, so that a few products are enough.
Where they are not, the matrix at hand is factorised: in the plane by a sparse LU decomposition, whose ordering is found
once for each shape; on the line, and where that would be large, by the cycle of :mod:`jko.numerics.exchange`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu

from jko.numerics.exchange import Array, Exchange

FLAT, DEEP = (
    70_000,
    3_000,
)  # cells in the plane and in space up to which a sparse LU decomposition is faster
FEW, MANY = 8, 60  # products with an old inverse, and with that of the matrix itself
WORTH = 24  # products that an old inverse may cost more than a new one, before there is a new one
NOTHING = 1e-6  # of s: entries that a decomposition may leave out
SMALLEST = 1e-12  # relative: of the scale of an unknown

Operator = Callable[[Array], Array]
Scale = Callable[[], Array]


def right_gmres(
    product: Operator, right: Array, inverse: Operator, enough: float, most: int
) -> tuple[Array, int]:
    """Solve ``A x = right`` from zero by GMRES, x = sum of ``inverse(v)``: the solution and the number of products.

    It stops where the residual is ``enough`` times the right side in the norm of l2; ``most + 1`` products say that it
    is not.  Any inverse will do, also one that is not linear (Saad, SIAM J. Sci. Comput. 14, 1993).
    """
    size = float(np.linalg.norm(right))
    if not size > 0:
        return np.zeros_like(right), 0
    V, Z = [right / size], []
    R, g = np.zeros((most + 1, most)), np.zeros(most + 1)
    g[0] = size
    turns: list[tuple[float, float]] = []
    for k in range(most):
        Z.append(inverse(V[k]))
        w = product(Z[k])
        h = np.zeros(k + 2)
        for j in range(k + 1):
            h[j] = np.vdot(V[j], w)
            w = w - h[j] * V[j]
        h[k + 1] = np.linalg.norm(w)
        for j, (c, s) in enumerate(turns):
            h[j], h[j + 1] = c * h[j] + s * h[j + 1], c * h[j + 1] - s * h[j]
        length = float(np.hypot(h[k], h[k + 1])) or 1.0
        c, s = h[k] / length, h[k + 1] / length
        turns.append((c, s))
        R[: k + 1, k] = h[: k + 1]
        R[k, k] = length
        below = h[k + 1]
        g[k], g[k + 1] = c * g[k], -s * g[k]
        if abs(g[k + 1]) <= enough * size or not below > 0 or k + 1 == most:
            break
        V.append(w / below)
    y = np.linalg.solve(R[: k + 1, : k + 1], g[: k + 1])
    x = sum((a * z for a, z in zip(y, Z, strict=True)), np.zeros_like(right))
    return x, k + 1 if abs(g[k + 1]) <= enough * size else most + 1


class Reused:
    """Solves one system after another."""

    def __init__(self) -> None:
        self.inverse: Operator | None = None
        self.way: _Lined | _Ordered
        self.s: Array | float = 0.0  # of the matrix that was factorised
        self.made = self.wasted = 0

    def solve(
        self, M: Exchange, far: Operator | None, right: Array, scale: Scale, enough: float
    ) -> Array:
        """The solution of ``M x + far(x) = right``, unknowns of the size of ``scale()``."""
        if self.inverse is None:
            self.way = _way(M)
        product, r = self.way.product(M, far), self.way.enter(right)
        if self.inverse is not None and self.wasted < WORTH:
            x, products = right_gmres(product, r, self.inverse, enough, FEW)
            self.wasted += products - 1
            if products <= FEW:
                return self.way.leave(x)
        self.inverse = self.way.inverse(M, scale)
        self.s, self.made, self.wasted = M.s, self.made + 1, 0
        return self.way.leave(right_gmres(product, r, self.inverse, enough, MANY)[0])

    def smoothed(self, x: Array) -> Array:
        """``(I + A/s)^-1 x`` with the last ``s + A`` that was factorised; x as long as there was none."""
        if self.inverse is None:
            return x
        return self.way.leave(self.inverse(self.way.enter(self.s * x)))


def _way(M: Exchange) -> _Lined | _Ordered:
    """By LU where that is faster."""
    long = [n for n in M.s.shape if n > 1]
    if len(long) > 1 and M.s.size <= (FLAT if len(long) == 2 else DEEP):
        return _Ordered.of(M.s.shape, tuple(crossing.wraps for crossing in M.crossings))
    return _Lined()


class _Lined:
    """Cells as they are, and a multigrid cycle for the inverse, in the unknowns over their scale."""

    def enter(self, x: Array) -> Array:
        """As it is."""
        return x

    leave = enter

    def product(self, M: Exchange, far: Operator | None) -> Operator:
        """``M x + far(x)``."""
        return M if far is None else lambda x: M(x) + far(x)

    def inverse(self, M: Exchange, scale: Scale) -> Operator:
        """The cycle."""
        weights = scale()
        weights = np.maximum(weights / weights.max(), SMALLEST)
        scaled = M.scaled(weights)
        return lambda r: weights * scaled.cycle(r)


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Cells in an order that keeps the factors sparse, where the entries of M stand then, and LU for the inverse."""

    shape: tuple[int, ...]
    order: NDArray[np.intp]  # of the cells
    back: NDArray[np.intp]
    entries: NDArray[np.intp]  # of the entries: diagonal, then up and down of each axis
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, shape: tuple[int, ...], wraps: tuple[bool, ...]) -> _Ordered:
        """From the shape of the cells, and whether each axis wraps."""
        rows, columns = _places(shape, wraps)
        N = rows.max() + 1
        ones = np.where(rows == columns, 4.0 * len(shape), -1.0)
        like = csc_matrix((ones, (rows, columns)), shape=(N, N))
        order = np.argsort(_lu(like, "MMD_AT_PLUS_A").perm_c)
        place = np.argsort(order)
        rows, columns = place[rows], place[columns]
        entries = np.lexsort((rows, columns))
        starts = np.searchsorted(columns[entries], np.arange(N + 1))
        return cls(
            shape, order, place, entries, rows[entries].astype(np.int32), starts.astype(np.int32)
        )

    def enter(self, x: Array) -> Array:
        """In the order."""
        return x.ravel()[self.order]

    def leave(self, x: Array) -> Array:
        """Out of it."""
        return x[self.back].reshape(self.shape)

    def matrix(self, M: Exchange) -> csc_matrix:
        """M, in the order."""
        parts = [M.diagonal.ravel()]
        for up, down, _ in M.crossings:
            parts += [-up.ravel(), -down.ravel()]
        N, data = len(self.order), np.concatenate(parts)[self.entries]
        return csc_matrix((data, self.rows, self.starts), shape=(N, N))

    def product(self, M: Exchange, far: Operator | None) -> Operator:
        """``M x + far(x)``."""
        A = self.matrix(M)
        return A.dot if far is None else lambda x: A @ x + self.enter(far(self.leave(x)))

    def inverse(self, M: Exchange, scale: Scale) -> Operator:
        """By its decomposition; what next to nothing leaves, such as a vacuum, makes no fill-in."""
        A = self.matrix(M).copy()
        A.data[np.abs(A.data) < NOTHING * float(M.s.min())] = 0
        A.eliminate_zeros()
        solve: Operator = _lu(A, "NATURAL").solve
        return solve


def _lu(matrix: csc_matrix, order: str) -> SuperLU:
    matrix.sum_duplicates()
    options = {"SymmetricMode": True, "Equil": False}
    return splu(matrix, permc_spec=order, diag_pivot_thresh=0.0, panel_size=1, options=options)


def _places(
    shape: tuple[int, ...], wraps: tuple[bool, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the diagonal, then of what is lost upwards and downwards across each axis."""
    cells = np.arange(int(np.prod(shape))).reshape(shape)
    rows, columns = [cells.ravel()], [cells.ravel()]
    for k, round_ in enumerate(wraps):
        above = np.roll(cells, -1, k)
        inner = (*(slice(None),) * k, slice(None, None if round_ else -1))
        before, after = cells[inner].ravel(), above[inner].ravel()
        rows += [after, before]
        columns += [before, after]
    return np.concatenate(rows), np.concatenate(columns)
