"""From columns to what a network sees, and back: all that was decided on a table, to be repeated on new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jko.datasets import complaints, inputs
from jko.datasets.cells import Array
from jko.datasets.columns import Column, listed, read_columns
from jko.datasets.inputs import Number, Recipe
from jko.datasets.scaling import Scaling, Units
from jko.datasets.table import Split, Table
from jko.datasets.targets import Target

Columns = dict[str, Column]


@dataclass(frozen=True, eq=False)
class Preparation:
    """How rows become inputs of a network, and its outputs values of the target.

    Attributes
    ----------
    recipe : tuple of Number and Categories
        How columns become inputs.
    scaling : Scaling
        Which inputs are kept, and their units.
    target : Target
        What is learned.
    units : Units
        Of the target.
    named : bool
        Whether columns have names; else they are called "1", "2", ....

    Examples
    --------
    >>> import torch
    >>> from jko import datasets
    >>> table = datasets.load("iris")
    >>> parts = datasets.split(table, 0.0, torch.Generator())
    >>> preparation = datasets.Preparation.of(table, parts)
    >>> x = preparation.inputs(*preparation.read(table.x[:2]))
    >>> bool((torch.tensor(x) == parts.train.x[:2]).all())
    True
    """

    recipe: Recipe
    scaling: Scaling
    target: Target
    units: Units
    named: bool = True

    @classmethod
    def of(cls, table: Table, split: Split) -> Preparation:
        """What was decided on this table."""
        return cls(table.recipe, split.scaling, table.target, split.units, table.named)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(rule.column for rule in self.recipe)

    @property
    def needed(self) -> Recipe:
        """The rules whose inputs the network sees; the columns of the others were constant."""
        kept = set(self.scaling.columns)
        return tuple(rule for rule in self.recipe if kept & set(rule.inputs))

    def read(self, rows: Any, header: bool | None = None) -> tuple[Columns, list[int], str]:
        """Columns by name, the line of every row, and what to call the whole, of a file, a mapping or an array.

        Raises
        ------
        ValueError
            What is none of these, columns of different lengths.
        """
        if isinstance(rows, (str, Path)):
            columns, lines = read_columns(rows, self.named if header is None else header)
            return columns, lines, repr(str(rows))
        columns = self._held(rows)
        lengths = {len(column.cells) for column in columns.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(
                f"the columns have {listed(sorted(map(str, lengths)))} rows; all need the same number, at least one"
            )
        return columns, list(range(lengths.pop())), "the rows"

    def _held(self, rows: Any) -> Columns:
        """Columns of a mapping (a dict, a DataFrame), or of an array in the order of ``columns``."""
        if hasattr(rows, "keys"):
            return {str(name): Column.of(str(name), rows[name]) for name in rows.keys()}  # noqa: SIM118
        array = np.asarray(rows)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise ValueError(
                f"the rows have shape {array.shape}; they must be a CSV file, a mapping of columns, or an array "
                f"(M, {len(self.columns)}) of the columns {listed(self.columns, complaints.COMPLAINTS)}"
            )
        pairs = zip(self.columns, array.T, strict=True)
        return {name: Column.of(name, values) for name, values in pairs}

    def inputs(
        self, columns: Mapping[str, Column], lines: Sequence[int], where: str, unseen: bool = False
    ) -> Array:
        """The network's inputs (M, n); a cell of no known category is 0 in all of its inputs if ``unseen``.

        Raises
        ------
        ValueError
            A column that is not there, and cells that the rules do not take, all at once.
        """
        recipe = self.needed
        lost = [rule.column for rule in recipe if rule.column not in columns]
        if lost:
            names = listed(list(map(repr, lost)), complaints.COMPLAINTS)
            raise ValueError(
                f"{where} lacks the column{'s' * (len(lost) > 1)} {names} that the run was trained on; its columns "
                f"are {listed(list(columns), complaints.COMPLAINTS)}"
            )
        unread = [(rule, columns[rule.column]) for rule in recipe]
        found = [
            (rule, column, cells)
            for rule, column in unread
            if (isinstance(rule, Number) or not unseen) and (cells := rule.unread(column))
        ]
        if found:
            raise ValueError("; ".join(complaints.of_new_rows(where, found, lines)))
        x = inputs.encoded(recipe, dict(columns))
        return self.scaling(inputs.input_names(recipe), x)

    def facts(self) -> dict[str, Any]:
        """Everything as JSON holds it."""
        scaling, units = self.scaling, self.units
        return {
            "named": self.named,
            "columns": inputs.facts(self.recipe),
            "inputs": [
                {"input": name, "centre": centre, "scale": scale}
                for name, centre, scale in zip(
                    scaling.columns, scaling.centre.tolist(), scaling.scale.tolist(), strict=True
                )
            ],
            "constant": list(scaling.dropped),
            "target": {
                "columns": list(self.target.columns),
                "classes": None if self.target.classes is None else list(self.target.classes),
                "numeric": self.target.numeric,
                "centre": np.asarray(units.centre).tolist(),
                "scale": np.asarray(units.scale).tolist(),
            },
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Preparation:
        """The inverse of :meth:`facts`.

        Raises
        ------
        KeyError, TypeError, ValueError
            For what is none.
        """
        kept, target = facts["inputs"], facts["target"]
        scaling = Scaling(
            tuple(row["input"] for row in kept),
            tuple(facts["constant"]),
            *(np.array([row[what] for row in kept], dtype=float) for what in ("centre", "scale")),
        )
        recipe = inputs.from_facts(facts["columns"])
        unknown = set(scaling.columns) - set(inputs.input_names(recipe))
        if unknown or not kept:
            raise ValueError(f"its inputs {sorted(unknown)} are of no column")
        classes = target["classes"]
        learned = Target(
            tuple(target["columns"]),
            None if classes is None else tuple(classes),
            bool(target["numeric"]),
        )
        units = Units(*(np.array(target[what], dtype=float) for what in ("centre", "scale")))
        return cls(recipe, scaling, learned, units, bool(facts["named"]))
