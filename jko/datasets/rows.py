"""A text cut into rows of cells: the delimiter is the one that gives all rows the same length."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from jko.datasets.cells import is_gap, is_numeric

BLANKS = " "  # the delimiter of columns aligned by blanks, any number of them, tabs too
DELIMITERS = ("\t", ";", ",", "|", BLANKS)
SAMPLE = 500  # rows that decide the delimiter
GLANCE = 20_000  # cells that decide between delimiters which cut alike
MOST = 25_000_000  # cells; as text in lists they take some two gigabytes
# a first line by which Excel names the delimiter
EXCEL = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\n|\r|$)')


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that are not blank, each with the number of its last line in the file.

    A cell that is blank in the first row and in all below, at the end of the row, is no cell:
    spreadsheets leave such tails.
    """

    delimiter: str
    lines: list[int]
    rows: list[list[str]]

    @property
    def width(self) -> int:
        """Cells of the longest row."""
        return max(map(len, self.rows), default=0)


def cut(text: str, said: str) -> Rows:
    """Rows of a text; ``said`` names the file in what is raised.

    Raises
    ------
    ValueError
        Quotes that do not close, more than 25 million cells.
    """
    given = EXCEL.match(text)
    skipped = 1 if given else 0
    text = text[given.end() :] if given else text
    delimiter = given[1] if given else _delimiter(text)
    lines, rows, count = [], [], 0
    try:
        for line, row in _reading(text, delimiter):
            lines.append(line + skipped)
            rows.append(row)
            count += len(row)
            if count > MOST:
                raise ValueError(
                    f"{said} has more than {MOST:,} cells up to line {line}; a table is read into memory as a whole: "
                    "take fewer rows or columns"
                )
    except csv.Error as error:
        raise ValueError(
            f"{said} is no text table that can be cut at {name(delimiter)}: {error}, in line "
            f"{(lines[-1] if lines else skipped) + 1} or below; a quote inside of a quoted cell is written twice, "
            "and every quote must be closed"
        ) from None
    width = max(map(_used, rows), default=0)
    return Rows(delimiter, lines, [row[:width] for row in rows])


def name(delimiter: str) -> str:
    """The delimiter in words."""
    return {"\t": "tabs", BLANKS: "blanks"}.get(delimiter, repr(delimiter))


def _reading(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines: Iterator[str] = io.StringIO(text, newline="")
    if delimiter == BLANKS:
        lines = (line.replace("\t", " ").strip(" ") for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    for row in reader:
        if any(map(str.strip, row)):
            yield reader.line_num, row


def _used(row: list[str]) -> int:
    count = len(row)
    while count and not row[count - 1].strip():
        count -= 1
    return count


def _delimiter(text: str) -> str:
    """The one by which most rows have the same length, above one; among equals, the one that leaves most numbers."""
    found = {}
    for delimiter in DELIMITERS:
        try:
            rows = [row for _, row in islice(_reading(text, delimiter), SAMPLE)]
        except csv.Error:
            continue
        lengths = Counter(map(_used, rows))
        length, agreeing = max(lengths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if length > 1:
            found[delimiter] = agreeing / len(rows), rows
    if len(found) < 2:
        return next(iter(found), ",")
    return max(found, key=lambda delimiter: (found[delimiter][0], _plain(found[delimiter][1])))


def _plain(rows: list[list[str]]) -> float:
    """The share of cells that are numbers or gaps, at a glance."""
    cells = list(islice((cell for row in rows for cell in row), GLANCE))
    return sum(is_numeric(cell) or is_gap(cell) for cell in cells) / len(cells)
