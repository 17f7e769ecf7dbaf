"""Columns of figures that grow by a row a step, in a few bytes a number."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np


class Words:
    """A column of words, of which most are the same: each is stored once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._codes = array("I")

    def enter(self, k: int, word: str) -> None:
        """The word of row k, in place of an earlier one and all that follow it."""
        del self._codes[k:]
        self._codes.append(self._known.setdefault(word, len(self._known)))

    def array(self, first: int, last: int) -> np.ndarray:
        """The rows from ``first`` on and before ``last``; one word again and again takes no room."""
        words = np.array(list(self._known) or [""])
        if len(words) == 1:
            return np.broadcast_to(words[0], (last - first,))
        return words[np.array(self._codes[first:last], dtype=np.intp)]

    def whole(self, last: int) -> np.ndarray:
        """All rows before ``last``."""
        return self.array(0, last)


class Numbers:
    """A column of whole numbers, until one is not whole."""

    def __init__(self, whole: bool) -> None:
        self._values: array[Any] = array("q" if whole else "d")

    def enter(self, k: int, value: float) -> None:
        """The number of row k, in place of an earlier one and all that follow it."""
        del self._values[k:]
        try:
            self._values.append(value)
        except (TypeError, OverflowError):
            self._values = array("d", self._values)
            self._values.append(float(value))

    def array(self, first: int, last: int) -> np.ndarray:
        """The rows from ``first`` on and before ``last``, float64 or int64."""
        return np.array(self._values[first:last])

    def whole(self, last: int) -> np.ndarray:
        """All rows before ``last``, without a copy: nothing more can be appended then."""
        return np.asarray(self._values)[:last]


class Figures:
    """A table that grows by rows: whole numbers, numbers or words under each name.

    A figure that a row lacks, since its step had another solver or scheme, is NaN in that row, or "" among words.
    """

    def __init__(self) -> None:
        self._columns: dict[str, Words | Numbers] = {}

    def enter(self, k: int, row: Mapping[str, Any]) -> None:
        """Enter row k, in place of an earlier one and all that follow it.

        Raises
        ------
        TypeError
            A figure that is neither a number nor a word, or words where there were numbers.
        """
        for name, value in row.items():
            if name not in self._columns:
                self._begin(name, k, value)
        for name, column in self._columns.items():
            words = type(column) is Words
            value = row.get(name, "" if words else math.nan)
            if words is not isinstance(value, str) or not isinstance(
                value, (str, float, int, Real)
            ):
                raise TypeError(
                    f"the figure {name!r} of a step is {value!r}, a {type(value).__name__}; a solver reports numbers "
                    "(or words) under a name, and always the same kind"
                )
            column.enter(k, value)  # type: ignore[arg-type]

    def extend(self, k: int, columns: Mapping[str, np.ndarray], rows: int) -> None:
        """Enter the rows from k on, given by columns."""
        lists = {name: values.tolist() for name, values in columns.items()}
        for j in range(rows):
            self.enter(k + j, {name: values[j] for name, values in lists.items()})

    def arrays(self, first: int, last: int) -> dict[str, np.ndarray]:
        """The rows from ``first`` on and before ``last``, each column an array."""
        return {name: column.array(first, last) for name, column in self._columns.items()}

    def whole(self, last: int) -> dict[str, np.ndarray]:
        """All rows before ``last``, for the end: numbers are not copied, and so no row can follow."""
        return {name: column.whole(last) for name, column in self._columns.items()}

    def _begin(self, name: str, rows: int, value: Any) -> None:
        """A column for values like this one, with nothing in its first ``rows``."""
        column = (
            Words() if isinstance(value, str) else Numbers(isinstance(value, Integral) and not rows)
        )
        for k in range(rows):
            column.enter(k, "" if isinstance(column, Words) else math.nan)  # type: ignore[arg-type]
        self._columns[name] = column
