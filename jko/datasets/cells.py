"""What a cell of a table is: a number as tables write numbers, a gap, or text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GAPS = {"", "?", "na", "n/a", "#n/a", "<na>", "nan", "nil", "none", "null"}
WITH_COMMAS = re.compile(
    r"[+-]?\d+(?:[.' ]?\d{3})*(?:,\d+)+(?:\.\d+)?(?:[eE][+-]?\d+)?%?", re.ASCII
)


def numbers(cells: Sequence[str]) -> Array | None:
    """The cells of a column as finite numbers, or None if one of them is none.

    A number is what C's ``strtod`` takes for one in ASCII, blanks around it allowed: ``1e3``, ``+1.5``, `` 3 ``.
    ``float`` alone would also read ``2020_01`` as 202001, and digits of every script.
    """
    joined = "".join(cells)
    if not joined.isascii() or "_" in joined:
        return None
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def is_number(cell: str) -> bool:
    """Whether this cell is a finite number."""
    return numbers((cell,)) is not None


def is_infinite(cell: str) -> bool:
    """Whether this cell is ``inf``, ``-Infinity``, or a number beyond the range of doubles."""
    try:
        return cell.isascii() and "_" not in cell and math.isinf(float(cell))
    except ValueError:
        return False


def is_gap(cell: str) -> bool:
    """Whether this cell says that its value is missing."""
    return cell.strip().lower() in GAPS


def has_commas(cell: str) -> bool:
    """Whether this cell would be a number if its commas were points, or away."""
    return WITH_COMMAS.fullmatch(cell.strip()) is not None


def is_numeric(cell: str) -> bool:
    """Whether a person reads this cell as a number, though we may refuse how it is written."""
    return is_number(cell) or has_commas(cell) or is_infinite(cell)
