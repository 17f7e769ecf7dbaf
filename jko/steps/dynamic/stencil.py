"""The Hessian of the dual as a symmetric stencil, on the grid and on the coarser levels of the hierarchy; compiled.

``v . H v = sum_K sum_c w_c (v_K (1 - sum_a b_a) + sum_a b_a v_{K_a})^2 + sum_f tau M_f g_f(v)^2``

where K_a is the neighbour of the corner c across its face on axis a and ``b_a = tau/2 (+-) g_f / distance``: 9 points
in 2-D, 19 in 3-D.  Coarser levels carry the same formula with weights and mobilities summed and slopes averaged: a
discretisation of the same operator, not the Galerkin product, which would leak corrections of the vacuum into
the support.
"""

from __future__ import annotations

from typing import Any

from numba import njit

Fields = Any


@njit(cache=True)
def assemble(
    strides: Any,
    rows: Fields,
    begin: int,
    end: int,
    tau: float,
    w: Fields,
    K: Fields,
    g: Fields,
    inverse: Fields,
    shift: float,
    A: Fields,
    D: Fields,
    R: Fields,
) -> None:
    """Off-diagonals A, the diagonal D and its reciprocal R (0 on ghosts and obstacles) of the level [begin, end).

    The weights w are (2^d, total) on the grid and (1, total) on coarser levels, where one stands for all corners of a
    cell: that is what ``min(c, last)`` below reads.  The corners of each dimension are written out, for speed; a test
    holds them against the general formula in :mod:`jko.steps.dynamic.tensors.multigrid`.
    """
    for s in range(A.shape[0]):
        A[s, begin:end] = 0.0
    D[begin:end] = 0.0
    for a in range(len(strides)):
        _diffusion(strides[a], begin, end, tau, K[a], inverse[a], A[_axis_link(len(strides), a)], D)
    if len(strides) == 1:
        _corners1(rows, 0.5 * tau, w, g, inverse, A, D)
    elif len(strides) == 2:
        _corners2(strides, rows, 0.5 * tau, w, g, inverse, A, D)
    else:
        _corners3(strides, rows, 0.5 * tau, w, g, inverse, A, D)
    _reciprocal(shift, D[begin:end], R[begin:end])


@njit(cache=True)
def _diffusion(
    s: int, begin: int, end: int, tau: float, K: Fields, inverse: Fields, link: Fields, D: Fields
) -> None:
    here, back = K[begin + s : end - s], K[begin : end - 2 * s]
    scale, scale_back = inverse[begin + s : end - s], inverse[begin : end - 2 * s]
    d, out = D[begin + s : end - s], link[begin + s : end - s]
    for q in range(d.shape[0]):
        c = tau * here[q] * scale[q]
        out[q] = -c
        d[q] += c + tau * back[q] * scale_back[q]


@njit(cache=True)
def _reciprocal(shift: float, D: Fields, R: Fields) -> None:
    for q in range(D.shape[0]):
        d = D[q] + shift if D[q] > 0.0 else 0.0
        D[q] = d
        R[q] = 1.0 / d if d > 0.0 else 0.0


@njit(cache=True)
def _axis_link(d: int, a: int) -> int:
    # where the stride of axis a stands among the sorted offsets: 1 | 1, W-1, W, W+1 | 1, ., S1, ., ., ., S0, ., .
    if a == d - 1:
        return 0
    return 2 if a == d - 2 else 6


@njit(cache=True)
def _corners1(
    rows: Fields, k: float, w: Fields, g: Fields, inverse: Fields, A: Fields, D: Fields
) -> None:
    last = w.shape[0] - 1
    for q in range(rows[0], rows[0] + rows[3]):
        wl, wh = w[0, q], w[min(1, last), q]
        bl, bh = -k * g[0, q - 1] * inverse[0, q - 1], k * g[0, q] * inverse[0, q]
        D[q] += wl * (1.0 - bl) ** 2 + wh * (1.0 - bh) ** 2
        D[q - 1] += wl * bl * bl
        D[q + 1] += wh * bh * bh
        A[0, q - 1] += wl * (1.0 - bl) * bl
        A[0, q] += wh * (1.0 - bh) * bh


@njit(cache=True)
def _corners2(
    strides: Any,
    rows: Fields,
    k: float,
    w: Fields,
    g: Fields,
    inverse: Fields,
    A: Fields,
    D: Fields,
) -> None:
    W, last = strides[0], w.shape[0] - 1
    c1, c2, c3 = min(1, last), min(2, last), min(3, last)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            wll, wlh, whl, whh = w[0, q], w[c1, q], w[c2, q], w[c3, q]
            if wll + wlh + whl + whh == 0.0:
                continue
            xl, xh = -k * g[0, q - W] * inverse[0, q - W], k * g[0, q] * inverse[0, q]
            yl, yh = -k * g[1, q - 1] * inverse[1, q - 1], k * g[1, q] * inverse[1, q]
            all_, alh, ahl, ahh = 1.0 - xl - yl, 1.0 - xl - yh, 1.0 - xh - yl, 1.0 - xh - yh
            ull, ulh, uhl, uhh = wll * all_, wlh * alh, whl * ahl, whh * ahh
            D[q] += ull * all_ + ulh * alh + uhl * ahl + uhh * ahh
            D[q - W] += (wll + wlh) * xl * xl
            D[q + W] += (whl + whh) * xh * xh
            D[q - 1] += (wll + whl) * yl * yl
            D[q + 1] += (wlh + whh) * yh * yh
            A[2, q - W] += (ull + ulh) * xl
            A[2, q] += (uhl + uhh) * xh
            A[0, q - 1] += (ull + uhl) * yl
            A[0, q] += (ulh + uhh) * yh
            A[1, q - W] += wll * xl * yl
            A[3, q - W] += wlh * xl * yh
            A[3, q - 1] += whl * xh * yl
            A[1, q + 1] += whh * xh * yh


