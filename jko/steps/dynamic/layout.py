"""How grid fields lie in memory, and the grids of the multigrid hierarchy.

A field is one flat array with a layer of ghost cells around the grid, C order.  Ghosts and obstacle cells are the
same thing: nothing is there (V = +inf, rho_0 = 0) and their faces are closed.  So a neighbour is a fixed distance
away in memory, and no loop asks where the boundary is.  Face fields are stored at the cell *before* the face.

All levels lie behind one another in arrays of length ``total``; level 0 is the grid itself.  A level merges cells two
by two along every axis whose cells are not much longer than the shortest ones; an odd cell stays alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COARSEST = 6  # cells along the longest axis of the coarsest level
ISOTROPIC = 1.5  # axes with cells up to so many times the shortest are merged


@dataclass(frozen=True, eq=False)
class Layout:
    """The static geometry of all levels.

    Attributes
    ----------
    shape, spacing
        Of the grid.
    free : grid.shape, bool
        The cells that are no obstacle.
    start : (L + 1,)
        Where each level begins; the last entry is ``total``.
    rows : (L, 4)
        First cell of the first row, number of rows, distance of rows, cells in a row.
    strides : (L, d)
        Distance to the next cell along each axis.
    offsets : (L, S)
        Distances to the S neighbours that follow in memory: 1 in 1-D, 4 in 2-D, 9 in 3-D.
    folds : (L, 5)
        How cells merge into those of the next level, see :mod:`jko.steps.dynamic.folds`.
    parent : (total,) int32
        The cell of the next level that contains a cell; for ghosts and obstacles the first ghost of that level.
    inverse : (d, total)
        1 / distance of the two centres for open faces, 0 for closed ones.
    share : (d, total)
        1 / (number of open fine faces that make up a coarse face).
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    free: NDArray[np.bool_]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    strides: NDArray[np.int64]
    offsets: NDArray[np.int64]
    folds: NDArray[np.int64]
    parent: NDArray[np.int32]
    inverse: Array = field(repr=False)
    share: Array = field(repr=False)

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Length of a padded field on the grid."""
        return int(self.start[1])

    @property
    def total(self) -> int:
        """Length of a padded field on all levels."""
        return int(self.start[-1])

    @property
    def cell(self) -> float:
        """The volume of a cell."""
        return float(np.prod(self.spacing))

    def pad(self, values: NDArray, fill: float = 0.0) -> Array:
        """A grid field as a padded flat array."""
        out = np.full(tuple(n + 2 for n in self.shape), fill)
        out[(slice(1, -1),) * self.dim] = values
        return out.ravel()

    def crop(self, values: Array) -> Array:
        """A padded flat array as a grid field (a view)."""
        padded = values[: self.size].reshape(tuple(n + 2 for n in self.shape))
        return padded[(slice(1, -1),) * self.dim]


def layout(
    shape: Sequence[int], spacing: Sequence[float], free: NDArray[np.bool_] | None = None
) -> Layout:
    """The layout of a grid; the cells that are not ``free`` are obstacles."""
    key = None if free is None or free.all() else np.ascontiguousarray(free).tobytes()
    return _layout(tuple(shape), tuple(float(h) for h in spacing), key)


@lru_cache(maxsize=16)
def _layout(shape: tuple[int, ...], spacing: tuple[float, ...], mask: bytes | None) -> Layout:
    free = (
        np.ones(shape, dtype=bool)
        if mask is None
        else np.frombuffer(mask, dtype=bool).reshape(shape)
    )
    levels = [_Level(free, [np.full(n, h) for n, h in zip(shape, spacing, strict=True)])]
    while len(shape) > 1 and (coarser := levels[-1].coarser()) is not None:
        levels.append(coarser)
    start = np.cumsum([0] + [level.size for level in levels])
    return Layout(
        shape,
        spacing,
        free,
        start,
        np.array(
            [
                (begin + first, *rest)
                for begin, (first, *rest) in zip(
                    start, (level.rows for level in levels), strict=False
                )
            ]
        ),
        np.array([level.strides for level in levels]),
        np.array([level.offsets for level in levels]),
        np.array([level.fold for level in levels]),
        np.concatenate(
            [level.parent + end for level, end in zip(levels, start[1:], strict=True)]
        ).astype(np.int32),
        np.concatenate([level.inverse for level in levels], axis=1),
        np.concatenate([_shares(None, levels[0])] + [_shares(*p) for p in _pairs(levels)], axis=1),
    )


def _pairs(levels: list[_Level]) -> list[tuple[_Level, _Level]]:
    return list(pairwise(levels))


class _Level:
    """One grid with cells of given widths along each axis."""

    def __init__(self, free: NDArray[np.bool_], widths: list[Array]) -> None:
        self.free, self.widths, self.dim = free, widths, free.ndim
        self.padded = tuple(n + 2 for n in free.shape)
        self.size = int(np.prod(self.padded))
        self.strides = [int(np.prod(self.padded[a + 1 :])) for a in range(self.dim)]
        self.parent = np.zeros(self.size, dtype=np.int64)
        self.factors = self._factors()
        if self.factors is not None:
            self._find_parents()

    @property
    def rows(self) -> tuple[int, int, int, int]:
        first = sum(self.strides)
        last = sum(n * s for n, s in zip(self.free.shape, self.strides, strict=True))
        long = self.padded[-1] if self.dim > 1 else self.size
        return first, (last - first) // long + 1, long, self.free.shape[-1]

    @property
    def fold(self) -> list[int]:
        """Rows in a plane, those that are no ghosts, and the cells that merge along each of three axes."""
        plane, real = (self.padded[1], self.free.shape[1]) if self.dim == 3 else (self.rows[1],) * 2
        factors = self.factors or [1] * self.dim
        return [plane, real] + [1] * (3 - self.dim) + factors

    @property
    def offsets(self) -> list[int]:
        s = self.strides
        pairs = [(a, b) for a in range(self.dim) for b in range(a + 1, self.dim)]
        return sorted(s + [s[a] + s[b] for a, b in pairs] + [s[a] - s[b] for a, b in pairs])

    @property
    def inverse(self) -> Array:
        """1 / distance of centres across the open forward faces, (d, size)."""
        free, out = self._padded(self.free), np.zeros((self.dim, *self.padded))
        for a, width in enumerate(self.widths):
            distance = 0.5 * (width[:-1] + width[1:])
            inner = [slice(1, -1)] * self.dim
            inner[a] = slice(1, -2)
            along = [1] * self.dim
            along[a] = -1
            out[a][tuple(inner)] = 1.0 / distance.reshape(along)
            out[a] *= free & np.roll(free, -1, axis=a)
        return out.reshape(self.dim, -1)

    def coarser(self) -> _Level | None:
        """The grid of the parents, or None on the coarsest."""
        if self.factors is None:
            return None
        free = np.zeros(
            tuple(-(-n // f) for n, f in zip(self.free.shape, self.factors, strict=True)), bool
        )
        for corner in product(*(range(f) for f in self.factors)):
            part = self.free[
                tuple(slice(c, None, f) for c, f in zip(corner, self.factors, strict=True))
            ]
            here = tuple(slice(n) for n in part.shape)
            free[here] |= part
        widths = [
            np.add.reduceat(w, np.arange(0, len(w), f))
            for w, f in zip(self.widths, self.factors, strict=True)
        ]
        return _Level(free, widths)

    def _factors(self) -> list[int] | None:
        if self.dim == 1 or max(self.free.shape) <= COARSEST:
            return None
        typical = [
            w[0] if n > 1 else np.inf for w, n in zip(self.widths, self.free.shape, strict=True)
        ]
        merged = [
            h <= ISOTROPIC * min(typical) and n > 1
            for h, n in zip(typical, self.free.shape, strict=True)
        ]
        return [2 if m else 1 for m in merged]

    def _find_parents(self) -> None:
        assert self.factors is not None
        coarse = [-(-n // f) + 2 for n, f in zip(self.free.shape, self.factors, strict=True)]
        index = np.zeros((1,) * self.dim, dtype=np.int64)
        for a, (n, f) in enumerate(zip(self.free.shape, self.factors, strict=True)):
            along = [1] * self.dim
            along[a] = -1
            index = index * coarse[a] + (1 + np.arange(n) // f).reshape(along)
        self.parent = (self._padded(index * self.free)).ravel()

    def _padded(self, values: NDArray) -> NDArray:
        out = np.zeros(self.padded, dtype=values.dtype)
        out[(slice(1, -1),) * self.dim] = values
        return out


def _shares(fine: _Level | None, coarse: _Level) -> Array:
    """1 / (number of open fine faces in every coarse face), (d, size)."""
    count = np.zeros((coarse.dim, coarse.size))
    if fine is not None:
        for a, (open_, stride) in enumerate(zip(fine.inverse, fine.strides, strict=True)):
            here = np.flatnonzero(open_)
            across = here[fine.parent[here] != fine.parent[here + stride]]
            np.add.at(count[a], fine.parent[across], 1.0)
    return np.divide(1.0, count, out=np.zeros_like(count), where=count > 0)
