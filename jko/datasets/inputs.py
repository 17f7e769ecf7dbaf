"""How a column becomes inputs of a network: numbers as they are, words as one input each, gaps by a stated rule.

A run keeps these rules in its folder, and reads new rows by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jko.datasets.cells import Array, is_gap, is_number
from jko.datasets.columns import Column, listed

WORDS = 12  # categories that a sentence lists


@dataclass(frozen=True)
class Number:
    """A column of numbers, one input.

    Parameters
    ----------
    column
        Its name.
    fill
        Whether cells may be missing: they become the mean of the training rows.
    flag
        Whether a second input is 1 where the cell was missing and 0 elsewhere.
    """

    column: str
    fill: bool = False
    flag: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (self.column, f"{self.column} missing")[: 1 + self.flag]

    @property
    def measured(self) -> tuple[bool, ...]:
        """Which inputs have a unit, and are standardised; the others are 0 or 1."""
        return (True, False)[: 1 + self.flag]

    def unread(self, column: Column) -> list[int]:
        """The cells that it cannot take."""
        if column.values is not None:
            return []
        return [
            k
            for k, cell in enumerate(column.words)
            if not (is_number(cell) or (self.fill and is_gap(cell)))
        ]

    def encoded(self, column: Column) -> Array:
        """The inputs, (M, 1) or (M, 2); NaN in the first where the cell is missing."""
        if column.values is not None:
            x = column.values
        else:
            x = np.array([np.nan if is_gap(cell) else float(cell) for cell in column.words])
        return np.stack([x, np.isnan(x).astype(float)][: 1 + self.flag], axis=1)

    @property
    def said(self) -> str:
        """What is done with the column."""
        if not self.flag:
            return "a number" + "; a gap is the mean of the training rows" * self.fill
        return (
            f"a number; a gap is the mean of the training rows, and {self.inputs[1]!r} is 1 there"
        )


@dataclass(frozen=True)
class Categories:
    """A column of words, one input for each: 1 where the cell is this word, 0 elsewhere.

    Parameters
    ----------
    column
        Its name.
    words
        The words, sorted.
    numeric
        Whether they are numbers, of which ``1`` and ``1.0`` are the same.
    gap
        Whether missing cells are a category of their own, the last input.
    """

    column: str
    words: tuple[str, ...]
    numeric: bool = False
    gap: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (
            *(f"{self.column} = {word}" for word in self.words),
            *[f"{self.column} missing"] * self.gap,
        )

    @property
    def measured(self) -> tuple[bool, ...]:
        """None has a unit."""
        return (False,) * len(self.inputs)

    def unread(self, column: Column) -> list[int]:
        """The cells of no category."""
        return np.flatnonzero(self._codes(column) < 0).tolist()

    def encoded(self, column: Column) -> Array:
        """The inputs, (M, number of categories); a cell of no category is 0 in all of them."""
        return (self._codes(column)[:, None] == np.arange(len(self.inputs))).astype(float)

    def _codes(self, column: Column) -> np.ndarray:
        """The number of each cell's category, -1 of none."""
        codes = {word: k for k, word in enumerate(self.words)}
        last = len(self.words) if self.gap else -1
        cells = spelt(column.words, self.numeric)
        return np.array([last if is_gap(cell) else codes.get(cell, -1) for cell in cells])

    @property
    def said(self) -> str:
        """What is done with the column."""
        count = f"{len(self.words)} categories ({listed(self.words, WORDS)})"
        return f"{count}, one input each" + "; a gap is a category of its own" * self.gap


Recipe = tuple[Number | Categories, ...]


def spelt(cells: Sequence[str], numeric: bool) -> list[str]:
    """The cells as words; numbers in one spelling, if they are ``numeric``."""
    if not numeric:
        return list(cells)
    return [f"{float(cell):.15g}" if is_number(cell) else cell for cell in cells]


def input_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of all inputs, in order."""
    return tuple(name for rule in recipe for name in rule.inputs)


def encoded(recipe: Recipe, columns: dict[str, Column]) -> Array:
    """All inputs, (M, n)."""
    return np.concatenate([rule.encoded(columns[rule.column]) for rule in recipe], axis=1)


def facts(recipe: Recipe) -> list[dict[str, Any]]:
    """The rules as JSON holds them."""
    return [{"kind": type(rule).__name__.lower()} | asdict(rule) for rule in recipe]


def from_facts(rules: Sequence[dict[str, Any]]) -> Recipe:
    """The inverse of :func:`facts`.

    Raises
    ------
    KeyError, TypeError
        For what is none.
    """
    kinds: dict[str, Any] = {"number": Number, "categories": Categories}
    found = []
    for rule in rules:
        given = dict(rule)
        kind = kinds[given.pop("kind")]
        if "words" in given:
            given["words"] = tuple(given["words"])
        found.append(kind(**given))
    return tuple(found)
