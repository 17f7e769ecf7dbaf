"""Gauss-Seidel sweeps over the rows of a level, and what passes between it and the next; compiled.

A sweep goes from cell to cell of a row, and so is serial there; what a row takes from others is summed first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jko.numerics.compiled import njit
from jko.steps.dynamic.folds import add_copies, add_sums, coarse_row, is_ghost
from jko.steps.dynamic.seams import clear, echo

Fields = Any
SWEEPS = 6  # on the coarsest level


@njit(cache=True, fastmath={"contract"})
def down(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """One forward sweep from x = 0; then the residual, which is -U x, summed over children, is added to b below."""
    behind = offsets[-1] // rows[2]  # rows after which all is known that a row's residual needs
    for row in range(rows[1] + behind):
        if row < rows[1]:
            first_row(A, R, offsets, rows[0] + row * rows[2], rows[3], b, x, t)
        if row >= behind:
            _residual(A, offsets, rows, row - behind, fold, coarse, coarse_fold, x, b, t)


@njit(cache=True, fastmath={"contract"})
def first_row(
    A: Fields, R: Fields, offsets: Fields, q: int, m: int, b: Fields, x: Fields, t: Fields
) -> None:
    """One forward sweep from x = 0."""
    rhs, r = b[q : q + m], R[q : q + m]
    for j in range(m):
        t[j] = rhs[j]
    for s in range(1, A.shape[0]):
        o = offsets[s]
        down, before = A[s, q - o : q - o + m], x[q - o : q - o + m]
        for j in range(m):
            t[j] -= down[j] * before[j]
    left, out, last = A[0, q - 1 : q - 1 + m], x[q : q + m], np.float32(0.0)
    for j in range(m):
        t[j] *= r[j]
    for j in range(m):
        last = t[j] - (r[j] * left[j]) * last
        out[j] = last


@njit(cache=True, fastmath={"contract"})
def _residual(
    A: Fields,
    offsets: Fields,
    rows: Fields,
    row: int,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    x: Fields,
    b: Fields,
    t: Fields,
) -> None:
    to = coarse_row(row, fold, coarse, coarse_fold)
    if to < 0:
        return
    q, m = rows[0] + row * rows[2], rows[3]
    for j in range(m):
        t[j] = np.float32(0.0)
    for s in range(A.shape[0]):
        o = offsets[s]
        up, after = A[s, q : q + m], x[q + o : q + o + m]
        for j in range(m):
            t[j] -= up[j] * after[j]
    add_sums(t[:m], fold[4], b[to : to + coarse[3]])


@njit(cache=True, fastmath={"contract"})
def up(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """x plus copies of what is below, and one backward sweep."""
    m, ahead = rows[3], offsets[-1] // rows[2]  # rows before, which a row's sweep reads
    for row in range(rows[1] - 1, -1 - ahead, -1):
        if row >= 0:
            to = coarse_row(row, fold, coarse, coarse_fold)
            if to >= 0:
                q = rows[0] + row * rows[2]
                add_copies(x[to : to + coarse[3]], fold[4], x[q : q + m])
        if row + ahead < rows[1]:
            backward_row(A, R, offsets, rows[0] + (row + ahead) * rows[2], m, b, x, t)


@njit(cache=True, fastmath={"contract"})
def backward_row(
    A: Fields, R: Fields, offsets: Fields, q: int, m: int, b: Fields, x: Fields, t: Fields
) -> None:
    """One backward sweep."""
    rhs, r = b[q : q + m], R[q : q + m]
    left, before_ = A[0, q - 1 : q - 1 + m], x[q - 1 : q - 1 + m]
    for j in range(m):
        t[j] = rhs[j] - left[j] * before_[j]
    for s in range(1, A.shape[0]):
        o = offsets[s]
        up, down = A[s, q : q + m], A[s, q - o : q - o + m]
        after, before = x[q + o : q + o + m], x[q - o : q - o + m]
        for j in range(m):
            t[j] -= up[j] * after[j] + down[j] * before[j]
    right, last, out = A[0, q : q + m], x[q + m], x[q : q + m]
    for j in range(m):
        t[j] *= r[j]
    for i in range(m):
        j = m - 1 - i
        last = t[j] - (r[j] * right[j]) * last
        out[j] = last


@njit(cache=True, fastmath={"contract"})
def forward_row(
    A: Fields, R: Fields, offsets: Fields, q: int, m: int, b: Fields, x: Fields, t: Fields
) -> None:
    """One forward sweep."""
    rhs, r = b[q : q + m], R[q : q + m]
    right, after_ = A[0, q : q + m], x[q + 1 : q + 1 + m]
    for j in range(m):
        t[j] = rhs[j] - right[j] * after_[j]
    for s in range(1, A.shape[0]):
        o = offsets[s]
        up, down = A[s, q : q + m], A[s, q - o : q - o + m]
        after, before = x[q + o : q + o + m], x[q - o : q - o + m]
        for j in range(m):
            t[j] -= up[j] * after[j] + down[j] * before[j]
    left, last, out = A[0, q - 1 : q - 1 + m], x[q - 1], x[q : q + m]
    for j in range(m):
        last = r[j] * (t[j] - left[j] * last)
        out[j] = last


def coarsest(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    seams: Any,
    level: int,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """A symmetric sequence of sweeps from x = 0."""
    forwards(True, A, R, offsets, rows, fold, seams, level, b, x, t)
    for sweep in range(SWEEPS):
        if sweep:
            forwards(False, A, R, offsets, rows, fold, seams, level, b, x, t)
        backwards(A, R, offsets, rows, fold, seams, level, b, x, t)


@njit(cache=True)
def forwards(
    from_zero: bool,
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    seams: Any,
    level: int,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """A forward sweep; what is beyond a seam stands still, so that it is the adjoint of one backwards."""
    if from_zero:
        clear(x, seams, level)
    else:
        echo(x, seams, level)
    for row in range(rows[1]):
        q = rows[0] + row * rows[2]
        if is_ghost(row, fold):
            continue
        if from_zero:
            first_row(A, R, offsets, q, rows[3], b, x, t)
        else:
            forward_row(A, R, offsets, q, rows[3], b, x, t)


@njit(cache=True)
def backwards(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    seams: Any,
    level: int,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """A backward sweep, the same."""
    echo(x, seams, level)
    for row in range(rows[1] - 1, -1, -1):
        if not is_ghost(row, fold):
            backward_row(A, R, offsets, rows[0] + row * rows[2], rows[3], b, x, t)


@njit(cache=True)
def down_around(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    seams: Any,
    level: int,
    b: Fields,
    x: Fields,
    t: Fields,
    beyond: Fields,
) -> None:
    """:func:`down` where the grid comes round: the residual is -U x minus the links with the ghosts before a cell.

    ``beyond`` is x on the ghosts, and zero elsewhere.
    """
    forwards(True, A, R, offsets, rows, fold, seams, level, b, x, t)
    echo(x, seams, level)
    for i in range(seams.start[level], seams.start[level + 1]):
        beyond[seams.ghosts[i]] = x[seams.ghosts[i]]
    m = rows[3]
    for row in range(rows[1]):
        to = coarse_row(row, fold, coarse, coarse_fold)
        if to < 0:
            continue
        q = rows[0] + row * rows[2]
        for j in range(m):
            t[j] = np.float32(0.0)
        for s in range(A.shape[0]):
            o = offsets[s]
            up, down = A[s, q : q + m], A[s, q - o : q - o + m]
            after, before = x[q + o : q + o + m], beyond[q - o : q - o + m]
            for j in range(m):
                t[j] -= up[j] * after[j] + down[j] * before[j]
        add_sums(t[:m], fold[4], b[to : to + coarse[3]])


@njit(cache=True)
def up_around(
    A: Fields,
    R: Fields,
    offsets: Fields,
    rows: Fields,
    fold: Fields,
    coarse: Fields,
    coarse_fold: Fields,
    seams: Any,
    level: int,
    b: Fields,
    x: Fields,
    t: Fields,
) -> None:
    """:func:`up` where the grid comes round."""
    for row in range(rows[1]):
        to = coarse_row(row, fold, coarse, coarse_fold)
        if to >= 0:
            q = rows[0] + row * rows[2]
            add_copies(x[to : to + coarse[3]], fold[4], x[q : q + rows[3]])
    backwards(A, R, offsets, rows, fold, seams, level, b, x, t)
