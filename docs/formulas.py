"""Formulas as SVG, drawn by matplotlib: its TeX, and what of TeX we write besides."""

import base64
import html
import io
import re

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

SIZE = 10  # points; 1 em of the page is 12
PLAIN = (
    (r"\\le\b", r"\\leq"),
    (r"\\ge\b", r"\\geq"),
    (r"\\t?frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}"),
    (r"\\tfrac", r"\\frac"),
    (r"\\big(?![a-z])", ""),
    (r"\\sqrt (\w)", r"\\sqrt{\1}"),
    (r"\s+", " "),
)
PARSER, FONT = MathTextParser("path"), FontProperties(size=SIZE, math_fontfamily="stix")


def drawn(formula: str) -> str:
    """An ``img`` that stands on the line of the text, with the TeX as its description."""
    tex = formula.strip()
    for pattern, plain in PLAIN:
        tex = re.sub(pattern, plain, tex)
    width, height, depth, *_ = PARSER.parse(f"${tex}$", 72, FONT)
    pad = 1.0
    figure = Figure(figsize=((width + 2 * pad) / 72, (height + 2 * pad) / 72))
    FigureCanvasSVG(figure)
    below = (depth + pad) / (height + 2 * pad)
    figure.text(pad / (width + 2 * pad), below, f"${tex}$", fontproperties=FONT)
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    data = base64.b64encode(file.getvalue()).decode("ascii")
    style = f"height:{(height + 2 * pad) / 12:.3f}em;vertical-align:{-(depth + pad) / 12:.3f}em"
    return f'<img style="{style}" alt="{html.escape(tex)}" src="data:image/svg+xml;base64,{data}">'
