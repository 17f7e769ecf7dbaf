"""Formulas of the claims, plain text, as mathematicians write them: Unicode and HTML, no script from outside."""

from __future__ import annotations

import html
import re

SYMBOLS = {
    "alpha": "α", "beta": "β", "delta": "δ", "eps": "ε", "lam": "λ", "mu": "μ", "nu": "ν", "phi": "φ",
    "psi": "ψ", "rho": "ρ", "sigma": "σ", "tau": "τ", "theta": "θ", "xi": "ξ", "Phi": "Φ", "Theta": "Θ",
    "Omega": "Ω", "int": "∫", "grad": "∇", "infinity": "∞",
}  # fmt: skip
JOINED = {
    "dmu": "dμ", "drho": "dρ", "dxi": "dξ", "dnu": "dν", "dtheta": "dθ", "dalpha": "dα", "Lbar": "L̄",
    "Kbar": "K̄", "Sbar": "S̄", "Vbar": "V̄", "Hdot": "Ḣ",
}  # fmt: skip
SIGNS = (("->", "→"), ("<=", "≤"), (">=", "≥"), ("+-", "±"), ("...", "…"), (" - ", " − "))
WORDS = re.compile(
    r"(?<![A-Za-z])d?(?:" + "|".join(sorted([*SYMBOLS, *JOINED], key=len)[::-1]) + r")(?![A-Za-z])"
)
PARTIAL = re.compile(r"(?<![A-Za-z])d(?=_[A-Za-z])")
SCRIPT = re.compile(r"([_^])(\{[^{}]*\}|[*#]|\([^() ]*\)|[α-ωΑ-Ω](?:_\*)?|-?[A-Za-z0-9]+)")


def typeset(text: str) -> str:
    """HTML of a sentence with formulas; nothing of it is markup but sub- and superscripts.

    Examples
    --------
    >>> typeset("int |xi|^2 dmu_* <= lam")
    '∫ |ξ|<sup>2</sup> dμ<sub>*</sub> ≤ λ'
    """
    for plain, sign in SIGNS:
        text = text.replace(plain, sign)
    text = WORDS.sub(_symbol, PARTIAL.sub("∂", text))
    text = html.escape(text, quote=False)
    return SCRIPT.sub(_script, text)


def _symbol(word: re.Match[str]) -> str:
    found = word.group()
    if found in JOINED:
        return JOINED[found]
    return SYMBOLS[found] if found in SYMBOLS else "d" + SYMBOLS[found[1:]]


def _script(match: re.Match[str]) -> str:
    tag, inside = "sub" if match[1] == "_" else "sup", match[2]
    inside = inside[1:-1] if inside.startswith("{") else inside
    return f"<{tag}>{inside.replace('-', '−')}</{tag}>"
