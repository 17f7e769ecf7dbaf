"""The pages of the documentation that are made from the claims: ``python -m jko.survey.pages FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from jko.survey.claims import Claim, Entry, Kind, entries, validate
from jko.survey.slips import SLIPS

ERRATA = (Kind.ERRATUM, Kind.COUNTEREXAMPLE)


def equations(claims: Iterable[Entry]) -> str:
    """A table of all claims: label, statement, kind, what is measured and where."""
    rows = (
        _row(
            e.equation,
            _cell(e.statement),
            e.kind.value,
            _cell(" ".join((e.measure.__doc__ or "").split())),
            f"`survey/sections/{e.module}.py` `{e.name}`",
        )
        for e in claims
    )
    return "\n".join([EQUATIONS, *rows, ""])


def errata(claims: Iterable[Claim]) -> str:
    """The errata and counter-examples with their measurements, and the slips that no number shows."""
    rows = [
        _row(c.equation, _cell(c.statement), *map(_number, (c.printed, c.expected, c.measured)))
        for c in claims
        if c.kind in ERRATA
    ]
    slips = [_row(*map(_cell, slip)) for slip in SLIPS]
    return "\n".join([ERRATA_HEAD, *rows, "", SLIPS_HEAD, *slips, ""])


def write(folder: Path) -> list[Path]:
    """Write ``equations.md`` and ``errata.md``; the second one measures, at small sizes."""
    found = {"equations.md": equations(entries()), "errata.md": errata(validate(quick=True))}
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in found]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text for a cell of a table: bars, stars and underscores stand for themselves."""
    for sign in ("\\", "|", "*", "_", "<", "[", "]"):
        text = text.replace(sign, "\\" + sign)
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


EQUATIONS = """# The survey, equation by equation

Each row is a function that sets up an instance and measures. Run one by `python -m jko validate --only LABEL`, where a
label is a number such as 3.23, or a word such as Remark; all of them by `python -m jko validate`, and with pictures by
`python -m jko validate --report FOLDER`.

| where | claim | kind | measured | function |
|---|---|---|---|---|"""

ERRATA_HEAD = """# Errata

What is printed and what is right, each with a measurement, by `python -m jko validate --quick`.

| where | what is right, or what fails | as printed | expected | measured |
|---|---|---|---|---|"""

SLIPS_HEAD = """## Slips that no number shows

| where | as printed | as it should be |
|---|---|---|"""

if __name__ == "__main__":
    write(Path(sys.argv[1]))
