"""Reduced costs that keep their digits: sums and products without error, as several floating-point numbers.

``r_ij = |x_i - y_j - t|^2 - alpha_i - beta_j`` is small where it matters, and a difference of large numbers where
clouds span many scales.  A sum of two numbers is a rounded sum plus an error that is itself a number, and so is a
product (Knuth; Dekker, Numer. Math. 18, 1971); potentials are sums of corrections, each smaller than the one before.
Added up in four numbers (Ogita, Rump and Oishi, SIAM J. Sci. Comput. 26, 2005), r is right to about 1e-45 of its
largest term.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from jko.metrics.couplings import BLOCK, Array, Index

Number = TypeVar("Number", float, Array)

EPS = float(np.finfo(np.float64).eps)
CHUNK = 2**14  # pairs at a time: what fits in the cache
SPLIT = 2.0**27 + 1.0  # cuts the 53 digits of a number into two halves


class ReducedCosts:
    """The reduced costs of all pairs for potentials that are improved by small corrections.

    Parameters
    ----------
    x, y : (N, dim), (M, dim)
        Atoms.
    t : (dim,)
        A translation that is taken out of ``x - y``: it changes no optimal plan.
    alpha, beta : sequences of (N,), (M,)
        The terms of the potentials of ``|x_i - y_j - t|^2``.
    """

    def __init__(
        self, x: Array, y: Array, t: Array, alpha: Sequence[Array], beta: Sequence[Array]
    ) -> None:
        self.x, self.y, self.t = x, y, t
        self.alpha, self.beta = alpha, beta

    @classmethod
    def of(cls, x: Array, y: Array, t: Array, alpha: Array, beta: Array) -> ReducedCosts:
        """For potentials of the cost ``|x_i - y_j|^2``."""
        left, right = _linear(x, y, t)
        return cls(x, y, t, [alpha, *(-p for p in left)], [beta, *(-p for p in right)])

    def potentials(self) -> tuple[Array, Array]:
        """Of the cost ``|x_i - y_j|^2``, rounded to one number each."""
        left, right = _linear(self.x, self.y, self.t)
        return _total([*self.alpha, *left]), _total([*self.beta, *right])

    def corrected(self, alpha: Array, beta: Array) -> ReducedCosts:
        """With one more term in both potentials."""
        return ReducedCosts(self.x, self.y, self.t, [*self.alpha, alpha], [*self.beta, beta])

    def at(self, rows: Index, cols: Index) -> Array:
        """The reduced costs of some pairs, (K,)."""
        parts = [
            self._chunk(rows[k : k + CHUNK], cols[k : k + CHUNK])
            for k in range(0, len(rows), CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _chunk(self, rows: Index, cols: Index) -> Array:
        total = _Total(len(rows))
        for k, shift in enumerate(self.t):
            high, low = two_sum(self.x[rows, k], -self.y[cols, k])
            rest = None
            if shift:
                high, more = two_sum(high, np.full_like(high, -shift))
                low, rest = two_sum(low, more)
                high, low = two_sum(high, low)
            for term in (*two_product(high, high), *two_product(2 * high, low), low * low):
                total.add(term)
            if rest is not None:
                total.add(2 * high * rest)
        for term in self.alpha:
            total.add(-term[rows])
        for term in self.beta:
            total.add(-term[cols])
        return total.rounded()

    def blocks(self, limit: float = 0.0) -> Iterator[tuple[int, Array]]:
        """First row and reduced costs (rows, M) of every block; those that may lie below ``limit`` have all digits."""
        height = max(1, BLOCK // len(self.y))
        left, right = _total(self.alpha), _total(self.beta)
        sizes = _total([abs(p) for p in self.alpha]), _total([abs(p) for p in self.beta])
        for start in range(0, len(self.x), height):
            part = slice(start, start + height)
            R, size = -left[part, None] - right, sizes[0][part, None] + sizes[1]
            for column, other, shift in zip(self.x[part].T, self.y.T, self.t, strict=True):
                apart = column[:, None] - other
                rest = apart - shift
                R += rest * rest
                rest, apart = np.abs(rest), np.abs(apart)
                size += rest * (2 * rest + 4 * apart) + 4 * EPS * apart * apart
            i, j = np.nonzero(R - 4 * (self.x.shape[1] + 4) * EPS * size <= limit)
            R[i, j] = self.at(start + i, j)
            yield start, R


class _Total:
    """Sums of K numbers each, kept as four."""

    def __init__(self, K: int) -> None:
        self.parts = [np.zeros(K) for _ in range(4)]

    def add(self, term: Array) -> None:
        for k in range(3):
            self.parts[k], term = two_sum(self.parts[k], term)
        self.parts[3] += term

    def rounded(self) -> Array:
        a, b, c, d = self.parts
        a, b = two_sum(a, b)  # the first may have cancelled
        b, c = two_sum(b, c)
        return np.asarray(a + (b + (c + d)))


def _linear(x: Array, y: Array, t: Array) -> tuple[list[Array], list[Array]]:
    """``|x - y|^2 - |x - y - t|^2`` as a sum of terms of x and of terms of y."""
    if not t.any():
        return [], []
    centre = np.median(y, axis=0)  # most terms stay small where a few atoms are far
    left = [2 * s * column for s, column in zip(t, (x - centre).T, strict=True)]
    right = [-2 * s * column for s, column in zip(t, (y - centre).T, strict=True)]
    return [*left, np.full(len(x), -float(t @ t))], right


def _total(terms: Sequence[Array]) -> Array:
    total = _Total(len(terms[0]))
    for term in terms:
        total.add(term)
    return total.rounded()


def two_sum(a: Number, b: Number) -> tuple[Number, Number]:
    """``a + b`` as its rounded value and the error."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """``a b`` as its rounded value and the error."""
    p = a * b
    (a, c), (b, d) = _halves(a), _halves(b)
    return p, ((a * b - p) + a * d + c * b) + c * d


def _halves(a: Array) -> tuple[Array, Array]:
    t = SPLIT * a
    high = t - (t - a)
    return high, a - high
