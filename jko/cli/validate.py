"""``validate``: every claim of the survey, measured, against what it says."""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import math
import os
import platform
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import scipy
import torch

import jko
from jko import survey
from jko.cli.refusal import refusing
from jko.cli.typeset import typeset
from jko.storage.places import write_text
from jko.survey import Claim, Entry


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each claim as it is measured; 1 if one does not hold."""
    with refusing():
        entries = survey.entries(arguments.only)
        folder = None if arguments.list else _folder(arguments.report)
        file = None if arguments.list else _file(arguments.json)
    wide = max(len(entry.equation) for entry in entries)
    if arguments.list:
        for entry in entries:
            print(f"{entry.equation:<{wide}}  {entry.kind.value:<16}  {entry.statement}")
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
            print(write_report(done, folder / "survey.html", arguments.quick))
    return 1 if failed else 0


def line(claim: Claim, wide: int = 12) -> str:
    """One row of the table; the statement is cut to fit the terminal, the report has it whole."""
    relation = "<=" if claim.kind is survey.Kind.INEQUALITY else "~"
    figures = f"{claim.measured:.6g} {relation} {claim.expected:.6g} +- {claim.tolerance:.2g}"
    mark = "ok  " if claim.passed else "FAIL"
    head = f"{mark}  {claim.equation:<{wide}}  {figures:<36}  "
    room = max(40, shutil.get_terminal_size((140, 24)).columns - len(head))
    text = claim.error or claim.statement
    return head + (text if len(text) <= room else text[: room - 3] + "...")


def facts(quick: bool) -> dict[str, Any]:
    """What a reader needs to repeat the measurements."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "versions": {
            "jko": jko.__version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "scipy": scipy.__version__,
            "torch": str(torch.__version__),
        },
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


def write_report(claims: Sequence[Claim], path: Path, quick: bool = False) -> Path:
    """One HTML file that needs no other, whole or not at all."""
    told = facts(quick)
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    sizes = "<b>quick: at small sizes</b>" if quick else "at full sizes"
    page = PAGE.format(
        held=sum(claim.passed for claim in claims),
        count=len(claims),
        rows="\n".join(_row(claim) for claim in claims),
        made=f"Measured {html.escape(told['date'])}, {sizes}, with {html.escape(versions)}.",
    )
    return write_text(path, page)


def _row(claim: Claim) -> str:
    printed = "" if claim.printed is None else f"<br>as printed: {claim.printed:.6g}"
    relation = "&le;" if claim.kind is survey.Kind.INEQUALITY else "&asymp;"
    picture = (
        ""
        if claim.picture is None
        else f'<img alt="{html.escape(claim.equation)}" src="{_image(claim)}">'
    )
    error = f"<br><b>{html.escape(claim.error)}</b>" if claim.error else ""
    return (
        f'<tr class="{"held" if claim.passed else "failed"}"><td>{html.escape(claim.equation)}</td>'
        f"<td>{typeset(claim.statement)}<br><small>{claim.kind.value}</small>{error}{picture}</td>"
        f"<td>{claim.measured:.8g} {relation} {claim.expected:.8g}<br>&plusmn; {claim.tolerance:.2g}{printed}</td>"
        f"<td>{'holds' if claim.passed else 'FAILS'}</td><td>{claim.seconds:.1f} s</td></tr>"
    )


def _image(claim: Claim) -> str:
    from jko import plots
    from jko.plots.claims import claim_picture

    assert claim.picture is not None
    figure, (ax,) = plots.canvas(1, 1, (5.6, 3.8))
    claim_picture(claim.picture, ax)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


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


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>The survey, measured</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .5em .8em .5em 0; border-top: 1px solid #ddd; }}
td:nth-child(1), td:nth-child(4), td:nth-child(5) {{ white-space: nowrap; }}
.failed {{ background: #fde8e0; }}
small {{ color: #777; }}
img {{ display: block; width: 34em; max-width: 100%; margin: .6em 0; }}
</style>
</head>
<body>
<h1>The survey, measured</h1>
<p>X. Fern&aacute;ndez-Real and A. Figalli, <i>The continuous formulation of shallow neural networks as Wasserstein-type
gradient flows</i>. {held} of {count} claims hold.</p>
<p>{made} Each row: the claim, what was measured beside what is expected, and the tolerance.</p>
<table>
<tr><th>where</th><th>claim</th><th>measured</th><th></th><th></th></tr>
{rows}
</table>
</body>
</html>
"""
