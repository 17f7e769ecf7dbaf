"""Tables from CSV files, read without guessing: text, gaps and unknown columns are refused by line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jko.datasets.table import Array, Table

MISSING = {"", "?", "na", "n/a", "nan", "nil", "none", "null"}


def read_csv(path: str | Path, target: str, ignore: Sequence[str] = ()) -> Table:
    """A table from a CSV file: a line of column names, then a line of numbers for each observation.

    The delimiter is whichever of ``, ; tab`` the first line has most of.  A target with two values (numbers or words)
    means two classes, -1 and +1 in sorted order; every other target must be numbers.

    Parameters
    ----------
    path
        The file, in UTF-8.
    target
        Name of the target's column.
    ignore
        Names of columns to leave out.

    Raises
    ------
    ValueError
        A file that cannot be read, an unknown column, text, missing or infinite values, no inputs, a constant target.
    """
    names, lines, rows = _cells(path)
    for option, column in (("--target", target), *(("--ignore", column) for column in ignore)):
        if column not in names:
            raise ValueError(
                f"{option} {column!r} is no column of {str(path)!r}; its columns are {', '.join(names)}"
            )
    inputs = [name for name in names if name != target and name not in ignore]
    if not inputs:
        raise ValueError(
            f"{str(path)!r} has no input column besides the target {target!r}; at least one is needed"
        )

    def cells(name: str) -> list[str]:
        return [row[names.index(name)] for row in rows]

    x = np.stack([_numbers(path, name, cells(name), lines) for name in inputs], axis=1)
    f, classes = _target(path, target, cells(target), lines)
    return Table(Path(path).name, tuple(inputs), x, target, f, classes)


def _cells(path: str | Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Column names, then line number and cells of every row."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            table = [
                (reader.line_num, [c.strip() for c in row])
                for row in reader
                if any(c.strip() for c in row)
            ]
    except OSError as error:
        raise ValueError(
            f"--csv {str(path)!r} cannot be read: {error.strerror}; check the path"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"--csv {str(path)!r} is no text table in UTF-8 ({error}); export it as CSV again"
        ) from None
    if not table:
        raise ValueError(
            f"--csv {str(path)!r} is empty; it needs a line of column names, then rows of numbers"
        )
    (_, names), *rows = table
    if len(set(names)) < len(names) or all(_is_number(name) for name in names):
        what = "repeats a name" if len(set(names)) < len(names) else "holds numbers"
        raise ValueError(
            f"the first line of {str(path)!r} {what} ({_listed(names)}); it must name each column once"
        )
    if not rows:
        raise ValueError(
            f"--csv {str(path)!r} has column names but no rows; it needs one line for each observation"
        )
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(
                f"line {line} of {str(path)!r} has {len(row)} cells but there are {len(names)} columns; "
                f"every line needs one cell for each column, separated by {delimiter!r}"
            )
    return names, [line for line, _ in rows], [row for _, row in rows]


def _numbers(path: str | Path, name: str, cells: list[str], lines: list[int]) -> Array:
    """A column of finite numbers."""
    _refuse_missing(path, name, cells, lines)
    bad = next((k for k, cell in enumerate(cells) if not _is_number(cell)), None)
    if bad is not None:
        raise ValueError(
            f"column {name!r} of {str(path)!r} holds {cells[bad]!r} in line {lines[bad]}; it must hold finite numbers: "
            f"encode it as numbers, or leave it out by --ignore {name!r}"
        )
    return np.array([float(cell) for cell in cells])


def _target(
    path: str | Path, name: str, cells: list[str], lines: list[int]
) -> tuple[Array, tuple[str, str] | None]:
    """The target's values, and the two classes that -1 and +1 stand for."""
    _refuse_missing(path, name, cells, lines)
    numeric = all(_is_number(cell) for cell in cells)
    values = sorted({float(cell) for cell in cells}) if numeric else sorted(set(cells))
    if len(values) == 1:
        raise ValueError(
            f"the target {name!r} of {str(path)!r} is {values[0]!r} in every row; it must vary"
        )
    if len(values) == 2:
        low, high = (f"{v:g}" if isinstance(v, float) else v for v in values)
        return np.array(
            [1.0 if (float(c) if numeric else c) == values[1] else -1.0 for c in cells]
        ), (low, high)
    if not numeric:
        words = [cell for cell in cells if not _is_number(cell)]
        raise ValueError(
            f"the target {name!r} of {str(path)!r} holds text, first {words[0]!r} in line "
            f"{lines[cells.index(words[0])]}, and {len(values)} different values in all; it must hold numbers, "
            "or exactly two values for two classes: encode it, or keep the rows of two classes"
        )
    return np.array([float(cell) for cell in cells]), None


def _refuse_missing(path: str | Path, name: str, cells: list[str], lines: list[int]) -> None:
    missing = [line for line, cell in zip(lines, cells, strict=True) if cell.lower() in MISSING]
    if missing:
        raise ValueError(
            f"column {name!r} of {str(path)!r} misses {len(missing)} of {len(cells)} values, the first in line "
            f"{missing[0]}; every cell must be filled: drop these lines or fill them"
        )


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
