"""exp for compiled loops, written so that several cells are computed at once; the one of libm is called cell by cell.

``e^x = 2^k e^r`` with k the integer nearest to x / log 2; e^r by its series, |r| <= log(2) / 2.  Its error is one unit
in the last place.
"""

from __future__ import annotations

import math
from typing import Any

from numba import types
from numba.extending import intrinsic

from jko.numerics.compiled import njit

LOWEST = -708.0  # exp is 0 below: numbers smaller than 1e-307 are not worth their care
ROUND = 1.5 * 2.0**52  # numbers of this size have no binary digits after the point
PER_LOG2 = 1.0 / math.log(2.0)
# log 2 in two parts, the first with so few digits that its multiples are exact
LOG2_HIGH = 6.93147180369123816490e-01
LOG2_LOW = 1.90821492927058770002e-10
ONE = 0x3FF0000000000000  # the bits of 1.0
SERIES = tuple(1.0 / math.factorial(k) for k in range(13, -1, -1))


@intrinsic
def _bits(_typing: Any, x: Any) -> Any:
    def convert(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), convert


@intrinsic
def _number(_typing: Any, x: Any) -> Any:
    def convert(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), convert


@njit(cache=True, fastmath={"contract"})
def exp(x: float) -> float:
    """``e^x`` for x <= 709."""
    shifted = x * PER_LOG2 + ROUND
    k = shifted - ROUND
    r = (x - k * LOG2_HIGH) - k * LOG2_LOW
    y = SERIES[0]
    for c in SERIES[1:]:
        y = y * r + c
    power = _number((_bits(shifted) << 52) + ONE)
    return 0.0 if x < LOWEST else y * power
