"""The linearised equation of Hamilton and Jacobi between two slabs, as a stencil of 1 + 2d points; compiled.

``C[0]`` belongs to the cell itself, ``C[1 + 2a]`` and ``C[2 + 2a]`` to its neighbours before and after on axis a.
"""

from __future__ import annotations

from typing import Any

from jko.numerics.compiled import njit

Fields = Any


@njit(cache=True, fastmath={"contract"})
def carried(strides: Any, rows: Fields, C: Fields, v: Fields, w: Fields, out: Fields) -> None:
    """``out = w C v``."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        t, c, here, weight = out[q : q + m], C[0, q : q + m], v[q : q + m], w[q : q + m]
        for j in range(m):
            t[j] = c[j] * here[j]
        for a in range(len(strides)):
            s = strides[a]
            low, high = C[1 + 2 * a, q : q + m], C[2 + 2 * a, q : q + m]
            before, after = v[q - s : q - s + m], v[q + s : q + s + m]
            for j in range(m):
                t[j] += low[j] * before[j] + high[j] * after[j]
        for j in range(m):
            t[j] *= weight[j]


@njit(cache=True, fastmath={"contract"})
def returned(strides: Any, rows: Fields, C: Fields, y: Fields, out: Fields) -> None:
    """``out -= C^T y``, for y that vanishes outside of the grid."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        t, c, here = out[q : q + m], C[0, q : q + m], y[q : q + m]
        for j in range(m):
            t[j] -= c[j] * here[j]
        for a in range(len(strides)):
            s = strides[a]
            low, high = C[1 + 2 * a, q + s : q + s + m], C[2 + 2 * a, q - s : q - s + m]
            before, after = y[q - s : q - s + m], y[q + s : q + s + m]
            for j in range(m):
                t[j] -= low[j] * after[j] + high[j] * before[j]


@njit(cache=True, fastmath={"contract"})
def diffused(
    strides: Any, rows: Fields, tau: float, K: Fields, inverse: Fields, v: Fields, out: Fields
) -> None:
    """``out = -tau div(M grad v)``, with K = M / distance of the centres."""
    m = rows[3]
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        t, here = out[q : q + m], v[q : q + m]
        for j in range(m):
            t[j] = 0.0
        for a in range(len(strides)):
            s = strides[a]
            up, down = K[a, q : q + m], K[a, q - s : q - s + m]
            wide, narrow = inverse[a, q : q + m], inverse[a, q - s : q - s + m]
            before, after = v[q - s : q - s + m], v[q + s : q + s + m]
            for j in range(m):
                rise = up[j] * wide[j] * (after[j] - here[j])
                fall = down[j] * narrow[j] * (here[j] - before[j])
                t[j] += tau * (fall - rise)
