"""A Sphinx extension: formulas as SVG inside the page, so that pages need nothing from outside."""

from typing import Any

from docutils import nodes
from formulas import drawn


def inline(self: Any, node: nodes.math) -> None:
    """A formula in the text."""
    self.body.append(drawn(node.astext()))
    raise nodes.SkipNode


def display(self: Any, node: nodes.math_block) -> None:
    """A formula in a paragraph of its own."""
    self.body.append(f'<p style="text-align:center">{drawn(node.astext())}</p>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathtext", (inline, None), (display, None))
    app.config.html_math_renderer = "mathtext"
    return {"parallel_read_safe": True}
