"""Columns of figures that grow by a row a step, in a few bytes a number."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

Column = array | list  # type: ignore[type-arg]


class Figures:
    """A table that grows by rows: whole numbers, numbers or words under each name.

    A figure that a row lacks, since its step had another solver or scheme, is NaN in that row, or "" among words.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._columns: dict[str, Column] = {}

    def append(self, row: Mapping[str, Any]) -> None:
        """Enter one row: all of it or, if an interruption or an error comes between, nothing.

        Raises
        ------
        TypeError
            A figure that is neither a number nor a word, or words where there were numbers.
        """
        columns, rows = self._columns, self.rows
        for name, value in row.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = _begun(name, value, rows)
            del column[rows:]
            columns[name] = _with(name, column, value)
        if len(row) < len(columns):
            for name in columns.keys() - row.keys():
                del columns[name][rows:]
                columns[name] = _with(name, columns[name], _nothing(columns[name]))
        self.rows = rows + 1

    def extend(self, columns: Mapping[str, np.ndarray], rows: int) -> None:
        """Enter ``rows`` rows of columns."""
        if rows == 1:
            self.append({name: values[0].item() for name, values in columns.items()})
            return
        lists = {name: values.tolist() for name, values in columns.items()}
        for k in range(rows):
            self.append({name: values[k] for name, values in lists.items()})

    def arrays(self, first: int = 0) -> dict[str, np.ndarray]:
        """The rows from ``first`` on, each column an array."""
        rows = slice(first, self.rows)
        return {name: np.array(values[rows]) for name, values in self._columns.items()}


def _begun(name: str, value: Any, rows: int) -> Column:
    """A column for values like this one, with nothing in its first ``rows``."""
    if isinstance(value, str):
        return [""] * rows
    if isinstance(value, Integral) and not rows:
        return array("q")
    if isinstance(value, Real):
        return array("d", [math.nan]) * rows
    raise TypeError(_sentence(name, value))


def _with(name: str, column: Column, value: Any) -> Column:
    """The column with one value more; whole numbers become numbers where one of them is not whole."""
    if isinstance(column, list) is not isinstance(value, str):
        raise TypeError(_sentence(name, value))
    try:
        column.append(value)
    except (TypeError, OverflowError):
        if isinstance(column, list) or not isinstance(value, Real):
            raise TypeError(_sentence(name, value)) from None
        return array("d", [*column, float(value)])
    return column


def _nothing(column: Column) -> str | float:
    return "" if isinstance(column, list) else math.nan


def _sentence(name: str, value: Any) -> str:
    return (
        f"the figure {name!r} of a step is {value!r}, a {type(value).__name__}; a solver reports numbers (or words) "
        "under a name, and always the same kind"
    )
