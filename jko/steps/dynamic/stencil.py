"""The Hessian of the dual as a symmetric stencil, on the grid and on the coarser levels of the hierarchy; compiled.

``v . H v = sum_K sum_c w_c (v_K (1 - sum_a b_a) + sum_a b_a v_{K_a})^2 + sum_f tau M_f g_f(v)^2``

where K_a is the neighbour of the corner c across its face on axis a and ``b_a = tau/2 (+-) g_f / distance``: 9 points
in 2-D, 19 in 3-D.  Coarser levels carry the same formula with weights and mobilities summed and slopes averaged: a
discretisation of the same operator, not the Galerkin product, which would leak corrections of the vacuum into
the support.

As in :mod:`jko.steps.dynamic.kernels` the loops run over blocks of cells that follow in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jko.numerics.compiled import njit
from jko.steps.dynamic.corner_sums import BLOCK, corner_terms, row_of, rows_of
from jko.steps.dynamic.folds import coarsen
from jko.steps.dynamic.kernels import copy, extent
from jko.steps.dynamic.seams import clear_links, fold_links, merge_alone

Fields = Any
LARGEST = (
    1e30  # entries of the preconditioner, relative to its scale; single precision ends at 3e38
)


def hessian(
    start: Fields,
    strides: Fields,
    offsets: Fields,
    rows: Fields,
    folds: Fields,
    seams: Any,
    inverse: Fields,
    share: Fields,
    tau: float,
    shift: float,
    scale: float,
    w: Fields,
    M: Fields,
    g: Fields,
    coarse_w: Fields,
    K: Fields,
    A: Fields,
    D: Fields,
    single: Fields,
    R: Fields,
) -> None:
    """Off-diagonals A and the diagonal D of all levels; ``scale`` times A, and the reciprocal R of ``scale`` times D,
    in single precision (0 on ghosts and obstacles).

    The weights w are (2^d, size) on the grid and (1, total) on coarser levels, where one stands for all corners of a
    cell.  On the grid K is ``M / h``.
    """
    fine, last = w, len(rows) - 1
    for k in range(last + 1):
        here = (tuple(int(s) for s in strides[k]), offsets[k], rows[k], start[k])
        comes_round = bool(seams.start[k] < seams.start[k + 1])
        if comes_round:
            clear_links(seams, k, A, D)
        own = 0.0 if comes_round else shift
        _assemble(here, tau, own, scale, fine, M, K, g, inverse, A, D, single, R)
        if comes_round:
            fold_links(seams, k, A, D)
            _finish(start[k], start[k + 1], shift, scale, A, D, single, R)
        if k < last:
            below = slice(start[k + 1], start[k + 2])
            for field in (K, g, coarse_w):
                field[:, below] = 0.0
            coarsen(rows[k], folds[k], rows[k + 1], folds[k + 1], share, fine, coarse_w, K, g)
            if comes_round:
                merge_alone(K, g, share, seams, k)
            fine = coarse_w


@njit(cache=True)
def _assemble(
    level: Any,
    tau: float,
    shift: float,
    scale: float,
    w: Fields,
    M: Fields,
    K: Fields,
    g: Fields,
    inverse: Fields,
    A: Fields,
    D: Fields,
    single: Fields,
    R: Fields,
) -> None:
    strides, _, rows, _ = level
    reach = strides[0]
    first, last = extent(rows)
    terms = np.empty(rows_of(len(strides))[2] * BLOCK)
    begun, done = (
        first - reach,
        first - reach,
    )  # from where cells have not been begun, not been done
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        _begin(level, begun, end + reach, tau, M, K, inverse, A, D)
        begun = end + reach
        if not _vanish(w[:, begin:end]):
            _corners(level, begin, end, tau, w, g, inverse, terms, A, D)
        to = last if end == last else max(done, end - reach)
        _finish(done, to, shift, scale, A, D, single, R)
        done = to


@njit(cache=True)
def _begin(
    level: Any,
    begin: int,
    end: int,
    tau: float,
    M: Fields,
    K: Fields,
    inverse: Fields,
    A: Fields,
    D: Fields,
) -> None:
    """Begin with the mobility's share; on the grid K is written too."""
    strides, offsets, _, start = level
    D[begin:end] = 0.0
    for s in range(A.shape[0]):
        A[s, begin:end] = 0.0
    for a in range(len(strides)):
        if start == 0:
            _product(1.0, M[a, begin:end], inverse[a, begin:end], K[a, begin:end])
        s = strides[a]
        link, low = A[_place(offsets, s)], max(begin, start + s)
        _product(-tau, K[a, begin:end], inverse[a, begin:end], link[begin:end])
        _subtract(link[low:end], link[low - s : end - s], D[low:end])


