"""The corners' share in a Newton step below a ceiling, with slacks on both sides; compiled.

A corner c carries its density r_c, what is left below the ceiling L, and slacks for both,

``U'(r_c) - s_c + t_c = p_c(phi),    r_c s_c = mu,    (L - r_c) t_c = mu``

Newton's step eliminates them: with ``w_c = 1 / (U''(r_c) + s_c / r_c + t_c / (L - r_c) + spring)``

``dr_c = w_c (p_c(phi) + T_c dphi - U'(r_c) + mu / r_c - mu / (L - r_c))``

``s_c + ds_c = (mu - s_c dr_c) / r_c,    t_c + dt_c = (mu + t_c dr_c) / (L - r_c)``

where ``T_c v`` is the derivative of p_c in the direction v, and the spring holds r_c where it is.
"""

from __future__ import annotations

import math
from typing import Any

from jko.numerics.compiled import njit
from jko.steps.dynamic.conjugates import marginal
from jko.steps.dynamic.kernels import corner_price, corner_rise

Fields = Any


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
    room: Fields,
    s: Fields,
    t: Fields,
    mu: float,
    spring: float,
    w: Fields,
    wanted: Fields,
    rho: Fields,
    M: Fields,
    safe: Fields,
) -> None:
    """Weights w_c / 2^d, and ``wanted = r + dr`` at dphi = 0 with its density and mobility; ``safe`` is that of r.

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
                now, left = r[c, q], room[c, q]
                slope, bend = marginal(kind, now)
                weight = 1.0 / (bend + s[c, q] / now + t[c, q] / left + spring)
                p = corner_price(c, q, strides, tau, phi, V, g)
                after = now + weight * (p - slope + mu / now - mu / left)
                w[c, q], wanted[c, q] = share * weight, after
                total += after
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    M[a, face] += 0.5 * share * after
                    safe[a, face] += 0.5 * share * now
            rho[q] = share * total


@njit(cache=True, error_model="numpy")
def update(
    strides: Any,
    rows: Fields,
    tau: float,
    inverse: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    room: Fields,
    s: Fields,
    t: Fields,
    mu: float,
    w: Fields,
    wanted: Fields,
    step: Fields,
    lift: Fields,
    keep: float,
) -> None:
    """Move all four as ``phi -= step``, ``V -= lift`` asks, after :func:`linearise`; all keep the part ``keep``."""
    d = len(strides)
    corners = float(1 << d)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            if V[q] == math.inf:
                continue
            for c in range(1 << d):
                change = corner_rise(lift[q] - step[q], c, q, strides, tau, inverse, g, step)
                now, left = r[c, q], room[c, q]
                dr = wanted[c, q] - now + corners * w[c, q] * change
                s[c, q] = max((mu - s[c, q] * dr) / now, keep * s[c, q])
                t[c, q] = max((mu + t[c, q] * dr) / left, keep * t[c, q])
                top = now + left
                if dr < 0.5 * top - now:
                    r[c, q] = max(now + dr, keep * now)
                    room[c, q] = top - r[c, q]
                else:
                    room[c, q] = max(left - dr, keep * left)
                    r[c, q] = top - room[c, q]


@njit(cache=True, error_model="numpy")
def missed(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    top: float,
    least: float,
) -> tuple[float, float]:
    """How far densities below ``top`` are from their prices, ``sum mean_c |r - [r + top (p - U'(r)) / size]|``.

    [.] is the nearest number in [0, top], and size the mean of ``|p - U'(r)| + |U'(r)|``, and ``least`` at least; it is
    returned too.
    """
    d = len(strides)
    size, mass, total = 0.0, 0.0, 0.0
    for turn in range(2):
        for row in range(rows[1]):
            first = rows[0] + row * rows[2]
            for q in range(first, first + rows[3]):
                if V[q] == math.inf:
                    continue
                for c in range(1 << d):
                    now = r[c, q]
                    slope = marginal(kind, now)[0]
                    p = corner_price(c, q, strides, tau, phi, V, g) - slope
                    if turn == 0:
                        size += (abs(p) + abs(slope)) * now
                        mass += now
                    else:
                        total += abs(min(max(now + top * p / size, 0.0), top) - now)
        if turn == 0:
            size = max(size / mass, least)
    return total / (1 << d), size
