"""Columns that number or name the rows: no measurement, and on a sorted file the answer itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from jko.datasets.cells import Array

UNNAMED = re.compile(r"|unnamed(:? ?\d+)?|\.\.\.\d+|row[_. ]?names?|level_0", re.IGNORECASE)
WORDS = {
    "id", "ids", "index", "idx", "row", "rows", "rownumber", "rowid", "no", "nr", "nº", "num", "number", "#",
    "obs", "observation", "case", "record", "entry", "instance", "sample", "subject", "serial", "sno", "slno",
}  # fmt: skip
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|#|nº|№")


def labels_rows(name: str, cells: Sequence[str], values: Array | None) -> bool:
    """Whether a column only tells rows apart.

    One without a name of its own, if all its cells differ and are words or whole numbers; one whose name ends in
    such as ``id``, ``index``, ``no``, if its values are consecutive whole numbers, in any order.
    """
    if UNNAMED.fullmatch(name):
        whole = values is None or bool((values == np.floor(values)).all())
        return whole and len(set(cells)) == len(cells)
    return bool({last_word(name)} & WORDS) and values is not None and consecutive(values)


def last_word(name: str) -> str:
    """``id`` of PassengerId, customer_id and ID."""
    words = WORD.findall(name)
    return words[-1].lower() if words else ""


def consecutive(values: Array) -> bool:
    """Whether the values are k, k + 1, ..., in any order, each once."""
    ordered = np.sort(values)
    return bool((ordered == np.floor(ordered)).all() and (np.diff(ordered) == 1).all())


def counts_in_order(values: Array) -> bool:
    """Whether the values are 0, 1, 2, ... or 1, 2, 3, ... from the first row to the last."""
    return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())
