"""Figures outside pyplot's global state, and colours that every kind of eye tells apart (Okabe and Ito)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # this module is light: colours need no matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, GREY, BLUE, SKY, GREEN, ORANGE, RED = (
    "#222222", "#9a9a9a", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00",
)  # fmt: skip
WIDEST, LOWEST = 13.0, 2.4  # inches: of a figure, and of one of its rows
COLOURS = (BLUE, RED, GREEN, ORANGE, SKY, BLACK)  # of curves, one after another


def canvas(
    rows: int = 1, columns: int = 1, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot's global state, and its axes row by row; size in inches.

    The default is 5.2 x 3.9 for each of the Axes, less where there are many columns: a figure is at most 13 wide.

    Examples
    --------
    >>> from jko import plots
    >>> figure, (left, right) = plots.canvas(1, 2)
    >>> len(figure.axes)
    2
    """
    from matplotlib.figure import Figure

    wide = min(5.2, WIDEST / columns)
    default = (wide * columns, max(0.75 * wide, LOWEST) * rows)
    figure = Figure(figsize=size or default, dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Blues from pale to strong, for what comes one after another.

    Examples
    --------
    >>> from jko import plots
    >>> len(plots.shades(3))
    3
    """
    return [(0.0, 0.45, 0.7, 0.15 + 0.55 * k / max(1, count - 1)) for k in range(count)]


def save_png(figure: Figure, file: Any) -> None:
    """The figure with all that stands on it: nothing is cut off, whatever room the labels take."""
    figure.draw_without_rendering()  # a second layout knows how large images and bars became
    figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.06)


def write(figure: Figure, path: str | Path) -> Path:
    """Write a PNG file, whole or not at all.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> plots.write(figure, Path(mkdtemp()) / "empty.png").name
    'empty.png'
    """
    path = Path(path)
    with whole(path) as aside:
        save_png(figure, aside)
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; what was written there is at ``path`` afterwards, or nothing is."""
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def legend_below(ax: Axes, columns: int = 1, **contents: Any) -> None:
    """A legend under the axes, where it covers nothing."""
    look = {"ncols": columns, "frameon": False, "fontsize": 9, "columnspacing": 1.2}
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), **look, **contents)
