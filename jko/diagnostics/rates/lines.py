"""Straight lines through points that stand in an order, and how far their slope is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from jko.shown import shown

Array = NDArray[np.float64]

BLOCKS = 6  # whose slopes are compared; fewer where points are few
LEAST = 3  # points of a block
SURE = 0.95


class StraightLine(NamedTuple):
    """Slope, its standard error for independent residuals, and the root mean square of the residuals."""

    slope: float
    error: float
    misfit: float


@shown
class Interval(NamedTuple):
    """Where a number is, at 95 %.

    Examples
    --------
    >>> from jko.diagnostics.rates import Interval
    >>> 0.5 in Interval(0.4, 0.6), 1 in Interval(0.4, 0.6)
    (True, False)
    """

    low: float
    high: float

    def __contains__(self, number: object) -> bool:
        return isinstance(number, (int, float)) and self.low <= number <= self.high


def line(x: Array, y: Array) -> StraightLine:
    """Least squares through (x, y), both (K,)."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    square = float(residual @ residual)
    error = (square / max(len(x) - 2, 1) / float(centred @ centred)) ** 0.5
    return StraightLine(slope, error, (square / len(x)) ** 0.5)


def interval(x: Array, y: Array, also: Sequence[float] = ()) -> Interval:
    """Where the slope is, for points along a curve, whose residuals are not independent.

    The points are cut in six blocks of equally many, in which neighbours may depend on each other as they like.
    The interval is Student's for the mean of the slopes of the blocks, and holds the slope over all, that of the first
    and that of the last half as well, and what is in ``also``: a slope that drifts is no more certain
    than it drifts.
    """
    slopes = _slopes(x, y, BLOCKS)
    found = [line(x, y).slope, *_slopes(x, y, 2), *also]
    if len(slopes) < 2:
        return Interval(-np.inf, np.inf)
    mean = float(slopes.mean())
    error = float(slopes.std(ddof=1)) / len(slopes) ** 0.5
    half = float(student.ppf(0.5 + SURE / 2, len(slopes) - 1)) * error
    return Interval(min(mean - half, *found), max(mean + half, *found))


def _slopes(x: Array, y: Array, blocks: int) -> Array:
    """The slopes of that many blocks, or of as many as there are points for."""
    blocks = max(min(blocks, len(x) // LEAST), 1)
    parts = zip(np.array_split(x, blocks), np.array_split(y, blocks), strict=True)
    return np.array([line(a, b).slope for a, b in parts if np.ptp(a) > 0])
