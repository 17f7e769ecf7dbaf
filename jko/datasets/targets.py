"""What is learned: classes or numbers, told by the columns of the target, or by the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jko.datasets.cells import Array, is_gap, is_number, is_numeric
from jko.datasets.columns import Column, listed
from jko.datasets.complaints import FILL_TARGET, gaps, remedy, short
from jko.datasets.inputs import spelt

TASKS = ("classification", "regression")
FEW = 20  # different whole numbers that are taken for classes
ROWS = 3  # rows for each of them, at least, on average
CLASSES = 200  # at most, when they are asked for


@dataclass(frozen=True)
class Target:
    """The columns to learn.

    Parameters
    ----------
    columns
        Their names: one, or several of numbers.
    classes
        The classes of one column, sorted; None for numbers.
    numeric
        Whether the classes are numbers, of which ``1`` and ``1.0`` are the same.

    Examples
    --------
    >>> from jko import datasets
    >>> datasets.load("iris").target
    Target(columns=('species',), classes=('setosa', 'versicolor', 'virginica'), numeric=False)
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    numeric: bool = False

    def encoded(self, columns: dict[str, Column]) -> Array:
        """What a network learns: numbers (M,), or (M, k) for k columns; -1 and +1 (M,) for two classes, else (M, k).

        Raises
        ------
        ValueError
            A cell of none of the classes, or one that is no number.
        """
        given = [columns[name] for name in self.columns]
        if self.classes is None:
            values = [column.values for column in given]
            if any(value is None for value in values):
                raise ValueError("the target holds gaps or words, not numbers alone")
            return values[0] if len(values) == 1 else np.stack(values, axis=1)  # type: ignore[arg-type,return-value]
        codes = {name: k for k, name in enumerate(self.classes)}
        cells = spelt(given[0].words, self.numeric)
        unknown = next((cell for cell in cells if cell not in codes), None)
        if unknown is not None:
            raise ValueError(f"the target holds {short(unknown)}, which is no class")
        return indicators(np.array([codes[cell] for cell in cells]), len(codes))


def indicators(codes: np.ndarray, count: int) -> Array:
    """-1 and +1, (M,), for two classes 0 and 1; for more a column of 0 and 1 for each, (M, count)."""
    if count == 2:
        return 2.0 * codes - 1
    return (codes[:, None] == np.arange(count)).astype(float)


def found(
    path: str, columns: Sequence[Column], lines: Sequence[int], task: str | None
) -> tuple[Target, list[str], list[str]]:
    """The target, what is to be said of it, and what is wrong with it."""
    names = tuple(column.name for column in columns)
    wrong = [sentence for column in columns for sentence in _basic(path, column, lines)]
    if wrong:
        return Target(names), [], wrong
    if len(columns) > 1:
        return Target(names), [], _several(path, columns, task)
    return _one(path, columns[0], lines, task)


def _basic(path: str, column: Column, lines: Sequence[int]) -> list[str]:
    """Cells are there, and differ."""
    cells = column.words
    missing = [k for k, cell in enumerate(cells) if is_gap(cell)]
    if missing:
        what = gaps(cells, missing, lines)
        return [
            f"column {column.name!r} of {path!r} {what}; every cell must be filled: {FILL_TARGET}"
        ]
    if _count(column) == 1:
        only = repr(cells[0]) if column.values is None else repr(float(column.values[0]))
        return [f"the target {column.name!r} of {path!r} is {only} in every row; it must vary"]
    return []


def _count(column: Column) -> int:
    """How many different values there are."""
    return len(set(column.words)) if column.values is None else len(np.unique(column.values))


def _several(path: str, columns: Sequence[Column], task: str | None) -> list[str]:
    words = [column.name for column in columns if column.values is None]
    if not words and task != "classification":
        return []
    what = (
        f"{listed(list(map(repr, words)))} of {path!r} hold words" if words else "these are several"
    )
    return [f"several targets must be numbers, and {what}; learn classes one column at a time"]


def _one(
    path: str, column: Column, lines: Sequence[int], task: str | None
) -> tuple[Target, list[str], list[str]]:
    numeric, different = column.values is not None, _count(column)
    numbers = Target((column.name,))
    if numeric and (task == "regression" or (task is None and different > 2 and not _few(column))):
        return numbers, [], []
    mixed = not numeric and different > 2 and any(map(is_numeric, column.words))
    if not numeric and (task == "regression" or (task is None and mixed)):
        return numbers, [], [_holds_text(path, column, lines, different, task)]
    if different > (len(column.words) // 2 if task is None and different > 2 else CLASSES):
        said = f"the target {column.name!r} of {path!r} has {different} different values in {len(column.words)} rows"
        return (
            numbers,
            [],
            [f"{said}, too many for classes; learn another column, or join rare ones"],
        )
    if numeric:
        classes = tuple(f"{value:.15g}" for value in np.unique(column.values))  # type: ignore[arg-type]
    else:
        classes = tuple(sorted(set(column.words)))
    few = f"target {column.name!r}: taken for classes, as it has {different} different whole numbers only "
    notes = [few + "(--task regression reads them as values)"] * (
        numeric and task is None and different > 2
    )
    return Target((column.name,), classes, numeric), notes, []


def _few(column: Column) -> bool:
    """Few different whole numbers, each more than once: classes."""
    assert column.values is not None
    different, counts = np.unique(column.values, return_counts=True)
    whole = bool((different == np.floor(different)).all())
    enough = len(column.values) >= ROWS * len(different) and bool((counts > 1).all())
    return whole and enough and len(different) <= FEW


def _holds_text(
    path: str, column: Column, lines: Sequence[int], different: int, task: str | None
) -> str:
    cells = column.words
    bad = next(k for k, cell in enumerate(cells) if not is_number(cell))
    how = remedy(cells[bad], "encode it")
    rule = (
        f"a regression needs numbers: {how}, or leave --task regression away"
        if task
        else f"it must hold numbers, or words alone for classes: {how}, or say --task classification"
    )
    return (
        f"the target {column.name!r} of {path!r} holds text, first {short(cells[bad])} in line {lines[bad]}, and "
        f"{different} different values in all; {rule}"
    )
