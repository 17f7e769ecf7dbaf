"""How grid fields lie in memory, and the grids of the multigrid hierarchy.

A field is one flat array with a layer of ghost cells around the grid, C order.  Ghosts and obstacle cells are the
same thing: nothing is there (V = +inf, rho_0 = 0) and their faces are closed.  So a neighbour is a fixed distance
away in memory, and no loop asks where the boundary is.  Face fields are stored at the cell *before* the face.
Beyond the end of a periodic axis ghosts stand for the cells at its other end, and the faces there are open: see
:mod:`jko.steps.dynamic.seams`.

All levels lie behind one another in arrays of length ``total``; level 0 is the grid itself.  A level merges cells two
by two along every axis whose cells are not much longer than the shortest ones; an odd cell stays alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jko.steps.dynamic.levels import Level, seams_of, shares
from jko.steps.dynamic.seams import Seams

Array = NDArray[np.float64]


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
    seams
        Where the grid comes round, on all levels.
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
    seams: Seams = field(repr=False)

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
    shape: Sequence[int],
    spacing: Sequence[float],
    free: NDArray[np.bool_] | None = None,
    periodic: Sequence[bool] = (),
) -> Layout:
    """The layout of a grid; the cells that are not ``free`` are obstacles."""
    key = None if free is None or free.all() else np.ascontiguousarray(free).tobytes()
    wraps = tuple(periodic) or (False,) * len(shape)
    return _layout(tuple(shape), tuple(float(h) for h in spacing), key, wraps)


@lru_cache(maxsize=16)
def _layout(
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    mask: bytes | None,
    periodic: tuple[bool, ...],
) -> Layout:
    free = (
        np.ones(shape, dtype=bool)
        if mask is None
        else np.frombuffer(mask, dtype=bool).reshape(shape)
    )
    widths = [np.full(n, h) for n, h in zip(shape, spacing, strict=True)]
    levels = [Level(free, widths, periodic)]
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
        np.concatenate([shares(None, levels[0])] + [shares(*p) for p in _pairs(levels)], axis=1),
        seams_of(levels, start),
    )


def _pairs(levels: list[Level]) -> list[tuple[Level, Level]]:
    return list(pairwise(levels))
