"""What the corners of cells add to the stencil, term by term; compiled.

The terms of some cells stand in one flat array of rows of ``BLOCK`` numbers: the weights of the corners, the ratios b
of their faces (lower and upper on every axis), and what is made of them, in the order in which
:mod:`jko.steps.dynamic.stencil` adds it up: the diagonal of the cell, those of its neighbours, the links with its
neighbours, and those between two neighbours.  One array, so that the compiler sees that no row overlaps another, and
makes vector instructions of the loops.
"""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from jko.numerics.compiled import njit

Fields = Any
B = BLOCK = 256


@njit(cache=True)
def rows_of(d: int) -> tuple[int, int, int]:
    """Where the ratios stand, where the results, and how many rows there are, in d dimensions."""
    ratios = 1 << d
    sums = ratios + 2 * d
    return ratios, sums, sums + 1 + 4 * d + 2 * d * (d - 1)


@njit(cache=True)
def row_of(terms: Fields, row: int, m: int) -> Fields:
    """The first m numbers of a row."""
    return terms[row * BLOCK : row * BLOCK + m]


def _line(strides: Any, m: Any, t: Any) -> Any:
    """The terms of m cells of a line."""
    for j in range(m):
        wl, wh, bl, bh = t[j], t[B + j], t[2 * B + j], t[3 * B + j]
        ul, uh = wl * (1.0 - bl), wh * (1.0 - bh)
        t[4 * B + j] = ul * (1.0 - bl) + uh * (1.0 - bh)
        t[5 * B + j], t[6 * B + j] = wl * bl * bl, wh * bh * bh
        t[7 * B + j], t[8 * B + j] = ul * bl, uh * bh


def _plane(strides: Any, m: Any, t: Any) -> Any:
    """The terms of m cells of a plane."""
    for j in range(m):
        w0, w1, w2, w3 = t[j], t[B + j], t[2 * B + j], t[3 * B + j]
        xl, xh, yl, yh = t[4 * B + j], t[5 * B + j], t[6 * B + j], t[7 * B + j]
        a0, a1, a2, a3 = 1.0 - xl - yl, 1.0 - xl - yh, 1.0 - xh - yl, 1.0 - xh - yh
        u0, u1, u2, u3 = w0 * a0, w1 * a1, w2 * a2, w3 * a3
        t[8 * B + j] = u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3
        t[9 * B + j], t[10 * B + j] = (w0 + w1) * xl * xl, (w2 + w3) * xh * xh
        t[11 * B + j], t[12 * B + j] = (w0 + w2) * yl * yl, (w1 + w3) * yh * yh
        t[13 * B + j], t[14 * B + j] = (u0 + u1) * xl, (u2 + u3) * xh
        t[15 * B + j], t[16 * B + j] = (u0 + u2) * yl, (u1 + u3) * yh
        t[17 * B + j], t[18 * B + j] = w0 * xl * yl, w1 * xl * yh
        t[19 * B + j], t[20 * B + j] = w2 * xh * yl, w3 * xh * yh


def _space(strides: Any, m: Any, t: Any) -> Any:
    """The terms of m cells in space."""
    for j in range(m):
        w0, w1, w2, w3 = t[j], t[B + j], t[2 * B + j], t[3 * B + j]
        w4, w5, w6, w7 = t[4 * B + j], t[5 * B + j], t[6 * B + j], t[7 * B + j]
        xl, xh, yl, yh = t[8 * B + j], t[9 * B + j], t[10 * B + j], t[11 * B + j]
        zl, zh = t[12 * B + j], t[13 * B + j]
        a0, a1, a2, a3 = 1 - xl - yl - zl, 1 - xl - yl - zh, 1 - xl - yh - zl, 1 - xl - yh - zh
        a4, a5, a6, a7 = 1 - xh - yl - zl, 1 - xh - yl - zh, 1 - xh - yh - zl, 1 - xh - yh - zh
        u0, u1, u2, u3 = w0 * a0, w1 * a1, w2 * a2, w3 * a3
        u4, u5, u6, u7 = w4 * a4, w5 * a5, w6 * a6, w7 * a7
        own = u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3 + u4 * a4 + u5 * a5 + u6 * a6 + u7 * a7
        t[14 * B + j] = own
        t[15 * B + j], t[16 * B + j] = (w0 + w1 + w2 + w3) * xl * xl, (w4 + w5 + w6 + w7) * xh * xh
        t[17 * B + j], t[18 * B + j] = (w0 + w1 + w4 + w5) * yl * yl, (w2 + w3 + w6 + w7) * yh * yh
        t[19 * B + j], t[20 * B + j] = (w0 + w2 + w4 + w6) * zl * zl, (w1 + w3 + w5 + w7) * zh * zh
        t[21 * B + j], t[22 * B + j] = (u0 + u1 + u2 + u3) * xl, (u4 + u5 + u6 + u7) * xh
        t[23 * B + j], t[24 * B + j] = (u0 + u1 + u4 + u5) * yl, (u2 + u3 + u6 + u7) * yh
        t[25 * B + j], t[26 * B + j] = (u0 + u2 + u4 + u6) * zl, (u1 + u3 + u5 + u7) * zh
        t[27 * B + j], t[28 * B + j] = (w0 + w1) * xl * yl, (w2 + w3) * xl * yh
        t[29 * B + j], t[30 * B + j] = (w4 + w5) * xh * yl, (w6 + w7) * xh * yh
        t[31 * B + j], t[32 * B + j] = (w0 + w2) * xl * zl, (w1 + w3) * xl * zh
        t[33 * B + j], t[34 * B + j] = (w4 + w6) * xh * zl, (w5 + w7) * xh * zh
        t[35 * B + j], t[36 * B + j] = (w0 + w4) * yl * zl, (w1 + w5) * yl * zh
        t[37 * B + j], t[38 * B + j] = (w2 + w6) * yh * zl, (w3 + w7) * yh * zh


def corner_terms(strides: Any, m: int, t: Fields) -> None:
    """The terms of m cells, in as many dimensions as there are strides; for compiled code, which replaces this body."""
    raise NotImplementedError


@overload(corner_terms, jit_options={"fastmath": {"contract"}})
def _corner_terms(strides: Any, m: Any, t: Any) -> Any:
    return (_line, _plane, _space)[len(strides) - 1]
