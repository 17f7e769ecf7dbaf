"""The dual function of a step and its first derivative, in corner form; compiled.

Fields are flat with ghosts (see :mod:`jko.steps.dynamic.layout`).  The loops run over blocks of cells that follow in
memory, ghosts included, where nothing is: every loop writes one or two short arrays and so becomes vector instructions,
and what it writes is still near when the next one reads it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jko.numerics.compiled import njit
from jko.steps.dynamic.conjugates import conjugate, marginal

Fields = Any
BLOCK = 512  # cells; the arrays of a block fit in the fastest memory


@njit(cache=True)
def extent(rows: Fields) -> tuple[int, int]:
    """The first cell that is no ghost, and the one after the last."""
    return rows[0], rows[0] + (rows[1] - 1) * rows[2] + rows[3]


@njit(cache=True)
def corner_rise(
    start: float,
    c: int,
    q: int,
    strides: Any,
    tau: float,
    inverse: Fields,
    g: Fields,
    step: Fields,
) -> float:
    """``start`` less what the price of a corner loses to the slopes of ``phi -= step``, to first order."""
    d = len(strides)
    for a in range(d):
        face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
        slope = inverse[a, face] * (step[face + strides[a]] - step[face])
        start -= 0.5 * tau * g[a, face] * slope
    return start


@njit(cache=True)
def slopes(phi: Fields, strides: Any, inverse: Fields, g: Fields) -> None:
    """Forward differences of phi on open faces."""
    for a in range(len(strides)):
        _slopes(phi, strides[a], inverse[a], g[a], 0, phi.shape[0] - strides[a])


@njit(cache=True)
def _slopes(phi: Fields, s: int, inverse: Fields, g: Fields, begin: int, end: int) -> None:
    here, there, scale, out = (
        phi[begin:end],
        phi[begin + s : end + s],
        inverse[begin:end],
        g[begin:end],
    )
    for j in range(out.shape[0]):
        out[j] = scale[j] * (there[j] - here[j])


@njit(cache=True)
def mobilities(
    strides: Fields, rows: Fields, inverse: Fields, rho0: Fields, eps: float, M0: Fields
) -> None:
    """``M0 = (rho_0,K + rho_0,L) / 4 + eps`` on open faces."""
    first, last = extent(rows)
    for a in range(strides.shape[0]):
        s = strides[a]
        here, there, scale, out = (
            rho0[first:last],
            rho0[first + s : last + s],
            inverse[a, first:last],
            M0[a, first:last],
        )
        for q in range(last - first):
            out[q] = 0.25 * (here[q] + there[q]) + eps if scale[q] > 0.0 else 0.0


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


@njit(cache=True, fastmath={"contract", "reassoc"})
def dot(x: Fields, y: Fields) -> float:
    """``sum x y``."""
    total = 0.0
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@njit(cache=True, fastmath={"contract", "reassoc"})
def action(M: Fields, g: Fields) -> float:
    """``sum M g^2``."""
    total = 0.0
    for j in range(M.shape[0]):
        total += M[j] * g[j] * g[j]
    return total


@njit(cache=True)
def copy(x: Fields, out: Fields) -> None:
    """``out = x``: numba takes seconds to compile the assignment of a slice."""
    for j in range(out.shape[0]):
        out[j] = x[j]


@njit(cache=True)
def _minus(x: Fields, y: Fields, out: Fields) -> None:
    for j in range(x.shape[0]):
        out[j] = x[j] - y[j]


@njit(cache=True, fastmath={"contract"})
def _add_square(k: float, x: Fields, out: Fields) -> None:
    for j in range(x.shape[0]):
        out[j] += k * x[j] * x[j]


@njit(cache=True, fastmath={"contract"})
def _add(k: float, x: Fields, y: Fields, out: Fields) -> None:
    for j in range(out.shape[0]):
        out[j] += k * (x[j] + y[j])


@njit(cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _corner(
    kind: Any, k: float, share: float, price: Fields, g: Fields, r: Fields, w: Fields
) -> float:
    """Densities and weights of one corner of some cells, and the sum of U*; ``price`` is without the last axis."""
    total = 0.0
    for j in range(g.shape[0]):
        value, r[j], weight = conjugate(kind, price[j] + k * g[j] * g[j])
        w[j] = share * weight
        total += value
    return total


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def evaluate(
    kind: Any,
    strides: Fields,
    rows: Fields,
    tau: float,
    inverse: Fields,
    phi: Fields,
    V: Fields,
    rho0: Fields,
    M0: Fields,
    g: Fields,
    rho: Fields,
    M: Fields,
    w: Fields,
) -> float:
    """J per unit cell volume; writes slopes, density, face mobilities and the corner weights (U*)''(p_c) / 2^d.

    ``J = sum_K mean_c U*(p_c) - rho0 phi + sum_f tau/2 M0 g^2``, ``p_c = phi - V + tau/4 sum_a g_{c,a}^2``

    Corners are numbered by the faces that they touch, one bit an axis, the last axis fastest (l lower, h upper face):

    ======  ====  ====  ====  ====  ====  ====  ====  ====
    number  0     1     2     3     4     5     6     7
    line    l     h
    plane   ll    lh    hl    hh
    space   lll   llh   lhl   lhh   hll   hlh   hhl   hhh
    ======  ====  ====  ====  ====  ====  ====  ====  ====
    """
    d, corners = strides.shape[0], w.shape[0]
    share, k = 1.0 / corners, 0.25 * tau
    first, last = extent(rows)
    p, r = np.empty(BLOCK), np.zeros((corners + 1, BLOCK))  # the last row stays zero
    J, done = 0.0, first - strides[0]  # before are ghosts, whose faces are closed
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        m = end - begin
        for a in range(d):
            _slopes(phi, strides[a], inverse[a], g[a], done, end)
            copy(M0[a, done:end], M[a, done:end])
            J += 2.0 * k * action(M0[a, begin:end], g[a, begin:end])
        done = end
        for outer in range(0, corners, 2):
            _minus(phi[begin:end], V[begin:end], p)
            for a in range(d - 1):
                face = begin if (outer >> (d - 1 - a)) & 1 else begin - strides[a]
                _add_square(k, g[a, face : face + m], p)
            for c in range(outer, outer + 2):
                face = begin if c & 1 else begin - 1
                g_ = g[d - 1, face : face + m]
                J += share * _corner(kind, k, share, p, g_, r[c], w[c, begin:end])
        J -= dot(rho0[begin:end], phi[begin:end])
        rho[begin:end] = 0.0
        for c in range(0, corners, 2):
            _add(share, r[c], r[c + 1], rho[begin:end])
        for a in range(d):
            step = 2 if a == d - 1 else 1  # two corners on one side of the axis: c and c + step
            bit = 1 << (d - 1 - a)
            for c in range(corners):
                if c & step and corners > 2:
                    continue
                other = c + step if corners > 2 else corners
                face = begin if c & bit else begin - strides[a]
                _add(0.5 * share, r[c], r[other], M[a, face : face + m])
    return J


@njit(cache=True, fastmath={"contract", "reassoc"})
def imbalance(
    strides: Fields,
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
    norm = 0.0
    first, last = extent(rows)
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        out, new, old = F[begin:end], rho[begin:end], rho0[begin:end]
        for j in range(out.shape[0]):
            out[j] = new[j] - old[j]
        for a in range(strides.shape[0]):
            s, scale = strides[a], tau * inverse_h[a]
            M_, g_ = M[a, begin:end], g[a, begin:end]
            M_before, g_before = M[a, begin - s : end - s], g[a, begin - s : end - s]
            for j in range(out.shape[0]):
                out[j] -= scale * (M_[j] * g_[j] - M_before[j] * g_before[j])
        part = 0.0
        for j in range(out.shape[0]):
            part += abs(out[j])
        norm += part
    return norm


@njit(cache=True)
def prices(kind: Any, rho: Fields) -> Fields:
    """U'(rho) for an array of densities."""
    out = np.empty_like(rho)
    for q in range(rho.shape[0]):
        out[q] = marginal(kind, rho[q])[0]
    return out
