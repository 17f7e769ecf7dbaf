"""The columns of a file, each under a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jko.datasets.cells import Array, is_number, numbers
from jko.datasets.header import doubt
from jko.datasets.labels import counts_in_order
from jko.datasets.rows import Rows, cut, name
from jko.datasets.text import read_text

NAMED = 5  # names in a sentence


@dataclass(frozen=True, eq=False)
class Column:
    """A column; ``label`` is its name as the file has it, which may be empty."""

    name: str
    label: str
    cells: Sequence[str]

    @classmethod
    def of(cls, name: str, values: Iterable[Any]) -> Column:
        """Of values as programs hold them: numbers, words, truth values; None and NaN are gaps."""
        given = values.tolist() if hasattr(values, "tolist") else values
        return cls(name, name, list(map(str, given)))

    @cached_property
    def values(self) -> Array | None:
        """Its numbers; None if a cell is none."""
        return numbers(self.cells)

    @cached_property
    def words(self) -> list[str]:
        """Its cells without the blanks around them."""
        return [cell.strip() for cell in self.cells]


def read_columns(path: str | Path, header: bool | None) -> tuple[dict[str, Column], list[int]]:
    """Columns by name, and the line in the file of every row.

    ``header`` says whether the first line names the columns; None: the columns below it tell, or it is refused.
    """
    table = cut(read_text(path), f"--csv {str(path)!r}")
    if not table.rows:
        raise ValueError(
            f"--csv {str(path)!r} is empty; it needs a line of column names, then rows of numbers"
        )
    first = [cell.strip() for cell in table.rows[0]]
    if header is False:
        _refuse_ragged(path, table, 0)
        return _numbered(table.rows), table.lines
    corner = _lacks_corner(table)
    _refuse_ragged(path, table, 1 if corner else 0)
    below = list(zip(*table.rows[1:], strict=True))
    first = [""] * corner + first
    why = doubt(first, below) if below else "holds numbers" * all(map(is_number, first))
    if why and header is None:
        raise ValueError(
            f"the first line of {str(path)!r} {why} ({listed(first)}); it must name each column once: say --header no "
            f"if it is a row (the columns are then called {listed(_numbers(len(first)))}), --header yes if it is names"
        )
    if not below:
        raise ValueError(
            f"--csv {str(path)!r} has column names but no rows; it needs one line for each observation"
        )
    return _named(path, first, below), table.lines[1:]


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first few of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _numbers(count: int) -> list[str]:
    return [str(k + 1) for k in range(count)]


def _numbered(rows: list[list[str]]) -> dict[str, Column]:
    """Columns without names, called by their numbers; a first one that counts the rows has no label either."""
    columns = [
        Column(n, n, cells)
        for n, cells in zip(_numbers(len(rows[0])), zip(*rows, strict=True), strict=True)
    ]
    first = columns[0]
    if first.values is not None and counts_in_order(first.values):
        columns[0] = Column(first.name, "", first.cells)
    return {column.name: column for column in columns}


def _named(path: str | Path, first: list[str], below: list[tuple[str, ...]]) -> dict[str, Column]:
    names = [label or f"column {k + 1}" for k, label in enumerate(first)]
    if len(set(names)) < len(names):
        twice = [n for n, count in Counter(names).items() if count > 1]
        raise ValueError(
            f"the first line of {str(path)!r} repeats a name ({listed(names if len(names) <= NAMED else twice)}); "
            "it must name each column once"
        )
    return {n: Column(n, label, cells) for n, label, cells in zip(names, first, below, strict=True)}


def _lacks_corner(table: Rows) -> bool:
    """Whether the first line is one cell short, above rows that begin with a label: as R writes tables."""
    first, *below = table.rows
    if not below or any(map(is_number, first)) or any(len(row) != len(first) + 1 for row in below):
        return False
    labels = [row[0] for row in below]
    values = numbers(labels)
    return len(set(labels)) == len(labels) and (values is None or counts_in_order(values))


def _refuse_ragged(path: str | Path, table: Rows, short: int) -> None:
    """Every row has one cell for each column; the first may lack ``short``."""
    columns = len(table.rows[0]) + short
    wrong = [k for k, row in enumerate(table.rows) if len(row) != columns and k >= short]
    if wrong:
        line, row = table.lines[wrong[0]], table.rows[wrong[0]]
        more = f" (and {len(wrong) - 1} lines more are wrong)" * (len(wrong) > 1)
        raise ValueError(
            f"line {line} of {str(path)!r} has {len(row)} cells but there are {columns} columns{more}; "
            f"every line needs one cell for each column, separated by {name(table.delimiter)}"
        )
