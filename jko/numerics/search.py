"""Armijo's rule along a direction of descent, with a floor for rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

DECREASE = 1e-4  # of the fall that the slope promises, what is asked for


class HasValue(Protocol):
    """Where a function was evaluated."""

    @property
    def value(self) -> float:
        """What the function is there."""


Point = TypeVar("Point", bound=HasValue)


class Searched(NamedTuple, Generic[Point]):
    """Where a search ended: the point, None if none will do; how far along the direction; and the trials it took."""

    point: Point | None
    length: float
    trials: int


def armijo(
    along: Callable[[float], Point | None],
    value: float,
    slope: float,
    *,
    longest: float = 1.0,
    noise: float = 0.0,
    drowned: Callable[[Point], bool] | None = None,
    trials: int = 40,
) -> Searched[Point]:
    """The first of the points ``along(t)``, ``t = longest, longest / 2, ...``, whose value is low enough.

    ``along(t).value <= value + 1e-4 t slope + noise``, never -inf or nan.

    Parameters
    ----------
    along
        The point at length t, or None where there is none (outside of the domain, say).
    value, slope
        Of the function at t = 0.  Where the slope is not negative, nothing is tried.
    longest
        The first length that is tried.
    noise
        How far values may be off by rounding.
    drowned
        Where the promised fall ``-t slope`` is below the noise, values say nothing: then this decides, if it is given.
    trials
        How many lengths are tried at most.
    """
    t = longest
    for trial in range(1, trials + 1 if slope < 0 else 1):
        point = along(t)
        if point is not None and float("-inf") < point.value:
            blurred = drowned is not None and -t * slope <= noise
            if blurred and drowned is not None:
                low = drowned(point)
            else:
                low = point.value <= value + DECREASE * t * slope + noise
            if low:
                return Searched(point, t, trial)
        t *= 0.5
    return Searched(None, 0.0, trials if slope < 0 else 0)
