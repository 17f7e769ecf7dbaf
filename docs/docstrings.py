"""A Sphinx extension: docstrings as they are written here, formulas in them included, as reStructuredText."""

import re
from typing import Any

from examples import EXAMPLES
from sphinx.ext import autosummary

LITERAL = re.compile(r"(``.+?``|:\w+:`.+?`|(?<![\w)_#])\*+[A-Za-z][^*]*[a-z]\*+(?!\w))", re.DOTALL)
SIGNS = re.compile(r"[|*]|_(?=\W|$)")
ENDS = re.compile(r"(?<=[^.][.])\s+(?=[A-Z`])")

FORMULA = re.compile(
    r"``[^`]*(?:\b(?:int|argmin|min over|max over|grad) |\bsum_|\bdelta_|/\bdmu)[^`]*``"
)
LETTERS = {
    "int": "∫", "grad": "∇", "mu": "μ", "nu": "ν", "rho": "ρ", "xi": "ξ", "theta": "θ", "tau": "τ", "gamma": "γ",
    "delta": "δ", "lam": "λ", "alpha": "α", "sigma": "σ", "phi": "φ", "Phi": "Φ", "epsilon": "ε", "Theta": "Θ",
}  # fmt: skip
LETTER = re.compile(rf"(?<![A-Za-z.])(d?)({'|'.join(LETTERS)})(?![A-Za-z])")
SQUARE = re.compile(r"\^2(?![0-9.])")


def typeset(text: str) -> str:
    """Formulas between double backticks with the letters and signs of mathematics; code stays as it is."""
    return FORMULA.sub(
        lambda found: SQUARE.sub(
            "²", LETTER.sub(lambda part: part[1] + LETTERS[part[2]], found.group())
        ).replace("sum_", "Σ_"),
        text,
    )


def escaped(text: str) -> str:
    """A paragraph whose bars, stars and underscores mean nothing: ``|x|`` is a norm, ``mu_*`` a minimiser."""
    parts = LITERAL.split(text)
    parts[::2] = [SIGNS.sub(lambda sign: "\\" + sign.group(), part) for part in parts[::2]]
    return "".join(parts)


def prose(lines: list[str]) -> list[str]:
    """The lines of a docstring: its paragraphs escaped, its code as it is."""
    found, literal = [], None  # the indent of what announced a literal block
    for block in re.split(r"(?<=\n)(?=\s*\n| *>>> )", "\n".join(lines)):
        text, indent = block.strip(), len(block.strip("\n")) - len(block.strip("\n").lstrip())
        if literal is not None and text and indent <= literal:
            literal = None
        code = literal is not None or text.startswith((">>>", ".."))
        found.append(block if code else escaped(typeset(block)))
        if literal is None and (text.endswith("::") or text.startswith(".. ")):
            literal = indent
    return "".join(found).split("\n")


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Before numpydoc reads a docstring."""
    if name in EXAMPLES:
        lines += ["", "Examples", "--------", *EXAMPLES[name].strip().splitlines()]
    lines[:] = prose(lines)


def summary(lines: list[str], document: Any) -> str:
    """The first sentence; a full stop inside of a formula ends none."""
    text = " ".join("\n".join(lines).strip().split("\n\n")[0].split())
    if text.startswith("..") or not text:
        return ""
    parts = LITERAL.split(text)
    for k in range(0, len(parts), 2):
        end = ENDS.search(parts[k])
        if end:
            return "".join(parts[:k]) + parts[k][: end.start()]
    return text


def theirs(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what an estimator has from scikit-learn, whose pages say it."""
    return True if str(getattr(obj, "__module__", "")).startswith("sklearn.") else None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    autosummary.extract_summary = summary
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-skip-member", theirs)
    return {"parallel_read_safe": True}