@njit(cache=True)
def _corners(
    level: Any,
    begin: int,
    end: int,
    tau: float,
    w: Fields,
    g: Fields,
    inverse: Fields,
    terms: Fields,
    A: Fields,
    D: Fields,
) -> None:
    """Add the corners' share of the cells from ``begin`` to ``end``."""
    strides, offsets, _, _ = level
    d, m = len(strides), end - begin
    ratios, at, _ = rows_of(d)
    for c in range(1 << d):
        copy(w[min(c, w.shape[0] - 1), begin:end], row_of(terms, c, m))
    for a in range(d):
        s, low = strides[a], ratios + 2 * a
        _product(
            -0.5 * tau,
            g[a, begin - s : end - s],
            inverse[a, begin - s : end - s],
            row_of(terms, low, m),
        )
        _product(0.5 * tau, g[a, begin:end], inverse[a, begin:end], row_of(terms, low + 1, m))
    corner_terms(strides, m, terms)
    _add(row_of(terms, at, m), D[begin:end])
    for a in range(d):
        s, link = strides[a], A[_place(offsets, strides[a])]
        _add(row_of(terms, at + 1 + 2 * a, m), D[begin - s : end - s])
        _add(row_of(terms, at + 2 + 2 * a, m), D[begin + s : end + s])
        _add(row_of(terms, at + 1 + 2 * d + 2 * a, m), link[begin - s : end - s])
        _add(row_of(terms, at + 2 + 2 * d + 2 * a, m), link[begin:end])
    at += 1 + 4 * d
    for a in range(d):
        for b in range(a + 1, d):
            s, o = strides[a], strides[b]
            same, across = A[_place(offsets, s - o)], A[_place(offsets, s + o)]
            _add(row_of(terms, at, m), same[begin - s : end - s])
            _add(row_of(terms, at + 1, m), across[begin - s : end - s])
            _add(row_of(terms, at + 2, m), across[begin - o : end - o])
            _add(row_of(terms, at + 3, m), same[begin + o : end + o])
            at += 4


@njit(cache=True)
def _place(offsets: Fields, o: int) -> int:
    for s in range(offsets.shape[0]):
        if offsets[s] == o:
            return s
    return -1


@njit(cache=True)
def _vanish(w: Fields) -> bool:
    total = 0.0
    for c in range(w.shape[0]):
        total += _sum(w[c])
    return total == 0.0


@njit(cache=True, fastmath={"contract", "reassoc"})
def _sum(x: Fields) -> float:
    total = 0.0
    for j in range(x.shape[0]):
        total += x[j]
    return total


@njit(cache=True)
def _product(k: float, x: Fields, y: Fields, out: Fields) -> None:
    for j in range(out.shape[0]):
        out[j] = k * x[j] * y[j]


@njit(cache=True)
def _subtract(x: Fields, y: Fields, out: Fields) -> None:
    for j in range(out.shape[0]):
        out[j] -= x[j] + y[j]


@njit(cache=True)
def _add(x: Fields, out: Fields) -> None:
    for j in range(out.shape[0]):
        out[j] += x[j]


@njit(cache=True, error_model="numpy")
def _finish(
    begin: int,
    end: int,
    shift: float,
    scale: float,
    A: Fields,
    D: Fields,
    single: Fields,
    R: Fields,
) -> None:
    """Shift the diagonal, and leave what the preconditioner reads."""
    diagonal, reciprocal = D[begin:end], R[begin:end]
    for j in range(diagonal.shape[0]):
        x = diagonal[j] + shift if diagonal[j] > 0.0 else 0.0
        diagonal[j] = x
        reciprocal[j] = 1.0 / (scale * x) if x > 0.0 else 0.0
    for s in range(A.shape[0]):
        double, out = A[s, begin:end], single[s, begin:end]
        for j in range(out.shape[0]):
            out[j] = min(max(scale * double[j], -LARGEST), LARGEST)
