"""Whether the first line of a table names its columns, told by the columns below it; where they do not tell, we ask.

A row that is taken for names is lost, and nobody sees it.  So a first line counts as names only when it cannot be
a row: words over numbers, or numbers that go up in steps, as years and months do, over columns of another kind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

import numpy as np

from jko.datasets.cells import Array, is_gap, is_number, is_numeric, numbers
from jko.datasets.labels import counts_in_order

Cells = Sequence[str]

GLANCE = 1000  # cells of a column that show its kind
MANY = 8  # numbers in steps which no row has by chance
TWICE = 2  # words over numbers which no row has by chance
ENOUGH = 3  # numbers that make steps worth the name
YEARS = range(1500, 2201)


def doubt(first: Cells, columns: Sequence[Cells]) -> str:
    """Why the first line may be a row of data; empty if it names the columns."""
    numeric = [_mostly_numbers(column) for column in columns]
    held = [k for k, cell in enumerate(first) if is_number(cell)]
    over = [k for k, yes in enumerate(numeric) if yes and k not in set(held)]
    words = [k for k in over if not is_gap(first[k]) and not is_numeric(first[k])]
    if len(held) == len(first):
        return "holds numbers"
    corner = not first[0] and _counts(columns[0])
    counted = corner and bool(held) and _counts([first[k] for k in held])
    if held and not counted and not _number_names(first, columns, held, bool(words)):
        return f"may be a row of data: it holds {first[held[0]]!r} among words"
    if held or len(words) < TWICE:
        for k, cell in enumerate(first):
            if not numeric[k] and not is_gap(cell) and cell in columns[k]:
                return f"may be a row of data: {cell!r} stands again in a line below it"
    if over and not (held or words or (corner and over == [0])):
        return "may be a row of data: it has a gap over numbers"
    return ""


def _mostly_numbers(column: Cells) -> bool:
    """More than half of the cells that are filled, at a glance."""
    some = list(islice(column, GLANCE))
    if numbers(some) is not None:
        return True
    filled = [cell for cell in some if not is_gap(cell)]
    return sum(map(is_numeric, filled)) > len(filled) / 2


def _counts(column: Cells) -> bool:
    """0, 1, 2, ... or 1, 2, 3, ...: what stands below the empty corner of a table with numbered rows."""
    values = numbers(column)
    return values is not None and counts_in_order(values)


def _number_names(first: Cells, columns: Sequence[Cells], held: list[int], words: bool) -> bool:
    """Whether the numbers among the words are names: whole, in steps, and apart from the columns below them."""
    if not all(re.fullmatch(r"\d{1,8}", first[k]) for k in held):
        return False
    values = np.array([_months(first[k]) for k in held])
    below = [_values(columns[k]) for k in held]
    outside = [
        len(column) > 0 and not column.min() <= float(first[k]) <= column.max()
        for k, column in zip(held, below, strict=True)
    ]
    whole = [
        bool((column == np.floor(column)).mean() > 0.5) if len(column) else True for column in below
    ]
    steps = np.diff(values)
    dates = all(int(first[k]) in YEARS or _is_month(first[k]) for k in held)
    if len(held) < ENOUGH:
        return (
            all(outside) and len(set(values)) == len(held) and (words or (dates and len(held) > 1))
        )
    apart = sum(o or not w for o, w in zip(outside, whole, strict=True)) > len(held) / 2
    if (steps == steps[0]).all() and steps[0] != 0:
        return apart or len(held) >= MANY
    return dates and apart and bool((steps > 0).all() or (steps < 0).all())


def _is_month(cell: str) -> bool:
    """202007 is."""
    return len(cell) == 6 and int(cell[:4]) in YEARS and 1 <= int(cell[4:]) <= 12


def _months(cell: str) -> int:
    return 12 * int(cell[:4]) + int(cell[4:]) if _is_month(cell) else int(cell)


def _values(column: Cells) -> Array:
    """The numbers among the cells of a column."""
    values = numbers(column)
    return (
        np.array([float(cell) for cell in column if is_number(cell)]) if values is None else values
    )
