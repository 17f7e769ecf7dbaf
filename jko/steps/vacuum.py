"""The vacuum of a grid: how much it lets pass, and what no mass can reach."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from jko.energies import Internal

SMOOTH_FLOOR = 1e-6  # mobility of the vacuum / largest density, of positive densities: small, their tails stay exact
FLOOR = 1e-4  # and without one: larger, a front sees where it goes


def mobility(internal: Iterable[tuple[float, Internal]], eps: float | None) -> float:
    """The mobility of the vacuum, as a part of the largest density: ``eps``, or what suits the internal energies."""
    if eps is not None:
        return eps
    return SMOOTH_FLOOR if any(E.positive for _, E in internal) else FLOOR


def reached(free: NDArray[np.bool_], full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The free cells whose chamber (cells connected by open faces) holds mass."""
    chamber, _ = label(free)
    return np.asarray(free & np.isin(chamber, np.unique(chamber[free & full])))
