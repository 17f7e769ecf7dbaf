"""A figure, shown where the program runs: below the cell of a notebook, or as a file beside a script."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jko.plots.style import save_png, write
from jko.shown import notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(figure: Figure, name: str) -> None:
    """Show a figure: in a notebook below the cell, elsewhere as the file ``FOLDER/name.png``; stderr says where.

    FOLDER is what follows the script's name on the command line, made where it is missing, or else where one is:
    ``python sine.py pictures`` writes ``pictures/sine.png``.

    Examples
    --------
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> line = ax.plot([0, 1], [0, 1])
    >>> plots.show(figure, "line")  # doctest: +SKIP
    """
    if notebook():
        png = io.BytesIO()
        save_png(figure, png)
        cell = sys.modules["IPython"].display
        cell.display(cell.Image(png.getvalue(), width=int(96 * figure.get_figwidth())))
        return
    told = [word for word in sys.argv[1:2] if not word.startswith("-")]
    folder = Path(*told)
    folder.mkdir(parents=True, exist_ok=True)
    path = write(figure, folder / f"{name}.png")
    print(path, file=sys.stderr)  # noqa: T201 (stdout is for numbers)
