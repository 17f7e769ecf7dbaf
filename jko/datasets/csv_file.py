"""Tables from CSV files, read without guessing: what could be read in two ways is refused, all of it at once."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jko.datasets.cells import Array, has_commas, is_gap, is_infinite, is_number
from jko.datasets.columns import Column, listed, read_columns
from jko.datasets.labels import WORDS, counts_in_order, labels_rows, last_word
from jko.datasets.table import Table

COMPLAINTS = 50  # columns in one sentence, at most
NEAR = 3  # unknown names for which a near one is looked up
CELL = 40  # letters of a cell in a sentence
ENCODE = "encode words as numbers"
POINTS = "write numbers with a decimal point and no separator of thousands"
BOUNDED = "replace infinite values"
FILL = "fill the gaps or drop their lines"


def read_csv(
    path: str | Path,
    target: str,
    ignore: Sequence[str] = (),
    *,
    keep: Sequence[str] = (),
    header: bool | None = None,
) -> Table:
    r"""A table from a CSV file: a line of column names, then a line of numbers for each observation.

    The delimiter is the one of ``, ; | tab`` and blanks that gives all lines the same number of cells.  A target with
    two values (numbers or words) means two classes, -1 and +1 in sorted order; every other target must be numbers.
    A column that only numbers or names the rows is no input: it is left out, and ``left_out`` and ``notes`` say so.

    Parameters
    ----------
    path
        The file, in UTF-8, up to 256 MiB.
    target
        Name of the target's column.
    ignore
        Names of columns to leave out; ``""`` stands for all that have no name.
    keep
        Names of columns to take as inputs though they number the rows.
    header
        Whether the first line names the columns; without it they are called "1", "2", ....  None: the columns below
        the first line tell, and where they do not, the file is refused.

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
    columns, lines = read_columns(path, header)
    ignore, keep = _names(columns, ignore), _names(columns, keep)
    _refuse_unknown(path, columns, {"--target": [target], "--ignore": ignore, "--keep": keep})
    if target in ignore:
        raise ValueError(f"--ignore {target!r} is the target; name another column by --target")
    wanted = [c for c in columns.values() if c.name != target and c.name not in ignore]
    left_out = [c for c in wanted if c.name not in keep and labels_rows(c.label, c.cells, c.values)]
    inputs = [c for c in wanted if c not in left_out]
    if not inputs:
        raise ValueError(
            f"{str(path)!r} has no input column besides the target {target!r}; at least one is needed"
            + f" ({_quoted(left_out)} only tells the rows apart; --keep takes it as an input)"
            * bool(left_out)
        )
    complaints = _of_inputs(path, inputs, lines) + _of_target(path, columns[target], lines)
    if complaints:
        raise ValueError("; ".join(complaints))
    x = np.stack([_values(column) for column in inputs], axis=1)
    f, classes = _target(columns[target])
    return Table(
        name=Path(path).name,
        columns=tuple(column.name for column in inputs),
        x=x,
        target=target,
        f=f,
        classes=classes,
        left_out=tuple(column.name for column in left_out),
        notes=_notes(left_out, [column for column in inputs if column.name not in keep]),
    )


def _names(columns: dict[str, Column], names: Sequence[str]) -> list[str]:
    """The names meant: one may be given alone, and the empty one stands for every column without a name."""
    names = [names] if isinstance(names, str) else list(names)
    unnamed = [column.name for column in columns.values() if not column.label]
    return [n for given in names for n in (unnamed if given == "" and unnamed else [given])]


def _refuse_unknown(
    path: str | Path, columns: dict[str, Column], given: dict[str, list[str]]
) -> None:
    unknown = [f"{o} {n!r}" for o, names in given.items() for n in names if n not in columns]
    if not unknown:
        return
    are = "is no column" if len(unknown) == 1 else "are no columns"
    names = [n for some in given.values() for n in some if n not in columns]
    near = [n for name in names[:NEAR] for n in difflib.get_close_matches(str(name), columns, 1)]
    meant = f" (is {' or '.join(map(repr, near))} meant?)" if near else ""
    raise ValueError(
        f"{' and '.join(unknown)} {are} of {str(path)!r}{meant}; its columns are {listed(list(columns), COMPLAINTS)}"
    )


