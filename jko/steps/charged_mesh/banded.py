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
        bands[0, 1:-2:2] += springs
        bands[0, 3::2] += springs
        bands[2, 1:-2:2] = -springs
        return cls(bands, factor)

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

    def solve(self, right: Array) -> Array | None:
        """The solution (2 N,), or None where the matrix is not positive definite.

        Woodbury, ``(T + A A^T)^-1 = T^-1 - T^-1 A (1 + A^T T^-1 A)^-1 A^T T^-1``.
        """
        try:
            root = cholesky_banded(self.bands, lower=True), True
            plain = cho_solve_banded(root, right)
            if self.factor is None:
                return plain
            spread = cho_solve_banded(root, self.factor)
            small = self.factor.T @ spread
            small.flat[:: len(small) + 1] += 1
            return plain - spread @ cho_solve(cho_factor(small), self.factor.T @ plain)
        except (LinAlgError, ValueError):
            return None
