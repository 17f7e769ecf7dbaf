"""The HTML of a notebook's cell, here and nowhere else.

It takes colours and letters from the page, so that it reads on light and on dark; all text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from jko.shown.lines import short

ROW = "padding:.1em .8em .1em 0;text-align:left;vertical-align:top;background:none;border:none"
NAME = f"{ROW};font-weight:normal;opacity:.7;white-space:nowrap"
VALUE = f"{ROW};font-family:monospace;overflow-wrap:anywhere"
OUTER = "display:flex;flex-wrap:wrap;gap:1.2em;align-items:flex-start;margin:.3em 0"
TABLE = "border-collapse:collapse;border:none;margin:0;font-size:inherit"
LONG = 160  # characters of a value


def cell(line: str, kind: str, facts: Mapping[str, Any], picture: str = "") -> str:
    """A head, a row for each fact, and a picture beside."""
    head = kind if line.startswith(f"{kind}(") or not line else line
    rows = "".join(_row(name, value) for name, value in facts.items())
    table = f'<table style="{TABLE}">{rows}</table>' if rows else ""
    title = f'<div style="font-weight:bold;margin-bottom:.2em">{escape(head)}</div>'
    return f'<div class="jko" style="{OUTER}"><div>{title}{table}</div>{picture}</div>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of numbers, ready made."""
    cells = f"{ROW};text-align:right;font-family:monospace"
    top = "".join(f'<th style="{cells};opacity:.7">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{cells}">{escape(text)}</td>' for text in row) + "</tr>"
        for row in rows
    )
    return f'<table style="{TABLE}"><tr>{top}</tr>{body}</table>'


def _row(name: str, value: Any) -> str:
    text = escape(short(value, LONG))
    return f'<tr style="background:none"><th style="{NAME}">{escape(name)}</th><td style="{VALUE}">{text}</td></tr>'