def _of_inputs(path: str | Path, inputs: list[Column], lines: list[int]) -> list[str]:
    """What is wrong with the inputs, in one sentence for all."""
    wrong = [column for column in inputs if column.values is None]
    if not wrong:
        return []
    found: list[str] = []
    remedies: list[str] = []
    for column in wrong:
        what, how = _finding(column, lines)
        of = f" of {str(path)!r}" if not found else ""
        found.append(f"column {column.name!r}{of} {what}")
        remedies += [remedy for remedy in how if remedy not in remedies]
    more = f"; and {len(found) - COMPLAINTS} columns more" if len(found) > COMPLAINTS else ""
    ignored = " ".join(shlex.quote(column.name) for column in wrong[:COMPLAINTS])
    it = "it must hold" if len(wrong) == 1 else "inputs must hold"
    return [
        f"{'; '.join(found[:COMPLAINTS])}{more}; {it} finite numbers: {', '.join(remedies)}, or leave "
        f"{'it' if len(wrong) == 1 else 'them'} out by --ignore {ignored}{' ...' if more else ''}"
    ]


def _finding(column: Column, lines: list[int]) -> tuple[str, list[str]]:
    """What a column holds that is no number, and the remedies."""
    cells = column.words
    gaps = [k for k, cell in enumerate(cells) if is_gap(cell)]
    bad = next((k for k, cell in enumerate(cells) if not (is_number(cell) or is_gap(cell))), None)
    found, remedies = [], []
    if bad is not None:
        found.append(f"holds {_short(cells[bad])} in line {lines[bad]}")
        remedies.append(_remedy(cells[bad]))
    if gaps:
        found.append(_gaps(cells, gaps, lines))
        remedies.append(FILL)
    return " and ".join(found), remedies


def _remedy(cell: str) -> str:
    return POINTS if has_commas(cell) else BOUNDED if is_infinite(cell) else ENCODE


def _gaps(cells: list[str], gaps: list[int], lines: list[int]) -> str:
    spelt = f" ({cells[gaps[0]]!r})" if cells[gaps[0]] else ""
    return f"misses {len(gaps)} of {len(cells)} values, the first in line {lines[gaps[0]]}{spelt}"


def _of_target(path: str | Path, column: Column, lines: list[int]) -> list[str]:
    """What is wrong with the target."""
    cells, the = column.words, f"the target {column.name!r} of {str(path)!r}"
    gaps = [k for k, cell in enumerate(cells) if is_gap(cell)]
    if gaps:
        return [
            f"column {column.name!r} of {str(path)!r} {_gaps(cells, gaps, lines)}; every cell must be filled: {FILL}"
        ]
    different = len(set(cells)) if column.values is None else len(np.unique(column.values))
    if different == 1:
        only = repr(cells[0]) if column.values is None else repr(float(column.values[0]))
        return [f"{the} is {only} in every row; it must vary"]
    if different == 2 or column.values is not None:
        return []
    bad = next(k for k, cell in enumerate(cells) if not is_number(cell))
    remedy = "encode it" if _remedy(cells[bad]) == ENCODE else _remedy(cells[bad])
    return [
        f"{the} holds text, first {_short(cells[bad])} in line {lines[bad]}, and {different} different values in all; "
        f"it must hold numbers, or exactly two values for two classes: {remedy}, or keep the rows of two classes"
    ]


def _values(column: Column) -> Array:
    assert column.values is not None
    return column.values


def _target(column: Column) -> tuple[Array, tuple[str, str] | None]:
    """The target's values, and the two classes that -1 and +1 stand for."""
    if column.values is None:
        low, high = sorted(set(column.words))
        return np.array([1.0 if cell == high else -1.0 for cell in column.words]), (low, high)
    different = np.unique(column.values)
    if len(different) > 2:
        return column.values, None
    low, high = (f"{value:.15g}" for value in different)
    return np.where(column.values == different[1], 1.0, -1.0), (low, high)


def _notes(left_out: list[Column], inputs: list[Column]) -> tuple[str, ...]:
    """What a reader should know of columns that number the rows, or look as if they did."""
    notes = []
    if left_out:
        them = "it" if len(left_out) == 1 else "them"
        notes.append(
            f"left out, since {them} only {'tells' if them == 'it' else 'tell'} the rows apart: {_quoted(left_out)} "
            f"(--keep takes {them} as input)"
        )
    alike = [column for column in inputs if _looks_like_labels(column)]
    if alike:
        notes.append(
            f"kept as input, though every row has its own whole number there: {_quoted(alike)} (--ignore leaves out)"
        )
    return tuple(notes)


def _looks_like_labels(column: Column) -> bool:
    values = _values(column)
    if counts_in_order(values):
        return True
    if last_word(column.name) not in WORDS or (values != np.floor(values)).any():
        return False
    return len(np.unique(values)) == len(values)


def _quoted(columns: list[Column]) -> str:
    return listed([repr(column.name) for column in columns])


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= CELL else cell[: CELL - 3] + "...")
