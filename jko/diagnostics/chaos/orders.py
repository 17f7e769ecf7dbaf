"""Exponents with intervals, from repeats of an experiment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from scipy.stats import t as student

from jko.diagnostics.rates import Interval
from jko.shown import shown

Array = NDArray[np.float64]

SAMPLES, SEED = 2000, 0  # of the bootstrap
SURE = 0.95


@shown
class Order(NamedTuple):
    """An exponent with its interval at 95 %.

    Examples
    --------
    >>> from jko.diagnostics import Order
    >>> Order(0.52, 0.41, 0.63).excludes(0, 1)
    True
    """

    value: float
    low: float
    high: float

    def excludes(self, *numbers: float) -> bool:
        """Whether none of these is in the interval."""
        return not any(self.low <= number <= self.high for number in numbers)

    @property
    def interval(self) -> Interval:
        """Where it is at 95 %."""
        return Interval(self.low, self.high)


def fitted(x: Array, squares: Array) -> Order:
    """The slope of ``log rms`` in x, rms over repeats of squares (R, K), with an interval over the repeats.

    Whole repeats are drawn again, because the numbers of one are coupled: the interval is Student's with the standard
    deviation of the bootstrap, so that few repeats make it wide.
    """
    R = len(squares)
    drawn = np.random.default_rng(SEED).integers(R, size=(SAMPLES, R))
    slopes = _slopes(x, squares[drawn].mean(axis=1))
    value = float(_slopes(x, squares.mean(axis=0)[None])[0])
    error = float(slopes.std(ddof=1)) * (R / (R - 1)) ** 0.5
    half = float(student.ppf(0.5 + SURE / 2, R - 1)) * error
    return Order(value, value - half, value + half)


def _slopes(x: Array, squares: Array) -> Array:
    """Of ``log squares / 2``, (B, K), in x (K,)."""
    centred = x - x.mean()
    y = 0.5 * np.log(np.maximum(squares, np.finfo(float).tiny))
    found: Array = (y @ centred) / (centred @ centred)
    return found


def share(successes: int, trials: int) -> Order:
    """A probability with the interval of Clopper and Pearson, which is never too narrow."""
    k, n, tail = successes, trials, (1 - SURE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Order(k / n, low, high)
