"""Symmetric matrices on nodes with two unknowns each: blocks, springs between neighbours, and a low-rank factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cho_solve_banded, cholesky_banded

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Banded:
    """``T + A A^T`` on (H_0, theta_0, H_1, ...): ``bands`` (3, 2 N) are the lower bands of T, A is (2 N, r)."""

    bands: Array
    factor: Array | None

    @classmethod
    def of(cls, blocks: Array, springs: Array, factor: Array | None) -> Banded:
        """Blocks (N, 2, 2), and springs (N - 1,) between neighbouring theta."""
        bands = np.zeros((3, 2 * len(blocks)))
        bands[0, 0::2], bands[0, 1::2] = blocks[:, 0, 0], blocks[:, 1, 1]
        bands[1, 0::2] = blocks[:, 0, 1]
        return cls(bands, factor).stiffer(springs)

    def stiffer(self, springs: Array) -> Banded:
        """With springs (N - 1,) between neighbouring theta: the form gains ``sum springs_i (v_{i+1} - v_i)^2``."""
        bands = self.bands.copy()
        bands[0, 1:-2:2] += springs
        bands[0, 3::2] += springs
        bands[2, 1:-2:2] -= springs
        return Banded(bands, self.factor)

    def held(self, rows: list[int]) -> Banded:
        """With these unknowns held: their rows and columns are those of the identity."""
        bands, factor = self.bands.copy(), None if self.factor is None else self.factor.copy()
        for i in rows:
            bands[:, i] = 0.0
            bands[0, i] = 1.0
            for k in (1, 2):
                if i >= k:
                    bands[k, i - k] = 0.0
            if factor is not None:
                factor[i] = 0.0
        return Banded(bands, factor)

    def full(self) -> Array:
        """All entries, (2 N, 2 N)."""
        T = np.diag(self.bands[0])
        for k in (1, 2):
            T += np.diag(self.bands[k, :-k], k) + np.diag(self.bands[k, :-k], -k)
        return T if self.factor is None else T + self.factor @ self.factor.T

    def __matmul__(self, v: Array) -> Array:
        product = self.bands[0] * v
        for k in (1, 2):
            product[:-k] += self.bands[k, :-k] * v[k:]
            product[k:] += self.bands[k, :-k] * v[:-k]
        return product if self.factor is None else product + self.factor @ (self.factor.T @ v)

    def solve(self, right: Array) -> Array | None:
        """The solution (2 N,), or None where the matrix is not positive definite.

        Woodbury, ``(T + A A^T)^-1 = T^-1 - T^-1 A (1 + A^T T^-1 A)^-1 A^T T^-1``, which needs T positive definite;
        with more columns than rows the full matrix is factorised instead.
        """
        A = self.factor
        try:
            if A is not None and A.shape[1] > A.shape[0]:
                return cho_solve(cho_factor(self.full()), right)
            root = cholesky_banded(self.bands, lower=True), True
            plain = cho_solve_banded(root, right)
            if A is None:
                return plain
            spread = cho_solve_banded(root, A)
            small = A.T @ spread
            small.flat[:: len(small) + 1] += 1
            return plain - spread @ cho_solve(cho_factor(small), A.T @ plain)
        except (LinAlgError, ValueError):
            return None
