"""The corners' share in a primal-dual Newton step, and the coupling of cells to prices of the data; compiled.

A corner c carries its own price q_c beside the price ``p_c(phi)`` of the potential; its density is
``r_c = (U*)'(q_c)``.  ``T_c v`` is the derivative of p_c in the direction v of phi.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from jko.steps.dynamic.conjugates import conjugate, price

Fields = Any


@njit(cache=True)
def linearise(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    prices: Fields,
    w: Fields,
    rho: Fields,
    M: Fields,
    safe: Fields,
) -> None:
    """Weights, and density and mobility of ``r + w (p - q)``; ``safe`` is the mobility of r, which is positive.

    Both mobilities are added to what is there.
    """
    d = len(strides)
    corners, k = 1 << d, 0.25 * tau
    share = 1.0 / corners
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            rho[q] = 0.0
            if V[q] == math.inf:
                for c in range(corners):
                    w[c, q] = 0.0
                continue
            total = 0.0
            for c in range(corners):
                p = phi[q] - V[q]
                for a in range(d):
                    p += k * g[a, q if (c >> (d - 1 - a)) & 1 else q - strides[a]] ** 2
                _, r, weight = conjugate(kind, prices[c, q])
                w[c, q] = share * weight
                wanted = r + weight * (p - prices[c, q])
                total += wanted
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    M[a, face] += 0.5 * share * wanted
                    safe[a, face] += 0.5 * share * r
            rho[q] = share * total


@njit(cache=True)
def update(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    inverse: Fields,
    phi: Fields,
    V: Fields,
    g: Fields,
    prices: Fields,
    step: Fields,
    lift: Fields,
    lowest: float,
    enter: float = 0.0,
) -> tuple[float, float, float]:
    """The corner prices after ``phi -= step``, ``V -= lift``; (mass changed, what the linear model left out, mass).

    Where the linearised price falls it is taken, but for ``lowest``; where it rises the density follows its tangent,
    which lies below an exponential and so cannot explode; up to ``enter`` it may rise at once.  What was left out
    is ``sum w tau/4 |grad step|^2``; all sums are per unit cell volume.
    """
    d = len(strides)
    corners, k = 1 << d, 0.25 * tau
    changed, left_out, mass = 0.0, 0.0, 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            if V[q] == math.inf:
                continue
            for c in range(corners):
                p, square = phi[q] - V[q] - step[q] + lift[q], 0.0
                for a in range(d):
                    s = strides[a]
                    face = q if (c >> (d - 1 - a)) & 1 else q - s
                    slope = inverse[a, face] * (step[face + s] - step[face])
                    p += k * g[a, face] * (g[a, face] - 2.0 * slope)
                    square += slope * slope
                now = prices[c, q]
                _, r, weight = conjugate(kind, now)
                after = max(r + weight * (p - now), enter)
                if p > now:
                    p = min(p, price(kind, after))
                else:
                    p = max(p, lowest)
                    after = conjugate(kind, p)[1]
                prices[c, q] = p
                changed += abs(after - r)
                left_out += weight * k * square
                mass += r
    share = 1.0 / corners
    return share * changed, share * left_out, share * mass


@njit(cache=True)
def carry(old: Any, new: Any, corner: Fields) -> None:
    """The prices of the same densities under another energy."""
    for c in range(corner.shape[0]):
        for q in range(corner.shape[1]):
            corner[c, q] = price(new, conjugate(old, corner[c, q])[1])


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
