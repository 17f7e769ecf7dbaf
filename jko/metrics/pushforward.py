"""A plan between masses at the centres of two grids from a potential of its map.

The map ``x - grad alpha / 2`` carries a to nearly b.  Each atom, or each piece of its cell, is shared between the
centres around its image, and what then differs from b is carried on by the rearrangement of Knothe and Rosenblatt,
which moves it little.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from jko.metrics.couplings import Array, Index, Plan
from jko.metrics.masses import Masses, corners

PIECES = {1: 3, 2: 3, 3: 2}  # of a cell along each axis, where the map spreads it


def cheapest(a: Masses, b: Masses, alpha: Array, beta: Array) -> Plan:
    """The cheapest of the plans along both maps, with cells whole and in pieces."""
    best, lowest = None, np.inf
    for pieces in (1, PIECES[a.masses.ndim]):
        for forth in (True, False):
            plan = rounded(a, b, alpha, pieces) if forth else rounded(b, a, beta, pieces).transposed
            if (cost := plan.cost(a.points, b.points)) < lowest:
                best, lowest = plan, cost
    assert best is not None
    return best


def rounded(a: Masses, b: Masses, alpha: Array, pieces: int = 1) -> Plan:
    """A plan along the map ``x - grad alpha / 2``, with each cell of a cut in ``pieces`` along each axis."""
    from scipy.sparse import coo_array, diags_array

    N, M = a.masses.size, b.masses.size
    first = coo_array((N, M)).tocsr()
    full = np.flatnonzero(a.masses.ravel())
    for moved in _pieces(a, b, alpha, pieces):
        index, share = corners(moved[full], b.axes)
        mass = a.masses.ravel()[full, None] * share / pieces**a.masses.ndim
        entries = (np.repeat(full, index.shape[1]), index.ravel())
        first = first + coo_array((mass.ravel(), entries), (N, M)).tocsr()
    reached = np.asarray(first.sum(0)).ravel()
    rows, cols, flow = rearranged(reached.reshape(b.masses.shape), b.masses)
    second = coo_array((flow, (rows, cols)), (M, M)).tocsr()
    scale = np.divide(1.0, reached, out=np.zeros_like(reached), where=reached > 0)
    plan = (first @ diags_array(scale) @ second).tocoo()
    keep = plan.data > 0
    rows, cols = (part[keep].astype(np.int64) for part in (plan.row, plan.col))
    return Plan(rows, cols, plan.data[keep], (N, M))


def _pieces(a: Masses, b: Masses, alpha: Array, pieces: int) -> Iterator[Array]:
    """Images of the centres of equal pieces of all cells, by the linear part of the map in each cell."""
    moved, shape = a.image(alpha, b), a.masses.shape
    if pieces == 1:
        yield moved
        return
    offsets = (np.arange(pieces) + 0.5) / pieces - 0.5
    columns = [column.reshape(shape) for column in moved.T]
    slopes = [
        np.stack(
            [np.gradient(c, axis=k).ravel() if n > 1 else np.zeros(c.size) for c in columns], 1
        )
        for k, n in enumerate(shape)
    ]  # by one cell along axis k
    for offset in itertools.product(offsets, repeat=len(shape)):
        piece = moved + sum(o * slope for o, slope in zip(offset, slopes, strict=True))
        yield np.clip(piece, [t[0] for t in b.axes], [t[-1] for t in b.axes])


def rearranged(u: Array, v: Array) -> tuple[Index, Index, Array]:
    """The plan of Knothe and Rosenblatt between masses on one grid: monotone along the first axis, then within."""
    rows, cols, flow = _monotone(_marginal(u), _marginal(v))
    if u.ndim == 1:
        return rows, cols, flow
    inner = int(np.prod(u.shape[1:]))
    parts = []
    for i, j, f in zip(rows, cols, flow, strict=True):
        r, c, g = rearranged(u[i] * (f / u[i].sum()), v[j] * (f / v[j].sum()))
        parts.append((i * inner + r, j * inner + c, g))
    r, c, g = (np.concatenate(part) for part in zip(*parts, strict=True))
    return r, c, g


def _marginal(u: Array) -> Array:
    return np.asarray(u.reshape(len(u), -1).sum(1))


def _monotone(u: Array, v: Array) -> tuple[Index, Index, Array]:
    """The monotone plan of two rows of masses; the totals may differ by rounding, which the last ones take."""
    up, across = np.cumsum(u), np.cumsum(v)
    across *= up[-1] / across[-1]
    levels = np.union1d(up, across)
    flow = np.diff(levels, prepend=0.0)
    middle = levels - 0.5 * flow
    i = np.minimum(np.searchsorted(up, middle), len(u) - 1)
    j = np.minimum(np.searchsorted(across, middle), len(v) - 1)
    keep = flow > 1e-15 * up[-1]
    return i[keep], j[keep], flow[keep]
