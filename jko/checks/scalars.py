"""Numbers: how they are shown, and what is accepted as one."""

import decimal
import math
import numbers
import reprlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

SMALLEST, LARGEST = 1e-300, 1e300
MOST = 2**53  # the largest count: beyond it float64 skips whole numbers
ENTRIES = 2**31  # the most numbers in one array that is made from counts


def shown(value: object) -> str:
    """``repr`` in one short line, whatever the value is."""
    if isinstance(value, Tensor | np.ndarray):
        return f"shape {tuple(value.shape)}, {value.dtype}"
    try:
        text = " ".join(reprlib.repr(value).split())
    except Exception:  # a foreign repr may raise anything, and one of 10**5000 does
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def number(
    name: str,
    value: Any,
    above: float = -math.inf,
    below: float = math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> float:
    """A finite number strictly between ``above`` and ``below``, in [``least``, ``most``], and in range."""
    result = _real(name, value)
    if not (math.isfinite(result) and above < result < below and least <= result <= most):
        limits = [f"> {above:g}"] * (above > -math.inf) + [f"< {below:g}"] * (below < math.inf)
        if most < math.inf:
            limits += [f"in [{least:g}, {most:g}]"]
        elif least > -math.inf:
            limits += [f"at least {least:g}"]
        raise ValueError(
            f"{name} = {shown(value)}; it must be a finite number {' and '.join(limits)}".rstrip()
        )
    if abs(result) > LARGEST or (above == 0 and result < SMALLEST):
        rule = f"at most {LARGEST:g}" if abs(result) > LARGEST else f"at least {SMALLEST:g}"
        raise ValueError(f"{name} = {result:g}; its size must be {rule}: choose other units")
    return result


def positive(name: str, value: Any) -> float:
    """A number > 0, or infinity: a limit that may be none."""
    result = _real(name, value)
    return result if result == math.inf else number(name, value, above=0)


def _real(name: str, value: Any) -> float:
    """The float of a real number, whatever carries it; truth values and text are no numbers."""
    scalar = value
    if isinstance(value, Tensor):
        if value.ndim == 0 and value.layout is torch.strided and not value.is_meta:
            scalar = value.detach().item()
    elif getattr(value, "ndim", None) == 0 and not isinstance(
        value, np.generic | np.ma.MaskedArray
    ):
        scalar = np.asarray(value)[()]
    if isinstance(scalar, bool | np.bool_):
        raise TypeError(
            f"{name} must be a number, not {scalar}; pass {int(scalar)} if that is meant"
        )
    if not is_real(scalar):
        raise TypeError(f"{name} must be a number, not {type(value).__name__} ({shown(value)})")
    try:
        return float(scalar)
    except (OverflowError, ValueError):  # 10**400, a signalling NaN
        raise ValueError(
            f"{name} = {shown(value)}; it must be a finite number at most {LARGEST:g} in size"
        ) from None


def is_real(value: Any) -> bool:
    """Whether a scalar is a real number by its kind; a duration of numpy says so, and is none."""
    return isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(
        value, np.timedelta64
    )


def count(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A whole number, at least ``least`` and at most ``most``."""
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{name} must be a whole number, not {type(value).__name__} ({shown(value)})"
        )
    if value < least:
        raise ValueError(f"{name} = {shown(value)}; it must be at least {least}")
    if value > most:
        raise ValueError(f"{name} = {shown(value)}; it must be at most {most}")
    return int(value)


def size(**counts: Any) -> tuple[int, ...]:
    """Counts that make the shape of an array, by their names: whole numbers whose product fits in memory."""
    shape = tuple(count(name, value) for name, value in counts.items())
    if math.prod(shape) > ENTRIES:
        raise ValueError(
            f"{', '.join(f'{name} = {value}' for name, value in counts.items())} makes {math.prod(shape):g} numbers; "
            f"at most {ENTRIES} fit: take fewer"
        )
    return shape


def interval(name: str, value: Any) -> tuple[float, float]:
    """A pair of numbers, the first one smaller."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a pair (lower, upper), not {shown(value)}")
    lower, upper = (number(f"{name}[{k}]", end) for k, end in enumerate(value))
    if not lower < upper:
        raise ValueError(f"{name} = ({lower:g}, {upper:g}); the first must be the smaller one")
    return lower, upper
