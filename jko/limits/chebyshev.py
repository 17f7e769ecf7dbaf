"""Functions on an interval by their values at Chebyshev points: quadrature, derivative, evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

Array = NDArray[np.float64]


def nodes(n: int, lower: float, upper: float) -> Array:
    """The n Chebyshev points of [lower, upper], increasing, ends included."""
    x = np.sin(0.5 * np.pi * np.arange(1 - n, n, 2) / (n - 1))
    return 0.5 * (lower + upper) + 0.5 * (upper - lower) * x


def quadrature(n: int, lower: float, upper: float) -> Array:
    """The weights of Clenshaw and Curtis at :func:`nodes`: exact for polynomials of degree n - 1."""
    K = n - 1
    angle = np.pi * np.arange(n) / K
    k = np.arange(1, K // 2 + 1)
    factor = np.where(2 * k == K, 1.0, 2.0) / (4.0 * k**2 - 1)
    weights = 2 / K * (1 - np.cos(2 * np.outer(angle, k)) @ factor)
    weights[[0, -1]] *= 0.5
    return 0.5 * (upper - lower) * weights


def derivative(u: Array) -> Array:
    """The matrix D with ``(D f)_j = f'(u_j)`` at the :func:`nodes` u: exact for polynomials of degree n - 1."""
    c = _barycentric(len(u))
    gaps = u[:, None] - u + np.eye(len(u))
    D: Array = c / c[:, None] / gaps
    np.fill_diagonal(D, 0.0)
    np.fill_diagonal(D, -D.sum(1))  # D 1 = 0 without rounding
    return D


def evaluation(u: Array, at: Array) -> Array:
    """The matrix (m, n) that takes values at the :func:`nodes` u to those of the interpolant at the points ``at``."""
    gaps = at[:, None] - u
    hit = gaps == 0
    gaps[hit] = 1.0
    rows = _barycentric(len(u)) / gaps
    rows /= rows.sum(1, keepdims=True)
    rows[hit.any(1)] = hit[hit.any(1)]
    return rows


def tail(u: Array, values: Array) -> float:
    """Size of the last tenth of the Chebyshev coefficients, relative to the largest: how well n points resolve."""
    coefficients = np.abs(dct(values, type=1))
    last = coefficients[-max(2, len(u) // 10) :].max()
    return float(last / max(coefficients.max(), np.finfo(np.float64).tiny))


def _barycentric(n: int) -> Array:
    c: Array = np.where(np.arange(n) % 2, -1.0, 1.0)
    c[[0, -1]] *= 0.5
    return c
