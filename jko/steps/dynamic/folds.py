"""How the cells of a level merge into those of the next, row by row; compiled.

A fold is (rows in a plane, those of them that are no ghosts, cells that merge along the first, the second and the last
axis); the plane and the line have one plane.  An odd cell at the end stays alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jko.numerics.compiled import njit

Fields = Any


@njit(cache=True)
def coarse_row(row: int, fold: Fields, rows: Fields, coarse_fold: Fields) -> int:
    """Where the row begins on the next level, whose rows are ``rows``; -1 for rows of ghosts."""
    plane, line = row // fold[0], row % fold[0]
    if line >= fold[1]:
        return -1
    return rows[0] + (plane // fold[2] * coarse_fold[0] + line // fold[3]) * rows[2]


@njit(cache=True)
def is_ghost(row: int, fold: Fields) -> bool:
    """Whether a row is one of ghosts."""
    return row % fold[0] >= fold[1]


@njit(cache=True)
def is_last(row: int, fold: Fields, axis: int) -> bool:
    """Whether a row is the last of those that merge along an axis, counted from the last one."""
    place = row % fold[0] if axis == 1 else row // fold[0]
    return place % fold[4 - axis] == fold[4 - axis] - 1


@njit(cache=True)
def add_sums(fine: Fields, merged: int, out: Fields) -> None:
    """Add what merges: a row to one of the next level."""
    if merged == 1:
        for j in range(out.shape[0]):
            out[j] += fine[j]
        return
    pairs = fine.shape[0] // 2
    for j in range(pairs):
        out[j] += fine[2 * j] + fine[2 * j + 1]
    if pairs < out.shape[0]:
        out[pairs] += fine[2 * pairs]


@njit(cache=True)
def add_last(fine: Fields, merged: int, out: Fields) -> None:
    """Add the last of each pair that merges: its face is one of the next level's."""
    for j in range(fine.shape[0] // merged):
        out[j] += fine[merged * j + merged - 1]


@njit(cache=True)
def add_copies(coarse: Fields, merged: int, out: Fields) -> None:
    """The adjoint of :func:`add_sums`."""
    if merged == 1:
        for j in range(out.shape[0]):
            out[j] += coarse[j]
        return
    pairs = out.shape[0] // 2
    for j in range(pairs):
        out[2 * j] += coarse[j]
        out[2 * j + 1] += coarse[j]
    if pairs < coarse.shape[0]:
        out[2 * pairs] += coarse[pairs]


@njit(cache=True)
def coarsen(
    rows: Fields,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    share: Fields,
    fine: Fields,
    w: Fields,
    K: Fields,
    g: Fields,
) -> None:
    """To the next level: sums of the weights (over cells, mean over corners) and of mobilities x area, mean slopes of
    the faces that make up a coarse face.
    """
    m, d, part = rows[3], K.shape[0], 1.0 / fine.shape[0]
    row_sum, faces = np.empty(m), np.empty(coarse[3])
    for row in range(rows[1]):
        to = coarse_row(row, fold, coarse, coarse_fold)
        if to < 0:
            continue
        q, end = rows[0] + row * rows[2], to + coarse[3]
        row_sum[:] = 0.0
        for c in range(fine.shape[0]):
            for j in range(m):
                row_sum[j] += fine[c, q + j]
        for j in range(m):
            row_sum[j] *= part
        add_sums(row_sum, fold[4], w[0, to:end])
        for a in range(d):
            along = a == d - 1
            if not (along or is_last(row, fold, d - 1 - a)):
                continue
            faces[:] = 0.0
            if along:
                add_last(K[a, q : q + m], fold[4], K[a, to:end])
                add_last(g[a, q : q + m], fold[4], faces)
            else:
                add_sums(K[a, q : q + m], fold[4], K[a, to:end])
                add_sums(g[a, q : q + m], fold[4], faces)
            for j in range(faces.shape[0]):
                g[a, to + j] += share[a, to + j] * faces[j]
