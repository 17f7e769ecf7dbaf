"""``validate``: every claim of the survey, measured, against what it says."""

from __future__ import annotations

import argparse
import base64
import html
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from jko import survey
from jko.cli.refusal import refusing
from jko.survey import Claim


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each claim as it is measured; 1 if one does not hold."""
    with refusing():
        folder = _folder(arguments.report)
        entries = survey.entries(arguments.only)
    wide = max(len(entry.equation) for entry in entries)
    print(f"{len(entries)} claims" + (" at small sizes" if arguments.quick else ""))
    done = survey.validate(
        arguments.only, arguments.quick, report=lambda claim: print(line(claim, wide), flush=True)
    )
    failed = [claim for claim in done if not claim.passed]
    total = sum(claim.seconds for claim in done)
    print(f"{len(done) - len(failed)} of {len(done)} hold; {total:.1f} CPU seconds")
    if folder is not None:
        print(write_report(done, folder / "survey.html"))
    return 1 if failed else 0


def line(claim: Claim, wide: int = 12) -> str:
    """One row of the table; the statement is cut to fit the terminal, the report has it whole."""
    relation = "<=" if claim.kind is survey.Kind.INEQUALITY else "~"
    figures = f"{claim.measured:.6g} {relation} {claim.expected:.6g} +- {claim.tolerance:.0e}"
    mark = "ok  " if claim.passed else "FAIL"
    head = f"{mark}  {claim.equation:<{wide}}  {figures:<36}  "
    room = max(40, shutil.get_terminal_size((140, 24)).columns - len(head))
    text = claim.error or claim.statement
    return head + (text if len(text) <= room else text[: room - 3] + "...")


def write_report(claims: Sequence[Claim], path: Path) -> Path:
    """One HTML file that needs no other."""
    rows = "\n".join(_row(claim) for claim in claims)
    held = sum(claim.passed for claim in claims)
    path.write_text(PAGE.format(held=held, count=len(claims), rows=rows), encoding="utf-8")
    return path


def _row(claim: Claim) -> str:
    printed = "" if claim.printed is None else f"<br>as printed: {claim.printed:.6g}"
    relation = "&le;" if claim.kind is survey.Kind.INEQUALITY else "="
    picture = (
        ""
        if claim.picture is None
        else f'<img alt="{html.escape(claim.equation)}" src="{_image(claim)}">'
    )
    error = f"<br><b>{html.escape(claim.error)}</b>" if claim.error else ""
    return (
        f'<tr class="{"held" if claim.passed else "failed"}"><td>{html.escape(claim.equation)}</td>'
        f"<td>{html.escape(claim.statement)}<br><small>{claim.kind.value}</small>{error}{picture}</td>"
        f"<td>{claim.measured:.8g} {relation} {claim.expected:.8g}<br>&plusmn; {claim.tolerance:.1g}{printed}</td>"
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
<table>
<tr><th>where</th><th>claim</th><th>measured</th><th></th><th></th></tr>
{rows}
</table>
</body>
</html>
"""
