"""The corners' share in a primal-dual Newton step, and the coupling of cells to the prices of data; compiled.

A corner c carries its own density r_c > 0 beside the price ``p_c(phi)`` of the potential, and a slack s_c > 0 for

``U'(r_c) - s_c = p_c(phi),    r_c s_c = mu``

which mu = 0 makes the optimality condition.  Newton's step eliminates both: with ``w_c = 1 / (U''(r_c) + s_c / r_c)``

``dr_c = w_c (p_c(phi) + T_c dphi - U'(r_c) + mu / r_c),    ds_c = U''(r_c) dr_c + U'(r_c) - s_c - p_c - T_c dphi``

where ``T_c v`` is the derivative of p_c in the direction v.  An entropy is its own barrier: mu = 0 and no slacks.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from jko.steps.dynamic.conjugates import conjugate, marginal, primal
from jko.steps.dynamic.kernels import corner_price

Fields = Any
LEAST_LEFT = 0.1  # of a corner's density or slack, what one step leaves at least
LOWEST = 1e-200  # density of a corner


@njit(cache=True, error_model="numpy")
def linearise(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    s: Fields,
    mu: float,
    w: Fields,
    rho: Fields,
    M: Fields,
    safe: Fields,
) -> None:
    """Weights w_c / 2^d, and density and mobility of ``r + dr`` at dphi = 0; ``safe`` is the mobility of r > 0.

    Both mobilities are added to what is there.
    """
    d = len(strides)
    share = 1.0 / (1 << d)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total = 0.0
            for c in range(1 << d):
                w[c, q] = 0.0
                if V[q] == math.inf:
                    continue
                now = r[c, q]
                slope, bend = marginal(kind, now)
                weight = 1.0 / (bend + s[c, q] / now)
                p = corner_price(c, q, strides, tau, phi, V, g)
                wanted = now + weight * (p - slope + mu / now)
                w[c, q] = share * weight
                total += wanted
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    M[a, face] += 0.5 * share * wanted
                    safe[a, face] += 0.5 * share * now
            rho[q] = share * total


@njit(cache=True, error_model="numpy")
def update(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    inverse: Fields,
    phi: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    s: Fields,
    mu: float,
    step: Fields,
    lift: Fields,
    enter: float,
) -> tuple[float, float]:
    """Move r and s as ``phi -= step``, ``V -= lift`` asks; (mass changed, what the linear model left out) / mass.

    With slacks, both keep a tenth at least.  Without, a density that falls follows ``r exp(dr / r)``, which is the
    entropy's own way, and one that rises its tangent, which lies below and so cannot explode; up to ``enter`` it may
    rise at once.  What was left out is ``sum w tau/4 |grad step|^2``.
    """
    d = len(strides)
    changed, left_out, mass = 0.0, 0.0, 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            if V[q] == math.inf:
                continue
            for c in range(1 << d):
                p = corner_price(c, q, strides, tau, phi, V, g) - step[q] + lift[q]
                square = 0.0
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    slope = inverse[a, face] * (step[face + strides[a]] - step[face])
                    p -= 0.5 * tau * g[a, face] * slope
                    square += slope * slope
                now = r[c, q]
                price, bend = marginal(kind, now)
                weight = 1.0 / (bend + s[c, q] / now)
                dr = weight * (p - price + mu / now)
                after = now + dr
                if mu > 0.0:
                    after = max(after, LEAST_LEFT * now)
                    s[c, q] = max(bend * dr + price - p, LEAST_LEFT * s[c, q])
                elif dr < 0.0:
                    after = max(now * math.exp(dr / now), LOWEST)
                elif after < enter:
                    after = max(after, min(enter, conjugate(kind, p)[1]))
                r[c, q] = after
                changed += abs(after - now)
                left_out += weight * 0.25 * tau * square
                mass += now
    return changed / mass, left_out / mass


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


@njit(cache=True)
def deposit(strides: Any, rows: Fields, r: Fields, rho: Fields, M: Fields) -> None:
    """Densities of the cells of these corners, and their share in the mobilities, which is added to what is there."""
    d = len(strides)
    share = 1.0 / (1 << d)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total = 0.0
            for c in range(1 << d):
                total += r[c, q]
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    M[a, face] += 0.5 * share * r[c, q]
            rho[q] = share * total


@njit(cache=True)
def densities(
    kind: Any, strides: Any, rows: Fields, tau: float, phi: Fields, V: Fields, g: Fields, r: Fields
) -> None:
    """The densities ``(U*)'(p_c)`` of a potential."""
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << len(strides)):
                r[c, q] = conjugate(kind, corner_price(c, q, strides, tau, phi, V, g))[1]


@njit(cache=True)
def corner_energy(kind: Any, strides: Any, rows: Fields, V: Fields, r: Fields) -> float:
    """``sum_K mean_c U(r_c) + V r_c`` per unit cell volume."""
    corners, total = 1 << len(strides), 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(corners):
                if r[c, q] > 0.0:
                    total += primal(kind, r[c, q]) + V[q] * r[c, q]
    return total / corners
