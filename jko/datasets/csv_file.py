"""Tables from CSV files, read without guessing: what could be read in two ways is refused, all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jko.datasets import complaints, targets
from jko.datasets.cells import is_gap, is_number, is_numeric
from jko.datasets.columns import Column, listed, read_columns
from jko.datasets.inputs import Categories, Number, Recipe, encoded, input_names, spelt
from jko.datasets.labels import WORDS, counts_in_order, labels_rows, last_word
from jko.datasets.table import Table

NEAR = 3  # unknown names for which a near one is looked up
MANY = 50  # different words beyond which a column names the rows more than it sorts them


def read_csv(
    path: str | Path,
    target: str | Sequence[str],
    ignore: Sequence[str] = (),
    *,
    keep: Sequence[str] = (),
    header: bool | None = None,
    encode: bool | Sequence[str] = False,
    fill: bool = False,
    task: str | None = None,
) -> Table:
    r"""A table from a CSV file: a line of column names, then a line for each observation.

    The delimiter is the one of ``, ; | tab`` and blanks that gives all lines the same number of cells.  A target of
    words is classes, and so is one of two values, or of few different whole numbers (at most 20, each more than once,
    three rows for each on average); every other target must be numbers.  Two classes are -1 and +1 in sorted order,
    more are a column of 0 and 1 each.  A column that only numbers or names the rows is no input: it is left out, and
    ``left_out`` and ``notes`` say so.

    Parameters
    ----------
    path
        The file, in UTF-8, up to 256 MiB.
    target
        Name of the target's column; of several columns of numbers their names.
    ignore
        Names of columns to leave out; ``""`` stands for all that have no name.
    keep
        Names of columns to take as inputs though they number the rows.
    header
        Whether the first line names the columns; without it they are called "1", "2", ....  None: the columns below
        the first line tell, and where they do not, the file is refused.
    encode
        Whether a column of words becomes an input for each word, 1 where the cell is this word and 0 elsewhere; or
        the names of columns where this is done too, though they hold numbers or very many words.
    fill
        Whether cells may be missing: a number becomes the mean of the training rows, and one more input is 1 there;
        a word becomes a category of its own.
    task
        ``"classification"`` or ``"regression"``; None: the target tells, as above.

    Raises
    ------
    ValueError
        A file that cannot be read, an unknown column, text, missing or infinite values, no inputs, a constant target,
        a first line that may be names or a row.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from jko import datasets
    >>> path = Path(mkdtemp()) / "houses.csv"
    >>> _ = path.write_text("area,price\n80,300\n120,410\n65,240\n")
    >>> table = datasets.read_csv(path, target="price")
    >>> table.columns, table.f.tolist()
    (('area',), [300.0, 410.0, 240.0])
    """
    if task not in (None, *targets.TASKS):
        raise ValueError(f"task = {task!r}; it must be 'classification' or 'regression', or None")
    columns, lines = read_columns(path, header)
    asked = _Asked(
        target=_targets(columns, target),
        ignore=_names(columns, ignore),
        keep=_names(columns, keep),
        encode=[] if isinstance(encode, bool) else _names(columns, encode),
        words=encode is not False,
        fill=bool(fill),
    )
    asked.refuse_unknown(path, columns)
    wanted = [c for c in columns.values() if c.name not in (*asked.target, *asked.ignore)]
    left_out = [c for c in wanted if asked.numbers_rows(c)]
    names_rows = [c for c in wanted if c not in left_out and asked.names_rows(c)]
    inputs = [c for c in wanted if c not in left_out and c not in names_rows]
    if not inputs:
        raise ValueError(
            f"{str(path)!r} has no input column besides the target {listed(list(map(repr, asked.target)))}; "
            "at least one is needed"
            + f" ({_quoted(left_out or names_rows)} only tells the rows apart; --keep takes it as an input)"
            * bool(left_out or names_rows)
        )
    recipe = tuple(asked.rule(column) for column in inputs)
    unread = [(rule, c, rule.unread(c)) for rule, c in zip(recipe, inputs, strict=True)]
    wrong = complaints.of_training(repr(str(path)), [f for f in unread if f[2]], lines, asked.words)
    learned, said, bad = targets.found(str(path), [columns[n] for n in asked.target], lines, task)
    if wrong + bad:
        raise ValueError("; ".join(wrong + bad))
    return Table(
        name=Path(path).name,
        columns=input_names(recipe),
        x=encoded(recipe, columns),
        target=learned,
        f=learned.encoded(columns),
        left_out=tuple(column.name for column in left_out + names_rows),
        notes=(
            *_notes(left_out, names_rows, [c for c in inputs if c.name not in keep]),
            *_did(recipe),
            *said,
        ),
        recipe=recipe,
        named=header is not False,
    )


@dataclass(frozen=True)
class _Asked:
    """What was asked of the columns, by their names."""

    target: list[str]
    ignore: list[str]
    keep: list[str]
    encode: list[str]
    words: bool
    fill: bool

    def refuse_unknown(self, path: str | Path, columns: dict[str, Column]) -> None:
        """Every name is a column's, and the target's is not among those to leave out."""
        given = {
            "--target": self.target, "--ignore": self.ignore, "--keep": self.keep, "--encode": self.encode
        }  # fmt: skip
        unknown = [(o, n) for o, names in given.items() for n in names if n not in columns]
        if unknown:
            are = "is no column" if len(unknown) == 1 else "are no columns"
            near = [
                n
                for _, name in unknown[:NEAR]
                for n in difflib.get_close_matches(str(name), columns, 1)
            ]
            meant = f" (is {' or '.join(map(repr, near))} meant?)" if near else ""
            raise ValueError(
                f"{' and '.join(f'{o} {n!r}' for o, n in unknown)} {are} of {str(path)!r}{meant}; "
                f"its columns are {listed(list(columns), complaints.COMPLAINTS)}"
            )
        for name in self.target:
            if name in self.ignore:
                raise ValueError(
                    f"--ignore {name!r} is the target; name another column by --target"
                )

    def numbers_rows(self, column: Column) -> bool:
        """Whether the column only tells the rows apart."""
        wanted = column.name in (*self.keep, *self.encode)
        return not wanted and labels_rows(column.label, column.cells, column.values)

    def names_rows(self, column: Column) -> bool:
        """Whether it is a column of words to encode that are too many for categories: names, tickets, addresses."""
        if not self.words or column.name in (*self.keep, *self.encode) or not _of_words(column):
            return False
        filled = [cell for cell in column.words if not is_gap(cell)]
        different = len(set(filled))
        return different > MANY or 2 * different > len(filled)

    def rule(self, column: Column) -> Number | Categories:
        """How it becomes inputs."""
        if column.name in self.encode or (self.words and _of_words(column)):
            numeric = all(is_number(cell) for cell in column.words if not is_gap(cell))
            filled = {cell for cell in column.words if not is_gap(cell)}
            gap = self.fill and any(map(is_gap, column.words))
            words = tuple(sorted(set(spelt(list(filled), numeric)), key=float if numeric else str))
            return Categories(column.name, words, numeric, gap)
        missing = column.values is None and any(map(is_gap, column.words))
        return Number(column.name, self.fill, self.fill and missing)


def _of_words(column: Column) -> bool:
    """Whether a person reads most of its cells as words."""
    if column.values is not None:
        return False
    filled = [cell for cell in column.words if not is_gap(cell)]
    return 2 * sum(map(is_numeric, filled)) < len(filled)


def _targets(columns: dict[str, Column], target: str | Sequence[str]) -> list[str]:
    """Each target by its name; ``a,b`` are two, where no column has a comma in its name."""
    names: list[str] = []
    for given in [target] if isinstance(target, str) else list(target):
        parts = [part.strip() for part in str(given).split(",")]
        names += (
            parts if given not in columns and all(part in columns for part in parts) else [given]
        )
    return list(dict.fromkeys(names))


def _names(columns: dict[str, Column], names: Sequence[str]) -> list[str]:
    """The names meant: one may be given alone, and the empty one stands for every column without a name."""
    names = [names] if isinstance(names, str) else list(names)
    unnamed = [column.name for column in columns.values() if not column.label]
    return [n for given in names for n in (unnamed if given == "" and unnamed else [given])]


def _did(recipe: Recipe) -> list[str]:
    """What was done with each column, if some are not just numbers."""
    plain = [f"{r.column!r}" for r in recipe if isinstance(r, Number) and not r.flag]
    others = [r for r in recipe if isinstance(r, Categories) or r.flag]
    numbers = f"numbers as they are: {listed(plain, complaints.COMPLAINTS)}"
    return [numbers] * bool(plain and others) + [f"{r.column!r}: {r.said}" for r in others]


def _notes(left_out: list[Column], names_rows: list[Column], inputs: list[Column]) -> list[str]:
    """What a reader should know of columns that number or name the rows, or look as if they did."""
    notes = []
    if left_out:
        it, tells, them = ("it", "tells", "it") if len(left_out) == 1 else ("they", "tell", "them")
        notes.append(
            f"left out, since {it} only {tells} the rows apart: {_quoted(left_out)} (--keep takes {them} as input)"
        )
    if names_rows:
        notes.append(
            f"left out, since the words differ from row to row: {_quoted(names_rows)} (--encode COLUMN takes them)"
        )
    alike = [column for column in inputs if _looks_like_labels(column)]
    if alike:
        notes.append(
            f"kept as input, though every row has its own whole number there: {_quoted(alike)} (--ignore leaves out)"
        )
    return notes


def _looks_like_labels(column: Column) -> bool:
    values = column.values
    if values is None:
        return False
    if counts_in_order(values):
        return True
    if last_word(column.name) not in WORDS or (values != np.floor(values)).any():
        return False
    return len(np.unique(values)) == len(values)


def _quoted(columns: list[Column]) -> str:
    return listed([repr(column.name) for column in columns])
