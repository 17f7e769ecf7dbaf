"""The zero of an increasing function."""

from collections.abc import Callable


def root(increasing: Callable[[float], float], low: float, high: float) -> float:
    """Bisection to the last bit; the zero is in [low, high]."""
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if increasing(middle) < 0 else (low, middle)
    return middle
