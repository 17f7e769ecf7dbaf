"""The report of ``validate``: one HTML page that needs no other file and no script; formulas are MathML."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jko.storage.places import write_text
from jko.survey import SECTIONS, Claim, Kind
from jko.survey.formulas import FORMULA, plain


def write_report(claims: Sequence[Claim], path: Path, facts: Mapping[str, Any]) -> Path:
    """The page of these claims, whole or not at all; ``facts`` are the date, the versions and whether it was quick."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    sizes = "<b>quick: at small sizes</b>" if facts["quick"] else "full: at full sizes"
    held = sum(claim.passed for claim in claims)
    chapters = [(name, list(its)) for name, its in groupby(claims, lambda claim: claim.section)]
    page = PAGE.format(
        title="The survey, measured",
        held=f"{held} of {len(claims)} claims hold"
        + ("" if held == len(claims) else "; these do not: "),
        failed=", ".join(_link(claim) for claim in claims if not claim.passed),
        made=f"Measured {html.escape(facts['date'])}, {sizes}, with {html.escape(versions)}; "
        f"{sum(claim.seconds for claim in claims):.0f} CPU seconds.",
        contents="\n".join(_contents(name, its) for name, its in chapters),
        body="\n".join(_chapter(name, its) for name, its in chapters),
    )
    return write_text(path, page)


def sentence(text: str) -> str:
    r"""HTML of a sentence with formulas in TeX; where latex2mathml is not installed they stand in plain text.

    Examples
    --------
    >>> "<mi>&#x003BC;</mi>" in sentence(r"$\mu < 1$ & more"), sentence("a < b")
    (True, 'a &lt; b')
    """
    try:
        from latex2mathml.converter import convert
    except ImportError:
        return html.escape(plain(text), quote=False)
    parts = FORMULA.split(text)  # words, formula, words, ...
    parts[::2] = [html.escape(words, quote=False) for words in parts[::2]]
    parts[1::2] = [convert(formula).replace(NAMESPACE, "") for formula in parts[1::2]]
    return "".join(parts)


def _contents(name: str, claims: Sequence[Claim]) -> str:
    failed = sum(not claim.passed for claim in claims)
    word = f'<b class="failed">{failed} of {len(claims)} fail</b>' if failed else f"{len(claims)}"
    return f'<li><a href="#{_anchor(name)}">{_title(name)}</a> <small>{word}</small></li>'


def _chapter(name: str, claims: Sequence[Claim]) -> str:
    return "\n".join(
        [
            f'<h2 id="{_anchor(name)}">{_title(name)}</h2>',
            "<table>",
            HEAD,
            *map(_row, claims),
            "</table>",
        ]
    )


def _title(section: str) -> str:
    return html.escape(f"{section} {SECTIONS.get(section, '')}".strip() or "Other claims")


def _anchor(name: str) -> str:
    return "section-" + name.replace(".", "-")


def _link(claim: Claim) -> str:
    return f'<a href="#{claim.name}">{html.escape(claim.equation)}</a>'


def _row(claim: Claim) -> str:
    relation = "&le;" if claim.kind is Kind.INEQUALITY else "&asymp;"
    figures = (
        f"{claim.measured:.8g} {relation} {claim.expected:.8g}<br>&plusmn; {claim.tolerance:.2g}"
    )
    return (
        f'<tr id="{claim.name}" class="{"held" if claim.passed else "failed"}"><td>{html.escape(claim.equation)}</td>'
        f"<td>{''.join(_told(claim))}</td><td>{figures}{_printed(claim)}</td>"
        f"<td>{'holds' if claim.passed else 'FAILS'}</td><td>{claim.seconds:.1f} s</td></tr>"
    )


def _printed(claim: Claim) -> str:
    return "" if claim.printed is None else f"<br>as printed: {claim.printed:.6g}"


def _told(claim: Claim) -> Iterator[str]:
    yield f"{sentence(claim.statement)}<br><small>{claim.kind.value}</small>"
    if claim.error:
        yield f"<br><b>{html.escape(claim.error)}</b>"
    if claim.picture is not None:
        yield f'<img alt="{html.escape(plain(claim.statement))}" src="{_image(claim)}">'


def _image(claim: Claim) -> str:
    from jko import plots
    from jko.plots.claims import claim_picture
    from jko.plots.style import save_png

    assert claim.picture is not None
    figure, (ax,) = plots.canvas(1, 1, (5.6, 3.8))
    claim_picture(claim.picture, ax)
    buffer = io.BytesIO()
    save_png(figure, buffer)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'  # which HTML does not need
HEAD = "<tr><th>where</th><th>claim</th><th>measured and expected</th><th></th><th>CPU</th></tr>"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }}
nav ul {{ columns: 26em; padding-left: 1.2em; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .5em .8em .5em 0; border-top: 1px solid #8885; }}
td:nth-child(1) {{ min-width: 6em; max-width: 9em; }}
td:nth-child(3), td:nth-child(4), td:nth-child(5) {{ white-space: nowrap; }}
tr.failed, b.failed {{ background: #d55e0033; }}
small {{ opacity: .7; }}
math {{ font-size: 1.08em; }}
img {{ display: block; width: 34em; max-width: 100%; margin: .6em 0; background: white; }}
@media (max-width: 50em) {{
  table, tbody, tr, td {{ display: block; border: 0; padding: .1em 0; }}
  th {{ display: none; }}
  tr {{ border-top: 1px solid #8885; padding: .6em 0; }}
  td:nth-child(2) {{ overflow-x: auto; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p>X. Fern&aacute;ndez-Real and A. Figalli, <i>The continuous formulation of shallow neural networks as Wasserstein-type
gradient flows</i>. {held}{failed}.</p>
<p>{made} Each row: the claim, what was measured beside what is expected, the tolerance, and the time it took.</p>
<nav><ul>
{contents}
</ul></nav>
{body}
</body>
</html>
"""
