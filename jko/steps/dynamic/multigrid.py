"""Conjugate gradients for a stencil, preconditioned by one symmetric multigrid V-cycle; compiled.

The V-cycle: one lexicographic Gauss-Seidel sweep forwards on the way down, its adjoint (backwards) on the way up, sums
over children down and copies to children up (adjoint to each other).  So the preconditioner is symmetric and positive
definite.  In 1-D the stencil is tridiagonal and the preconditioner is its inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Fields = Any
SWEEPS = 6  # on the coarsest level


@njit(cache=True, fastmath={"contract"})
def apply(A: Fields, D: Fields, offsets: Fields, rows: Fields, x: Fields, y: Fields) -> float:
    """y = H x; returns x . y."""
    m, dot = rows[3], 0.0
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        t, here, d = y[q : q + m], x[q : q + m], D[q : q + m]
        for j in range(m):
            t[j] = d[j] * here[j]
        for s in range(A.shape[0]):
            o = offsets[s]
            up, down = A[s, q : q + m], A[s, q - o : q - o + m]
            after, before = x[q + o : q + o + m], x[q - o : q - o + m]
            for j in range(m):
                t[j] += up[j] * after[j] + down[j] * before[j]
        for j in range(m):
            dot += here[j] * t[j]
    return dot


@njit(cache=True, fastmath={"contract"})
def _first(
    A: Fields, R: Fields, offsets: Fields, rows: Fields, b: Fields, x: Fields, t: Fields
) -> None:
    """One forward sweep from x = 0."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        rhs, r = b[q : q + m], R[q : q + m]
        for j in range(m):
            t[j] = rhs[j]
        for s in range(1, A.shape[0]):
            o = offsets[s]
            down, before = A[s, q - o : q - o + m], x[q - o : q - o + m]
            for j in range(m):
                t[j] -= down[j] * before[j]
        left, last = A[0, q - 1 : q - 1 + m], 0.0
        out = x[q : q + m]
        for j in range(m):
            t[j] *= r[j]
        for j in range(m):
            last = t[j] - (r[j] * left[j]) * last
            out[j] = last


@njit(cache=True, fastmath={"contract"})
def _backward(
    A: Fields, R: Fields, offsets: Fields, rows: Fields, b: Fields, x: Fields, t: Fields
) -> None:
    """One backward sweep."""
    m = rows[3]
    for row in range(rows[1] - 1, -1, -1):
        q = rows[0] + row * rows[2]
        rhs, r = b[q : q + m], R[q : q + m]
        left, before_ = A[0, q - 1 : q - 1 + m], x[q - 1 : q - 1 + m]
        for j in range(m):
            t[j] = rhs[j] - left[j] * before_[j]
        for s in range(1, A.shape[0]):
            o = offsets[s]
            up, down = A[s, q : q + m], A[s, q - o : q - o + m]
            after, before = x[q + o : q + o + m], x[q - o : q - o + m]
            for j in range(m):
                t[j] -= up[j] * after[j] + down[j] * before[j]
        right, last, out = A[0, q : q + m], x[q + m], x[q : q + m]
        for j in range(m):
            t[j] *= r[j]
        for i in range(m):
            j = m - 1 - i
            last = t[j] - (r[j] * right[j]) * last
            out[j] = last


@njit(cache=True, fastmath={"contract"})
def _forward(
    A: Fields, R: Fields, offsets: Fields, rows: Fields, b: Fields, x: Fields, t: Fields
) -> None:
    """One forward sweep."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        rhs, r = b[q : q + m], R[q : q + m]
        right, after_ = A[0, q : q + m], x[q + 1 : q + 1 + m]
        for j in range(m):
            t[j] = rhs[j] - right[j] * after_[j]
        for s in range(1, A.shape[0]):
            o = offsets[s]
            up, down = A[s, q : q + m], A[s, q - o : q - o + m]
            after, before = x[q + o : q + o + m], x[q - o : q - o + m]
            for j in range(m):
                t[j] -= up[j] * after[j] + down[j] * before[j]
        left, last, out = A[0, q - 1 : q - 1 + m], x[q - 1], x[q : q + m]
        for j in range(m):
            last = r[j] * (t[j] - left[j] * last)
            out[j] = last


@njit(cache=True, fastmath={"contract"})
def _descend(
    A: Fields,
    offsets: Fields,
    rows: Fields,
    parent: Fields,
    x: Fields,
    b: Fields,
    t: Fields,
    ghost: int,
) -> None:
    """The residual after a forward sweep from zero, which is -U x, summed over children into b."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        for j in range(m):
            t[j] = 0.0
        for s in range(A.shape[0]):
            o = offsets[s]
            up, after = A[s, q : q + m], x[q + o : q + o + m]
            for j in range(m):
                t[j] -= up[j] * after[j]
        to = parent[q : q + m]
        for j in range(m):
            b[to[j]] += t[j]
    b[ghost] = 0.0


