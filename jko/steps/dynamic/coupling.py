"""The coupling of cells to the prices of data, which act through the corners; compiled.

``W T v = sum_c w_c T_c v`` on the cells, with ``T_c v`` the derivative of the corner's price p_c in the direction v.
"""

from __future__ import annotations

from typing import Any

from jko.numerics.compiled import njit

Fields = Any


@njit(cache=True)
def couple(
    strides: Any, rows: Fields, tau: float, inverse: Fields, g: Fields, w: Fields, C: Fields
) -> None:
    """Coefficients of ``sum_c w_c T_c v``: C[0] of v_K, C[1 + 2a] and C[2 + 2a] of its neighbours on axis a."""
    d = len(strides)
    half = 0.5 * tau
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total = 0.0
            for c in range(1 << d):
                total += w[c, q]
            C[0, q] = total
            for a in range(d):
                s = strides[a]
                low, high = 0.0, 0.0
                for c in range(1 << d):
                    if (c >> (d - 1 - a)) & 1:
                        high += w[c, q]
                    else:
                        low += w[c, q]
                before = -half * low * g[a, q - s] * inverse[a, q - s]
                after = half * high * g[a, q] * inverse[a, q]
                C[1 + 2 * a, q], C[2 + 2 * a, q] = before, after
                C[0, q] -= before + after


@njit(cache=True)
def spread(strides: Any, rows: Fields, C: Fields, v: Fields, out: Fields) -> None:
    """``sum_c w_c T_c v`` on the cells."""
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total = C[0, q] * v[q]
            for a in range(len(strides)):
                s = strides[a]
                total += C[1 + 2 * a, q] * v[q - s] + C[2 + 2 * a, q] * v[q + s]
            out[q] = total


@njit(cache=True)
def gather(strides: Any, rows: Fields, C: Fields, z: Fields, scale: float, out: Fields) -> None:
    """``out += scale sum_c T_c^T w_c z``, the adjoint of :func:`spread`."""
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            t = scale * z[q]
            out[q] += C[0, q] * t
            for a in range(len(strides)):
                s = strides[a]
                out[q - s] += C[1 + 2 * a, q] * t
                out[q + s] += C[2 + 2 * a, q] * t
