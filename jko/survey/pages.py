"""The pages of the documentation that are made from the claims: ``python -m jko.survey.pages FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from jko.survey.claims import SECTIONS, Claim, Kind, validate
from jko.survey.formulas import FORMULA
from jko.survey.slips import SLIPS

ERRATA = (Kind.ERRATUM, Kind.COUNTEREXAMPLE)


def equations(claims: Iterable[Claim]) -> str:
    """All claims, a table for each section: label, statement, kind, and what was measured beside what is expected."""
    parts = [EQUATIONS]
    for section, its in groupby(claims, lambda claim: claim.section):
        rows = (
            _row(c.equation, _cell(c.statement), c.kind.value, _figures(c), f"`{c.name}`")
            for c in its
        )
        parts += [f"\n## {section} {SECTIONS[section]}\n", TABLE, *rows]
    return "\n".join([*parts, ""])


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
    """Measure all claims at small sizes and write ``equations.md`` and ``errata.md``."""
    claims = validate(quick=True)
    found = {"equations.md": equations(claims), "errata.md": errata(claims)}
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in found]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text for a cell of a table: bars, stars and underscores stand for themselves, formulas are mathematics."""
    parts = FORMULA.split(text)  # words, formula, words, ...
    for sign in ("\\", "|", "*", "_", "<", "[", "]"):
        parts[::2] = [words.replace(sign, "\\" + sign) for words in parts[::2]]
    parts[1::2] = ["$" + formula.replace("|", r"\vert ") + "$" for formula in parts[1::2]]
    return "".join(parts)


def _figures(claim: Claim) -> str:
    relation = r"\le" if claim.kind is Kind.INEQUALITY else r"\approx"
    measured, expected = _tex(f"{claim.measured:.6g}"), _tex(f"{claim.expected:.6g}")
    return rf"${measured} {relation} {expected} \pm {_tex(f'{claim.tolerance:.2g}')}$"


def _tex(number: str) -> str:
    """A number with its power of ten."""
    mantissa, _, power = number.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else mantissa


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


EQUATIONS = """# The survey, equation by equation

Each row is a function that sets up an instance and measures; the figures on this page are those of
`python -m jko validate --quick`, at small sizes: measured, expected, tolerance. Run one by
`python -m jko validate --only LABEL`, where a label is a number such as 3.23, or a word such as Remark; all of them at
full sizes by `python -m jko validate`, and with pictures by `python -m jko validate --report FOLDER`."""

TABLE = """| where | claim | kind | measured | function |
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
