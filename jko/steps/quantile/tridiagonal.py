"""Symmetric positive definite matrices ``T + A A^T`` with T tridiagonal and A of few columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpttrf, dpttrs

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """``T + A A^T``: diagonal (n,), off-diagonal (n - 1,), and the factor A (n, r) or None."""

    diagonal: Array
    off: Array
    factor: Array | None = None

    def between(self, first: int, last: int) -> Tridiagonal:
        """Rows and columns first, ..., last - 1."""
        factor = None if self.factor is None else self.factor[first:last]
        return Tridiagonal(self.diagonal[first:last], self.off[first : last - 1], factor)

    def stiffer(self, springs: Array) -> Tridiagonal:
        """With springs (n - 1,) between neighbours: the form gains ``sum springs_i (v_{i+1} - v_i)^2``."""
        diagonal = self.diagonal.copy()
        diagonal[:-1] += springs
        diagonal[1:] += springs
        return Tridiagonal(diagonal, self.off - springs, self.factor)

    def __matmul__(self, v: Array) -> Array:
        product = self.diagonal * v
        product[:-1] += self.off * v[1:]
        product[1:] += self.off * v[:-1]
        return product if self.factor is None else product + self.factor @ (self.factor.T @ v)

    def form(self, v: Array) -> float:
        """``v . (T + A A^T) v``."""
        along = 0.0 if self.factor is None else float(np.square(v @ self.factor).sum())
        return float(self.diagonal @ (v * v)) + 2 * float(self.off @ (v[1:] * v[:-1])) + along

    def solve(self, right: Array) -> Array | None:
        """The solution for one right side (n,), or None where T is not positive definite.

        Woodbury, ``(T + A A^T)^-1 = T^-1 - T^-1 A (1 + A^T T^-1 A)^-1 A^T T^-1``; with more columns than rows the
        full matrix is factorised instead.
        """
        if len(self.diagonal) == 1:  # LAPACK wants an off-diagonal
            whole = self.form(np.ones(1))
            return right / whole if whole > 0 else None
        pivots, ratios, failed = dpttrf(self.diagonal, self.off)
        if failed:
            return None
        A = self.factor
        if A is None:
            return dpttrs(pivots, ratios, right)[0]
        if A.shape[1] > A.shape[0]:
            full = np.diag(self.diagonal) + np.diag(self.off, 1) + np.diag(self.off, -1) + A @ A.T
            return cho_solve(cho_factor(full), right)
        both = dpttrs(pivots, ratios, np.column_stack([right, A]))[0]
        plain, spread = both[:, 0], both[:, 1:]
        small = A.T @ spread
        small.flat[:: len(small) + 1] += 1
        return plain - spread @ cho_solve(cho_factor(small), A.T @ plain)
