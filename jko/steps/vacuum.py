"""The vacuum of a grid: how much it lets pass, and what no mass can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jko.energies import Internal

SMOOTH_FLOOR = 1e-6  # mobility of the vacuum / largest density, of positive densities: small, their tails stay exact
FLOOR = 1e-4  # and without one: larger, a front sees where it goes


def mobility(internal: Iterable[tuple[float, Internal]], eps: float | None) -> float:
    """The mobility of the vacuum, as a part of the largest density: ``eps``, or what suits the internal energies."""
    if eps is not None:
        return eps
    return SMOOTH_FLOOR if any(E.positive for _, E in internal) else FLOOR


def chambers(free: NDArray[np.bool_], periodic: Sequence[bool] = ()) -> NDArray[np.int64]:
    """The number of each cell's chamber, cells connected by open faces, from 1; 0 for obstacles."""
    found, count = label(free)
    first, last = [], []
    for a, round_ in enumerate(periodic):
        if round_:
            first.append(np.take(found, 0, axis=a).ravel())
            last.append(np.take(found, -1, axis=a).ravel())
    if not first:
        return found
    ends = np.concatenate(first), np.concatenate(last)
    joined = (ends[0] > 0) & (ends[1] > 0)
    pairs = coo_array((joined[joined], tuple(e[joined] for e in ends)), shape=(count + 1,) * 2)
    _, names = connected_components(pairs, directed=False)
    return np.where(found > 0, 1 + names[found], 0)


def reached(
    free: NDArray[np.bool_], full: NDArray[np.bool_], periodic: Sequence[bool] = ()
) -> NDArray[np.bool_]:
    """The free cells whose chamber holds mass."""
    chamber = chambers(free, periodic)
    return np.asarray(free & np.isin(chamber, np.unique(chamber[free & full])))
