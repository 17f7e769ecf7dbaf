"""``validate``: every claim of the survey, measured, against what it says."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jko import survey
from jko.cli.refusal import refusing
from jko.cli.survey_page import write_report
from jko.cli.versions import versions
from jko.storage.places import write_text
from jko.survey import Claim, Entry
from jko.survey.formulas import plain


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each claim as it is measured; 1 if one does not hold."""
    with refusing():
        entries = survey.entries(arguments.only)
        folder = None if arguments.list else _folder(arguments.report)
        file = None if arguments.list else _file(arguments.json)
    wide = max(len(entry.equation) for entry in entries)
    if arguments.list:
        for entry in entries:
            print(f"{entry.equation:<{wide}}  {entry.kind.value:<16}  {plain(entry.statement)}")
        return 0
    print(f"{len(entries)} claims" + (" at small sizes" if arguments.quick else ""))
    done = survey.validate(
        arguments.only, arguments.quick, report=lambda claim: print(line(claim, wide), flush=True)
    )
    failed = [claim for claim in done if not claim.passed]
    total = sum(claim.seconds for claim in done)
    print(f"{len(done) - len(failed)} of {len(done)} hold; {total:.1f} CPU seconds")
    with refusing():
        if file is not None:
            print(write_json(entries, done, arguments.quick, file))
        if folder is not None:
            print(write_report(done, folder / "survey.html", facts(arguments.quick)))
    return 1 if failed else 0


def line(claim: Claim, wide: int = 12) -> str:
    """One row of the table; the statement is cut to fit the terminal, the report has it whole."""
    relation = "<=" if claim.kind is survey.Kind.INEQUALITY else "~"
    figures = f"{claim.measured:.6g} {relation} {claim.expected:.6g} +- {claim.tolerance:.2g}"
    mark = "ok  " if claim.passed else "FAIL"
    head = f"{mark}  {claim.equation:<{wide}}  {figures:<36}  "
    room = max(40, shutil.get_terminal_size((140, 24)).columns - len(head))
    text = claim.error or plain(claim.statement)
    return head + (text if len(text) <= room else text[: room - 3] + "...")


def facts(quick: bool) -> dict[str, Any]:
    """What a reader needs to repeat the measurements."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "versions": versions(),
    }


def write_json(entries: Sequence[Entry], claims: Sequence[Claim], quick: bool, path: Path) -> Path:
    """All figures but those of the pictures, whole or not at all; what is no number is null."""
    rows = [
        {
            "equation": claim.equation,
            "statement": claim.statement,
            "kind": claim.kind.value,
            "function": f"{entry.measure.__module__}.{entry.name}",
            "measured": _number(claim.measured),
            "expected": _number(claim.expected),
            "tolerance": _number(claim.tolerance),
            "printed": _number(claim.printed),
            "passed": bool(claim.passed),
            "cpu_seconds": claim.seconds,
            "error": claim.error,
        }
        for entry, claim in zip(entries, claims, strict=True)
    ]
    text = json.dumps({**facts(quick), "claims": rows}, indent=1, allow_nan=False)
    return write_text(path, text + "\n")


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _file(given: str | None) -> Path | None:
    if given is None:
        return None
    path = Path(given)
    if (
        not given
        or path.is_dir()
        or not path.parent.is_dir()
        or not os.access(path.parent, os.W_OK)
    ):
        raise ValueError(
            f"--json {given!r} cannot be written; name a file in a folder that exists and can"
        )
    return path


def _folder(given: str | None) -> Path | None:
    if given is None:
        return None
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write to {given!r}: {error.strerror}") from None
    return folder
