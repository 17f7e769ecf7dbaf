"""Conjugate gradients for a stencil, preconditioned by one symmetric multigrid V-cycle; compiled.

The V-cycle: one lexicographic Gauss-Seidel sweep forwards on the way down, its adjoint (backwards) on the way up, sums
over children down and copies to children up (adjoint to each other).  So the preconditioner is symmetric and positive
definite, up to its rounding: it is done in single precision, of which half as many bytes are read.  In 1-D the stencil
is tridiagonal and the preconditioner is its inverse.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jko.numerics.compiled import njit
from jko.steps.dynamic.folds import is_ghost
from jko.steps.dynamic.kernels import dot
from jko.steps.dynamic.seams import echo, wraps
from jko.steps.dynamic.sweeps import coarsest, down, down_around, up, up_around

Fields = Any


@njit(cache=True, fastmath={"contract", "reassoc"})
def apply(
    A: Fields, D: Fields, offsets: Fields, rows: Fields, fold: Fields, x: Fields, y: Fields
) -> float:
    """y = H x; returns x . y."""
    m, dot = rows[3], 0.0
    for row in range(rows[1]):
        if is_ghost(row, fold):
            continue
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
        part = 0.0
        for j in range(m):
            part += here[j] * t[j]
        dot += part
    return dot


def precondition(
    A: Fields,
    R: Fields,
    start: Fields,
    offsets: Fields,
    rows: Fields,
    folds: Fields,
    seams: Any,
    b: Fields,
    x: Fields,
    t: Fields,
    beyond: Fields,
) -> None:
    """x = B b for one V-cycle B; b and x hold all levels, what is wanted stands on level 0."""
    last = len(rows) - 1
    levels = [(rows[k], folds[k], rows[k + 1], folds[k + 1]) for k in range(last)]
    comes_round = [bool(seams.start[k] < seams.start[k + 1]) for k in range(last)]
    b[start[1] :] = 0.0
    for k, here in enumerate(levels):
        if comes_round[k]:
            down_around(A, R, offsets[k], *here, seams, k, b, x, t, beyond)
        else:
            down(A, R, offsets[k], *here, b, x, t)
    coarsest(A, R, offsets[last], rows[last], folds[last], seams, last, b, x, t)
    for k in range(last - 1, -1, -1):
        if comes_round[k]:
            up_around(A, R, offsets[k], *levels[k], seams, k, b, x, t)
        else:
            up(A, R, offsets[k], *levels[k], b, x, t)


@njit(cache=True)
def tridiagonal(A: Fields, D: Fields, rows: Fields, b: Fields, x: Fields, t: Fields) -> None:
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
def line(A: Fields, D: Fields, rows: Fields, seams: Any, b: Fields, x: Fields, t: Fields) -> None:
    """x = H^-1 b on the line, and on the circle by the formula of Sherman and Morrison."""
    first, last = rows[0], rows[0] + rows[3] - 1
    c = A[0, last] if wraps(seams, 0) else 0.0
    if c == 0.0:
        tridiagonal(A, D, rows, b, x, t)
        return
    ends, ratio = (D[first], D[last]), -c / D[first]
    D[first], D[last] = 2.0 * ends[0], ends[1] - c * ratio
    u, y = np.zeros_like(b), np.zeros_like(b)
    u[first], u[last] = -ends[0], c
    tridiagonal(A, D, rows, u, y, t)
    tridiagonal(A, D, rows, b, x, t)
    D[first], D[last] = ends
    factor = (x[first] + ratio * x[last]) / (1.0 + y[first] + ratio * y[last])
    for q in range(first, last + 1):
        x[q] -= factor * y[q]


@njit(cache=True, fastmath={"contract", "reassoc"})
def _norm(r: Fields) -> float:
    total = 0.0
    for q in range(r.shape[0]):
        total += abs(r[q])
    return total


@njit(cache=True, fastmath={"contract"})
def _turn(z: Fields, beta: float, p: Fields) -> None:
    """The next direction, ``z + beta p``."""
    if beta == 0.0:
        for q in range(p.shape[0]):
            p[q] = z[q]
        return
    for q in range(p.shape[0]):
        p[q] = z[q] + beta * p[q]


@njit(cache=True, fastmath={"contract"})
def _advance(step: float, p: Fields, x: Fields) -> None:
    """``x += step p``."""
    for q in range(x.shape[0]):
        x[q] += step * p[q]


def solve(
    A: Fields,
    D: Fields,
    single: Fields,
    R: Fields,
    start: Fields,
    offsets: Fields,
    rows: Fields,
    folds: Fields,
    seams: Any,
    target: float,
    limit: int,
    r: Fields,
    x: Fields,
    work: Fields,
    short: Fields,
) -> int:
    """Solve H x = r by conjugate gradients from x = 0 until |r|_1 <= target; returns the iterations.

    ``work`` is (3, size), ``short`` (4, total) in single precision, its last row zero; r is the residual on return.
    The loop is Python's, and what it calls compiled: compiled as one it would take as long again at first.
    """
    n, straight = len(r), len(A) == 1
    z, p, Hp = work
    b, y, t, beyond = short
    norm = _norm(r)
    unit = n / norm if norm > 0.0 else 1.0  # single precision holds numbers about one
    old = math.inf
    x.fill(0.0)
    for iteration in range(limit):
        if not norm > target:
            return iteration
        if straight:
            line(A, D, rows[0], seams, r, z, Hp)
        else:
            np.multiply(r, unit, out=b[:n], casting="same_kind")
            precondition(single, R, start, offsets, rows, folds, seams, b, y, t, beyond)
            z = y[:n]
        new = dot(r, z)
        if not new > 0.0:  # below the smallest number
            return iteration
        _turn(z, new / old, p)
        echo(p, seams, 0)
        curvature = apply(A, D, offsets[0], rows[0], folds[0], p, Hp)
        if not curvature > 0.0:
            return iteration
        _advance(new / curvature, p, x)
        _advance(-new / curvature, Hp, r)
        norm, old = _norm(r), new
    return limit
