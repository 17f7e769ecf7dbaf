"""Where a grid comes round: cells beyond a seam have ghosts there, which stand for the cells on the other side.

Two rules hold for all fields of a :class:`jko.steps.dynamic.layout.Layout`.  What is *read* across a seam (potentials,
slopes, directions, links of the stencil) is copied to the ghosts before: :func:`echo`.  What is *added* across it
(mobilities, links, the diagonal) is added to the ghosts and then taken home: :func:`fold`; it is zero there otherwise,
so that sums over all of memory count each cell and each face once.  Without periodic axes there are no such ghosts, and
both do nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko.numerics.compiled import njit

Index = NDArray[np.int64]
Fields = Any


class Seams(NamedTuple):
    """Of all levels, one behind the other.

    Attributes
    ----------
    ghosts, sources : (G,)
        Ghosts beyond a seam, and the cells that they stand for.
    start : (L + 1,)
        Where those of each level begin.
    alone : (E, 3)
        Faces of a seam whose cell merges with no other: axis, cell, and the cell of the next level.
    alone_start : (L + 1,)
        Where those of each level begin.
    """

    ghosts: Index
    sources: Index
    start: Index
    alone: Index
    alone_start: Index


def around(shape: Sequence[int], wraps: Sequence[bool]) -> tuple[Index, Index]:
    """Ghosts and their cells on one level, as places in its flat field."""
    padded = tuple(n + 2 for n in shape)
    place = np.arange(int(np.prod(padded))).reshape(padded)
    inside = np.zeros(padded, bool)
    inside[(slice(1, -1),) * len(shape)] = True
    source = place.copy()
    for a, round_ in enumerate(wraps):
        if round_:
            along = np.moveaxis(source, a, 0)
            along[0], along[-1] = along[-2].copy(), along[1].copy()
    ghosts = np.flatnonzero((source != place) & inside.ravel()[source])
    return ghosts, source.ravel()[ghosts]


@njit(cache=True)
def wraps(seams: Any, level: int) -> bool:
    """Whether a level comes round somewhere."""
    return seams.start[level] < seams.start[level + 1]


@njit(cache=True)
def echo(x: Fields, seams: Any, level: int) -> None:
    """Copy cells to the ghosts that stand for them."""
    for i in range(seams.start[level], seams.start[level + 1]):
        x[seams.ghosts[i]] = x[seams.sources[i]]


@njit(cache=True)
def clear(x: Fields, seams: Any, level: int) -> None:
    """Zero on the ghosts."""
    for i in range(seams.start[level], seams.start[level + 1]):
        x[seams.ghosts[i]] = 0


@njit(cache=True)
def fold(x: Fields, seams: Any, level: int) -> None:
    """Take home what was added to the ghosts; zero is left."""
    for i in range(seams.start[level], seams.start[level + 1]):
        x[seams.sources[i]] += x[seams.ghosts[i]]
        x[seams.ghosts[i]] = 0


@njit(cache=True)
def clear_links(seams: Any, level: int, A: Fields, D: Fields) -> None:
    """The stencil is zero on the ghosts, before it is added up."""
    clear(D, seams, level)
    for s in range(A.shape[0]):
        clear(A[s], seams, level)


@njit(cache=True)
def fold_links(seams: Any, level: int, A: Fields, D: Fields) -> None:
    """Links across a seam are whole, and stand on both sides of it; the diagonal at home."""
    fold(D, seams, level)
    for s in range(A.shape[0]):
        fold(A[s], seams, level)
        echo(A[s], seams, level)


@njit(cache=True)
def merge_alone(K: Fields, g: Fields, share: Fields, seams: Any, level: int) -> None:
    """Mobilities and slopes of the faces that merge with no other, added to the next level's; and its slopes beyond."""
    for i in range(seams.alone_start[level], seams.alone_start[level + 1]):
        a, q, to = seams.alone[i]
        K[a, to] += K[a, q]
        g[a, to] += share[a, to] * g[a, q]
    for a in range(g.shape[0]):
        echo(g[a], seams, level + 1)
