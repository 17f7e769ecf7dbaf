"""What is wrong with columns, all of it in one sentence, with the remedies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from jko.datasets.cells import has_commas, is_gap, is_infinite
from jko.datasets.columns import Column, listed
from jko.datasets.inputs import Categories, Number

COMPLAINTS = 50  # columns in one sentence, at most
CELL = 40  # letters of a cell in a sentence
POINTS = "write numbers with a decimal point and no separator of thousands"
BOUNDED = "replace infinite values"
ENCODE = "encode words as numbers (--encode makes each word an input)"
ENCODE_MIXED = "encode words as numbers (--encode COLUMN does, also where most cells are numbers)"
FILL = "fill the gaps or drop their lines (--fill takes the mean, or a category of its own)"
FILL_TARGET = "fill the gaps or drop their lines"
UNSEEN = "drop their lines, or take them for none of the known categories by --unseen"

Finding = tuple[Number | Categories, Column, list[int]]


def of_training(
    where: str, wrong: Sequence[Finding], lines: Sequence[int], encode: bool
) -> list[str]:
    """Why columns of a table to train on are no inputs, and what to do."""
    if not wrong:
        return []
    found, remedies = _told(where, wrong, lines, ENCODE_MIXED if encode else ENCODE)
    more = f"; and {len(found) - COMPLAINTS} columns more" if len(found) > COMPLAINTS else ""
    ignored = " ".join(shlex.quote(column.name) for _, column, _ in wrong[:COMPLAINTS])
    alone = len(wrong) == 1
    return [
        f"{'; '.join(found[:COMPLAINTS])}{more}; {'it' if alone else 'inputs'} must hold finite numbers: "
        f"{', '.join(remedies)}, or leave {'it' if alone else 'them'} out by --ignore {ignored}{' ...' if more else ''}"
    ]


def of_new_rows(where: str, wrong: Sequence[Finding], lines: Sequence[int]) -> list[str]:
    """Why columns of new rows cannot be read by the rules of a run, and what to do."""
    if not wrong:
        return []
    found, remedies = _told(where, wrong, lines, "")
    known = [
        f"known in {rule.column!r} are {listed(rule.words, COMPLAINTS)}"
        for rule, *_ in wrong
        if isinstance(rule, Categories)
    ]
    does = [remedy for remedy in remedies if remedy] or ["write numbers there"]
    return [f"{'; '.join(found[:COMPLAINTS])}; {'; '.join([*known[:COMPLAINTS], *does])}"]


def _told(
    where: str, wrong: Sequence[Finding], lines: Sequence[int], encode: str
) -> tuple[list[str], list[str]]:
    found: list[str] = []
    remedies: list[str] = []
    for rule, column, cells in wrong:
        what, how = _finding(rule, column, cells, lines, encode)
        of = f" of {where}" if not found else ""
        found.append(f"column {column.name!r}{of} {what}")
        remedies += [remedy for remedy in how if remedy not in remedies]
    return found, remedies


def _finding(
    rule: Number | Categories, column: Column, cells: list[int], lines: Sequence[int], encode: str
) -> tuple[str, list[str]]:
    """What the cells hold that the rule does not take, and the remedies."""
    words = column.words
    missing = [k for k in cells if is_gap(words[k])]
    bad = next((k for k in cells if not is_gap(words[k])), None)
    found, remedies = [], []
    if bad is not None:
        known = isinstance(rule, Categories)
        found.append(
            f"holds {short(words[bad])} in line {lines[bad]}" + ", which is not known" * known
        )
        remedies.append(UNSEEN if known else remedy(words[bad], encode))
    if missing:
        found.append(gaps(words, missing, lines))
        trained = isinstance(rule, Categories) and not encode
        remedies.append(UNSEEN if trained else FILL if encode else FILL_TARGET)
    return " and ".join(found), list(dict.fromkeys(remedies))


def remedy(cell: str, encode: str) -> str:
    """What to do about a cell that is no number."""
    return POINTS if has_commas(cell) else BOUNDED if is_infinite(cell) else encode


def gaps(cells: Sequence[str], missing: Sequence[int], lines: Sequence[int]) -> str:
    """How many cells are missing, and where the first is."""
    spelt = f" ({cells[missing[0]]!r})" if cells[missing[0]] else ""
    return f"misses {len(missing)} of {len(cells)} values, the first in line {lines[missing[0]]}{spelt}"


def short(cell: str) -> str:
    """A cell, in quotes and not too long."""
    return repr(cell if len(cell) <= CELL else cell[: CELL - 3] + "...")