@njit(cache=True)
def _tridiagonal(A: Fields, D: Fields, rows: Fields, b: Fields, x: Fields, t: Fields) -> None:
    """x = H^-1 b by elimination; obstacles (D = 0) are left out."""
    first, m = rows[0], rows[3]
    last = 0.0
    for q in range(first, first + m):
        pivot = D[q] - A[0, q - 1] * t[q - 1] if q > first else D[q]
        scale = 1.0 / pivot if D[q] > 0.0 and pivot != 0.0 else 0.0
        last = (b[q] - (A[0, q - 1] * last if q > first else 0.0)) * scale
        t[q] = A[0, q] * scale
        x[q] = last
    for i in range(1, m):
        q = first + m - 1 - i
        x[q] -= t[q] * x[q + 1]


@njit(cache=True)
def precondition(
    A: Fields,
    D: Fields,
    R: Fields,
    start: Fields,
    offsets: Fields,
    rows: Fields,
    parent: Fields,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """x = B b for one V-cycle B; b and x hold all levels, what is wanted stands on level 0."""
    levels = rows.shape[0]
    if A.shape[0] == 1:
        _tridiagonal(A, D, rows[0], b, x, t)
        return
    for k in range(levels - 1):
        _first(A, R, offsets[k], rows[k], b, x, t)
        b[start[k + 1] : start[k + 2]] = 0.0
        _descend(A, offsets[k], rows[k], parent, x, b, t, start[k + 1])
    k = levels - 1
    _first(A, R, offsets[k], rows[k], b, x, t)
    for sweep in range(SWEEPS):
        if sweep:
            _forward(A, R, offsets[k], rows[k], b, x, t)
        _backward(A, R, offsets[k], rows[k], b, x, t)
    for k in range(levels - 2, -1, -1):
        for q in range(start[k], start[k + 1]):
            x[q] += x[parent[q]]
        _backward(A, R, offsets[k], rows[k], b, x, t)


@njit(cache=True, fastmath={"contract"})
def solve(
    A: Fields,
    D: Fields,
    R: Fields,
    start: Fields,
    offsets: Fields,
    rows: Fields,
    parent: Fields,
    target: float,
    limit: int,
    x: Fields,
    work: Fields,
) -> int:
    """Solve H x = r by conjugate gradients from x = 0 until |r|_1 <= target; returns the iterations.

    ``work`` is (5, total): r on entry (level 0 of row 0), and the residual on return.
    """
    n = start[1]
    r, z, t = work[0], work[1], work[2]
    p, Hp = work[3, :n], work[4, :n]
    for q in range(n):
        x[q] = 0.0
        p[q] = 0.0
        Hp[q] = 0.0
    old = 0.0
    for iteration in range(limit):
        norm = 0.0
        for q in range(n):
            norm += abs(r[q])
        if not norm > target:
            return iteration
        precondition(A, D, R, start, offsets, rows, parent, r, z, t)
        new = 0.0
        for q in range(n):
            new += r[q] * z[q]
        if not new > 0.0:  # below the smallest number
            return iteration
        beta = new / old if iteration else 0.0
        for q in range(n):
            p[q] = z[q] + beta * p[q]
        curvature = apply(A, D, offsets[0], rows[0], p, Hp)
        if not curvature > 0.0:
            return iteration
        step = new / curvature
        for q in range(n):
            x[q] += step * p[q]
            r[q] -= step * Hp[q]
        old = new
    return limit


def workspace(total: int) -> Fields:
    """The arrays that :func:`solve` works in."""
    return np.zeros((5, total))
