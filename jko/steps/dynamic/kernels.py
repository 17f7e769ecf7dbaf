"""The dual function of a step and its first derivative, in corner form; compiled.

Fields are flat with ghosts (see :mod:`jko.steps.dynamic.layout`); ``strides`` is a tuple, so that its length, the
dimension, is known to the compiler and the loops over corners unroll.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from jko.steps.dynamic.conjugates import conjugate, marginal

Fields = Any


@njit(cache=True)
def slopes(phi: Fields, strides: Any, inverse: Fields, g: Fields) -> None:
    """Forward differences of phi on open faces."""
    size = phi.shape[0]
    for a in range(len(strides)):
        s = strides[a]
        here, there, out, scale = phi[: size - s], phi[s:], g[a], inverse[a]
        for q in range(size - s):
            out[q] = scale[q] * (there[q] - here[q])


@njit(cache=True)
def corner_price(
    c: int, q: int, strides: Any, tau: float, phi: Fields, V: Fields, g: Fields
) -> float:
    """``p_c = phi - V + tau/4 sum_a g_{c,a}^2`` of the corner c of the cell q."""
    d = len(strides)
    p = phi[q] - V[q]
    for a in range(d):
        p += 0.25 * tau * g[a, q if (c >> (d - 1 - a)) & 1 else q - strides[a]] ** 2
    return p


@njit(cache=True)
def evaluate(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    rho0: Fields,
    M0: Fields,
    g: Fields,
    rho: Fields,
    M: Fields,
    w: Fields,
) -> float:
    """J per unit cell volume; writes the density, the face mobilities and the corner weights (U*)''(p_c) / 2^d.

    ``J = sum_K mean_c U*(p_c) - rho0 phi + sum_f tau/2 M0 g^2``, ``p_c = phi - V + tau/4 sum_a g_{c,a}^2``

    Corners are numbered by the faces that they touch, one bit an axis, the last axis fastest (l lower, h upper face):

    ======  ====  ====  ====  ====  ====  ====  ====  ====
    number  0     1     2     3     4     5     6     7
    line    l     h
    plane   ll    lh    hl    hh
    space   lll   llh   lhl   lhh   hll   hlh   hhl   hhh
    ======  ====  ====  ====  ====  ====  ====  ====  ====

    One loop serves all dimensions: x, y, z are the last three axes, of which the line has z alone, the plane y and z.
    """
    d = len(strides)
    k, share = 0.25 * tau, 1.0 / (1 << d)
    z0, y0, x0 = strides[d - 1], strides[d - 2] if d > 1 else 0, strides[0] if d > 2 else 0
    nx, ny = 2 if d > 2 else 1, 2 if d > 1 else 1
    for a in range(d):
        Ma, M0a = M[a], M0[a]
        for q in range(M0a.shape[0]):
            Ma[q] = M0a[q]
    J = 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            price_ = phi[q] - V[q]
            zl, zh = k * g[d - 1, q - z0] ** 2, k * g[d - 1, q] ** 2
            yl, yh, xl, xh = 0.0, 0.0, 0.0, 0.0
            if d > 1:
                yl, yh = k * g[d - 2, q - y0] ** 2, k * g[d - 2, q] ** 2
            if d > 2:
                xl, xh = k * g[0, q - x0] ** 2, k * g[0, q] ** 2
            total, rzl, ryl, rxl, all_ = 0.0, 0.0, 0.0, 0.0, 0.0
            for ix in range(nx):
                px = price_ + (xh if ix else xl)
                for iy in range(ny):
                    py = px + (yh if iy else yl)
                    low, rl, wl = conjugate(kind, py + zl)
                    high, rh, wh = conjugate(kind, py + zh)
                    c = (ix * ny + iy) * 2
                    w[c, q], w[c + 1, q] = share * wl, share * wh
                    total += low + high
                    both = rl + rh
                    all_ += both
                    rzl += rl
                    if iy == 0:
                        ryl += both
                    if ix == 0:
                        rxl += both
            rho[q] = share * all_
            half = 0.5 * share
            M[d - 1, q - z0] += half * rzl
            M[d - 1, q] += half * (all_ - rzl)
            if d > 1:
                M[d - 2, q - y0] += half * ryl
                M[d - 2, q] += half * (all_ - ryl)
            if d > 2:
                M[0, q - x0] += half * rxl
                M[0, q] += half * (all_ - rxl)
            J += share * total - rho0[q] * phi[q]
            for a in range(d):
                J += 0.5 * tau * M0[a, q] * g[a, q] ** 2
    return J


@njit(cache=True)
def imbalance(
    strides: Any,
    rows: Fields,
    tau: float,
    inverse_h: Any,
    rho0: Fields,
    rho: Fields,
    M: Fields,
    g: Fields,
    F: Fields,
) -> float:
    """``F = rho - rho0 - tau div(M grad phi)``, the gradient of J, and its L1 norm per unit cell volume."""
    d = len(strides)
    norm = 0.0
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            f = rho[q] - rho0[q]
            for a in range(d):
                s = strides[a]
                f -= tau * inverse_h[a] * (M[a, q] * g[a, q] - M[a, q - s] * g[a, q - s])
            F[q] = f
            norm += abs(f)
    return norm


@njit(cache=True)
def prices(kind: Any, rho: Fields) -> Fields:
    """U'(rho) for an array of densities."""
    out = np.empty_like(rho)
    for q in range(rho.shape[0]):
        out[q] = marginal(kind, rho[q])[0]
    return out
