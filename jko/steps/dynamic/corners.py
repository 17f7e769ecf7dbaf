"""The corners' share in a primal-dual Newton step, and what a step with given corner densities is; compiled.

A corner c carries its own density r_c > 0 beside the price ``p_c(phi)`` of the potential, and a slack s_c > 0 for

``U'(r_c) - s_c = p_c(phi),    r_c s_c = mu``

which mu = 0 makes the optimality condition.  Newton's step eliminates both: with ``w_c = 1 / (U''(r_c) + s_c / r_c)``

``dr_c = w_c (p_c(phi) + T_c dphi - U'(r_c) + mu / r_c),    ds_c = (mu - s_c dr_c) / r_c - s_c``

where ``T_c v`` is the derivative of p_c in the direction v.  An entropy is its own barrier: mu = 0 and no slacks.
"""

from __future__ import annotations

import math
from typing import Any

from jko.numerics.compiled import njit
from jko.steps.dynamic.conjugates import conjugate, marginal, primal
from jko.steps.dynamic.kernels import corner_price, corner_rise

Fields = Any
LEAST_LEFT = 0.1  # of a corner's density or slack, what one step leaves at least
RISE = 1.5  # factor by which a density rises along its tangent; beyond, no further than its price asks for
LOWEST = 1e-200  # density of a corner


@njit(cache=True)
def begin(
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    mu: float,
    r: Fields,
    s: Fields,
) -> None:
    """Slacks ``mu / r``, where a price below zero leaves no density r above ``mu / |p|``."""
    d = len(strides)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << d):
                p = corner_price(c, q, strides, tau, phi, V, g)
                if V[q] < math.inf and r[c, q] * -p > mu:
                    r[c, q] = mu / -p
                s[c, q] = mu / r[c, q]


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
    top: float,
    scale: float,
    w: Fields,
    wanted: Fields,
    rho: Fields,
    M: Fields,
    density: Fields,
    safe: Fields,
) -> float:
    """Weights w_c / 2^d and ``wanted = r + dr`` at dphi = 0, with their density and mobility.

    ``density`` and ``safe`` are those of r itself.  Mobilities are added to what is there.  Returns how far r is from
    its prices: ``sum mean_c r_c |U'(r_c) - p_c| / top``, and all of r_c in the vacuum, where ``r_c < scale s_c``.
    """
    d = len(strides)
    share, missed = 1.0 / (1 << d), 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total, mass = 0.0, 0.0
            for c in range(1 << d):
                w[c, q] = 0.0
                if V[q] == math.inf:
                    continue
                now = r[c, q]
                slope, bend = marginal(kind, now)
                weight = 1.0 / (bend + s[c, q] / now)
                p = corner_price(c, q, strides, tau, phi, V, g)
                after = now + weight * (p - slope + mu / now)
                w[c, q], wanted[c, q] = share * weight, after
                total += after
                mass += now
                empty = now < scale * s[c, q]
                missed += now if empty else now * abs(slope - p) / top
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    M[a, face] += 0.5 * share * after
                    safe[a, face] += 0.5 * share * now
            rho[q], density[q] = share * total, share * mass
    return share * missed


@njit(cache=True)
def bent(strides: Any, rows: Fields, tau: float, inverse: Fields, w: Fields, step: Fields) -> float:
    """What the linear model of a step leaves out, ``sum_K sum_c w_c tau/4 sum_a slope_a(step)^2``."""
    d, total = len(strides), 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << d):
                for a in range(d):
                    face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                    slope = inverse[a, face] * (step[face + strides[a]] - step[face])
                    total += w[c, q] * slope * slope
    return 0.25 * tau * total


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
    w: Fields,
    wanted: Fields,
    step: Fields,
    lift: Fields,
    length: float,
    enter: float,
) -> tuple[float, float]:
    """Move r and s by ``length`` times what ``phi -= step``, ``V -= lift`` asks, after :func:`linearise`.

    With slacks, both keep a tenth at least, and a density rises no further than its price asks for: where U is flat,
    at low densities of powers above 2, tangents overshoot.  Without, a density that falls follows ``r exp(dr / r)``,
    which is the entropy's own way, and one that rises its tangent, which lies below and so cannot explode; up to
    ``enter`` it may rise at once.

    Returns, relative to the mass, how much of it changed, and what was cut off from densities that were to become
    negative.
    """
    d = len(strides)
    corners = float(1 << d)
    changed, cut, mass = 0.0, 0.0, 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            if V[q] == math.inf:
                continue
            for c in range(1 << d):
                change = corner_rise(lift[q] - step[q], c, q, strides, tau, inverse, g, step)
                now, weight = r[c, q], corners * w[c, q]
                dr = length * (wanted[c, q] - now + weight * change)
                after = now + dr
                if mu > 0.0:
                    slack, least = s[c, q], LEAST_LEFT * now
                    ahead = length * (mu / now - slack) - slack * dr / now
                    s[c, q] = max(slack + ahead, LEAST_LEFT * slack)
                    if after < least:
                        cut += least - after
                        after = least
                    elif after > RISE * now:
                        p = corner_price(c, q, strides, tau, phi, V, g) + length * change
                        after = min(after, max(RISE * now, conjugate(kind, p)[1]))
                elif dr < 0.0:
                    after = max(now * math.exp(dr / now), LOWEST)
                elif after < enter:
                    p = corner_price(c, q, strides, tau, phi, V, g) + length * change
                    after = max(after, min(enter, conjugate(kind, p)[1]))
                r[c, q] = after
                changed += abs(after - now)
                mass += now
    return changed / mass, cut / mass


@njit(cache=True)
def emptied(
    strides: Any, rows: Fields, V: Fields, r: Fields, s: Fields, scale: float, out: Fields
) -> None:
    """The densities r, zero where they are smaller than ``scale`` times their slack: there the vacuum is."""
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << len(strides)):
                full = V[q] < math.inf and r[c, q] >= scale * s[c, q]
                out[c, q] = r[c, q] if full else 0.0


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