@njit(cache=True)
def _corners3(
    strides: Any,
    rows: Fields,
    k: float,
    w: Fields,
    g: Fields,
    inverse: Fields,
    A: Fields,
    D: Fields,
) -> None:
    X, Y, last = strides[0], strides[1], w.shape[0] - 1
    c1, c2, c3, c4 = min(1, last), min(2, last), min(3, last), min(4, last)
    c5, c6, c7 = min(5, last), min(6, last), min(7, last)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            w0, w1, w2, w3 = w[0, q], w[c1, q], w[c2, q], w[c3, q]
            w4, w5, w6, w7 = w[c4, q], w[c5, q], w[c6, q], w[c7, q]
            if w0 + w1 + w2 + w3 + w4 + w5 + w6 + w7 == 0.0:
                continue
            xl, xh = -k * g[0, q - X] * inverse[0, q - X], k * g[0, q] * inverse[0, q]
            yl, yh = -k * g[1, q - Y] * inverse[1, q - Y], k * g[1, q] * inverse[1, q]
            zl, zh = -k * g[2, q - 1] * inverse[2, q - 1], k * g[2, q] * inverse[2, q]
            a0, a1, a2, a3 = 1 - xl - yl - zl, 1 - xl - yl - zh, 1 - xl - yh - zl, 1 - xl - yh - zh
            a4, a5, a6, a7 = 1 - xh - yl - zl, 1 - xh - yl - zh, 1 - xh - yh - zl, 1 - xh - yh - zh
            u0, u1, u2, u3 = w0 * a0, w1 * a1, w2 * a2, w3 * a3
            u4, u5, u6, u7 = w4 * a4, w5 * a5, w6 * a6, w7 * a7
            D[q] += u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3 + u4 * a4 + u5 * a5 + u6 * a6 + u7 * a7
            D[q - X] += (w0 + w1 + w2 + w3) * xl * xl
            D[q + X] += (w4 + w5 + w6 + w7) * xh * xh
            D[q - Y] += (w0 + w1 + w4 + w5) * yl * yl
            D[q + Y] += (w2 + w3 + w6 + w7) * yh * yh
            D[q - 1] += (w0 + w2 + w4 + w6) * zl * zl
            D[q + 1] += (w1 + w3 + w5 + w7) * zh * zh
            A[6, q - X] += (u0 + u1 + u2 + u3) * xl
            A[6, q] += (u4 + u5 + u6 + u7) * xh
            A[2, q - Y] += (u0 + u1 + u4 + u5) * yl
            A[2, q] += (u2 + u3 + u6 + u7) * yh
            A[0, q - 1] += (u0 + u2 + u4 + u6) * zl
            A[0, q] += (u1 + u3 + u5 + u7) * zh
            # pairs of neighbours, stored at the one that comes first: offsets X-Y, X+Y (4, 8)
            A[4, q - X] += (w0 + w1) * xl * yl
            A[8, q - X] += (w2 + w3) * xl * yh
            A[8, q - Y] += (w4 + w5) * xh * yl
            A[4, q + Y] += (w6 + w7) * xh * yh
            # X-1, X+1 (5, 7)
            A[5, q - X] += (w0 + w2) * xl * zl
            A[7, q - X] += (w1 + w3) * xl * zh
            A[7, q - 1] += (w4 + w6) * xh * zl
            A[5, q + 1] += (w5 + w7) * xh * zh
            # Y-1, Y+1 (1, 3)
            A[1, q - Y] += (w0 + w4) * yl * zl
            A[3, q - Y] += (w1 + w5) * yl * zh
            A[3, q - 1] += (w2 + w6) * yh * zl
            A[1, q + 1] += (w3 + w7) * yh * zh


@njit(cache=True)
def coarsen(
    strides: Any,
    begin: int,
    end: int,
    last: int,
    parent: Fields,
    share: Fields,
    fine: Fields,
    w: Fields,
    K: Fields,
    g: Fields,
) -> None:
    """From the level [begin, end) with the weights ``fine`` to [end, last): sums of the weights (over cells, mean over
    corners) and of mobilities x area, mean slopes of the faces that make up a coarse face.
    """
    w[0, end:last] = 0.0
    for a in range(len(strides)):
        K[a, end:last] = 0.0
        g[a, end:last] = 0.0
    part, top = 1.0 / fine.shape[0], end - strides[0]
    for q in range(begin, top):
        c = parent[q]
        if c == end:
            continue
        total = 0.0
        for k in range(fine.shape[0]):
            total += fine[k, q]
        w[0, c] += part * total
        for a in range(len(strides)):
            if c != parent[q + strides[a]]:
                K[a, c] += K[a, q]
                g[a, c] += g[a, q] * share[a, c]
