"""Formulas of the claims, which are written in TeX between dollars: read on a terminal as plain text."""

from __future__ import annotations

import re

FORMULA = re.compile(r"\$([^$]+)\$")
FRACTION = re.compile(r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}")
SPELT = (
    (r"\\(?:operatorname|text|mathrm)\{([^{}]*)\}", r"\1"),
    (r"\\bar ([A-Z])", r"\1bar"),
    (r"\\dot ([A-Z])", r"\1dot"),
    (r"\\(?:left|right)(?![a-z])", ""),
    (r"\\, ?", " "),
    (r"(?<=[0-9])(?=\\[a-z])", " "),
    (r"\\partial ?", "d"),
    (r"\\delta(?: |(?=[A-Z\\]))", "d"),
    (r"\\iint", "int int"),
    (r"\\nabla(?=\\)", "grad "),
    (r"\\nabla", "grad"),
    (r"\\lambda", "lam"),
    (r"\\varepsilon", "eps"),
    (r"\\varphi", "phi"),
    (r"\\infty", "infinity"),
    (r"\\ell", "l"),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\\cdot", "."),
    (r"\\circ", "o"),
    (r"\\times", "x"),
    (r"\\mid", "|"),
    (r"\\(?:le|ge) ", lambda sign: {"l": "<= ", "g": ">= "}[sign.group()[1]]),
    (r"\\to", "->"),
    (r"\\dots", "..."),
    (r" ?\\[lr]angle ?", lambda sign: "<" if "l" in sign.group()[:3] else ">"),
    (r"\\", ""),
    (r"([_^])\{(.)\}", r"\1\2"),
)  # fmt: skip


def plain(sentence: str) -> str:
    r"""The sentence in ASCII: Greek letters by name, ``d`` for derivatives, ``grad`` and ``int``.

    Examples
    --------
    >>> plain(r"$\int |\xi|^2\, d\mu \le \frac{\lambda}{2}$, and $\frac{\delta F}{\delta\mu}$")
    'int |xi|^2 dmu <= lam/2, and dF/dmu'
    """
    return FORMULA.sub(lambda found: _plain(found[1]), sentence)


def _plain(formula: str) -> str:
    """One formula."""
    formula = FRACTION.sub(lambda part: f"{_plain(part[1])}/{_below(part[2])}", formula)
    for tex, text in SPELT:
        formula = re.sub(tex, text, formula)
    return formula


def _below(formula: str) -> str:
    """A denominator, in brackets where it has several factors."""
    text = _plain(formula)
    return f"({text})" if re.fullmatch(r"\d+ ?[A-Za-z]+", text) and not text.isdigit() else text
