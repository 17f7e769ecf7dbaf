"""Symmetric matrices ``T + A A^T`` with T banded and A of few columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpbtrf, dpbtrs, dpttrf, dpttrs

Array = NDArray[np.float64]
Inverse = Callable[[Array], Array]  # right sides (n,) or (n, r) to solutions


@dataclass(frozen=True, eq=False)
class Banded:
    """``T + A A^T`` on n unknowns.

    Attributes
    ----------
    bands : (b + 1, n)
        The lower bands of T: ``bands[k, i]`` is ``T[i + k, i]``; the last k entries of row k are not read.
    factor : (n, r), optional
        A.

    Examples
    --------
    >>> import numpy as np
    >>> T = Banded.of(np.array([2.0, 2.0, 2.0]), np.array([-1.0, -1.0]))
    >>> T.solve(np.array([1.0, 0.0, 1.0])).round(12).tolist()
    [1.0, 1.0, 1.0]
    """

    bands: Array
    factor: Array | None = None

    @classmethod
    def of(cls, *bands: Array, factor: Array | None = None) -> Banded:
        """From the diagonal (n,) and the bands below it, (n - 1,), (n - 2,), ..."""
        padded = np.zeros((len(bands), len(bands[0])))
        for row, band in zip(padded, bands, strict=True):
            row[: len(band)] = band
        return cls(padded, factor)

    @property
    def diagonal(self) -> Array:
        """Of T, (n,)."""
        return self.bands[0]

    def stiffer(self, springs: Array) -> Banded:
        """With springs (n - b,) between unknowns b apart: the form gains ``sum springs_i (v_{i+b} - v_i)^2``."""
        b, bands = len(self.bands) - 1, self.bands.copy()
        bands[0, :-b] += springs
        bands[0, b:] += springs
        bands[b, :-b] -= springs
        return Banded(bands, self.factor)

    def held(self, rows: Sequence[int]) -> Banded:
        """With these unknowns held: their rows and columns are those of the identity."""
        if not rows:
            return self
        bands, factor = self.bands.copy(), None if self.factor is None else self.factor.copy()
        for i in rows:
            bands[:, i] = 0.0
            bands[0, i] = 1.0
            for k in range(1, min(len(bands) - 1, i) + 1):
                bands[k, i - k] = 0.0
            if factor is not None:
                factor[i] = 0.0
        return Banded(bands, factor)

    def full(self) -> Array:
        """All entries, (n, n)."""
        T = np.diag(self.bands[0])
        for k in range(1, min(len(self.bands), len(T))):
            T += np.diag(self.bands[k, :-k], k) + np.diag(self.bands[k, :-k], -k)
        return T if self.factor is None else T + self.factor @ self.factor.T

    def __matmul__(self, v: Array) -> Array:
        product = self.bands[0] * v
        for k, band in enumerate(self.bands[1:], 1):
            off = band[:-k]
            product[:-k] += off * v[k:]
            product[k:] += off * v[:-k]
        return product if self.factor is None else product + self.factor @ (self.factor.T @ v)

    def solve(self, right: Array) -> Array | None:
        """The solution for right sides (n,) or (n, r), or None where T is not positive definite."""
        inverse = self.inverse()
        return None if inverse is None else inverse(right)

    def inverse(self) -> Inverse | None:
        """Right sides to solutions, after one factorisation; None where T is not positive definite.

        Woodbury, ``(T + A A^T)^-1 = T^-1 - T^-1 A (1 + A^T T^-1 A)^-1 A^T T^-1``, which needs T positive definite; with
        more columns than rows the full matrix is factorised instead.
        """
        A = self.factor
        if A is not None and A.shape[1] > A.shape[0]:
            return _cholesky(self.full())
        plain = _of_bands(self.bands)
        if A is None or plain is None:
            return plain
        spread = plain(A)
        small = A.T @ spread
        small.flat[:: len(small) + 1] += 1
        within = _cholesky(small)
        if within is None:
            return None

        def woodbury(right: Array) -> Array:
            x = plain(right)
            return x - spread @ within(A.T @ x)

        return woodbury


def _of_bands(bands: Array) -> Inverse | None:
    """By LAPACK's factorisations of tridiagonal and of wider matrices; a diagonal one is divided by."""
    if len(bands) == 1:
        return (lambda right: (right.T / bands[0]).T) if bool((bands[0] > 0).all()) else None
    if len(bands) == 2 and bands.shape[1] > 1:  # LAPACK wants an off-diagonal
        pivots, ratios, failed = dpttrf(bands[0], bands[1, :-1])
        return None if failed or _lost(pivots) else lambda right: dpttrs(pivots, ratios, right)[0]
    root, failed = dpbtrf(bands, lower=1)
    return None if failed or _lost(root[0]) else lambda right: dpbtrs(root, right, lower=1)[0]


def _lost(pivots: Array) -> bool:
    """Whether a pivot is no number: it makes all that come after it the same."""
    return not pivots[-1] > 0


def _cholesky(full: Array) -> Inverse | None:
    """Of a full matrix."""
    try:
        root = cho_factor(full)
    except (LinAlgError, ValueError):  # not definite; no numbers
        return None
    return lambda right: cho_solve(root, right)
