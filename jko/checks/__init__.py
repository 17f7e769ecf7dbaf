"""Bad input becomes a sentence here, and nowhere else.

Every message names the argument, its value, the rule and the remedy.  ``ValueError`` is for values,
``TypeError`` for kinds.  Constructors call these once; the loops behind them trust their states.

One rule of range holds for all numbers that come in: they are at most :data:`LARGEST` in size, and those that must be
positive are at least :data:`SMALLEST`.  Then neither their reciprocals nor sums of many overflow.
"""

from jko.checks.arrays import alike, floats, numbers, own, owned, shape, tensor, unrecorded
from jko.checks.kinds import able, called, flags, function, items, kind, returned, values
from jko.checks.masses import WEIGHT_TOLERANCE, density, quadrature, unit, weights
from jko.checks.scalars import (
    ENTRIES,
    LARGEST,
    SMALLEST,
    count,
    interval,
    number,
    positive,
    shown,
    size,
)

__all__ = [
    "ENTRIES",
    "LARGEST",
    "SMALLEST",
    "WEIGHT_TOLERANCE",
    "able",
    "alike",
    "called",
    "count",
    "density",
    "flags",
    "floats",
    "function",
    "interval",
    "items",
    "kind",
    "number",
    "numbers",
    "own",
    "owned",
    "positive",
    "quadrature",
    "returned",
    "shape",
    "shown",
    "size",
    "tensor",
    "unit",
    "unrecorded",
    "values",
    "weights",
]
