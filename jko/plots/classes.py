"""Pictures of what a network says where there are several classes or several outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from jko.plots.predictions import predicted_against_true
from jko.plots.style import BLACK, COLOURS, legend_below

MARKERS = "osD^vPX*<>"  # beside colours, so that classes are told apart in print
GRID = 200  # points of a map along each axis
WRITTEN = 30  # classes up to which counts are written into the squares
NAME, ACROSS = 16, 44  # letters of a class below its column; letters of all that fit side by side


def confusion(output: Any, truth: Any, ax: Axes, classes: Sequence[str] | None = None) -> Axes:
    """How many rows of each class were taken for which: a square of numbers, dark where the share of a class is large.

    Parameters
    ----------
    output, truth : (M, k), or (M,)
        Outputs or probabilities of a network and targets, shares of the classes such as one-hot rows; the class is the
        largest.  For (M,) the classes are -1 and 1, and the sign tells.
    ax : Axes
        Where to draw; its title says which share of all rows is right.
    classes : sequence of str, optional
        What the classes are called; default 0, 1, ... or -1 and +1.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> output, truth = np.eye(3)[[0, 1, 1]], np.eye(3)
    >>> plots.confusion(output, truth, ax, ["a", "b", "c"]) is ax
    True
    """
    said, meant, k = _class(output), _class(truth), _count(truth)
    names = _named(classes, truth)
    table = np.zeros((k, k), dtype=int)
    np.add.at(table, (meant, said), 1)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = max(5.0, min(10.0, 60 / k))
    for i, j in zip(*np.nonzero(table), strict=True) if k <= WRITTEN else ():
        colour = "white" if share[i, j] > 0.5 else BLACK
        ax.text(j, i, f"{table[i, j]}", ha="center", va="center", color=colour, fontsize=size)
    names = [name if len(name) <= NAME else f"{name[: NAME - 1]}\u2026" for name in names]
    wide = max(map(len, names)) * k > ACROSS
    ax.set_xticks(range(k), names, rotation=90 if wide else 0, fontsize=size)
    ax.set_yticks(range(k), names, fontsize=size)
    ax.tick_params(length=0)
    ax.set(xlabel="taken for", ylabel="class")
    ax.set_title(f"{np.trace(table)} of {table.sum()} right, {np.trace(table) / table.sum():.1%}")
    return ax


def decision_map(
    predict: Callable[[np.ndarray], Any],
    x: Any,
    truth: Any,
    ax: Axes,
    classes: Sequence[str] | None = None,
) -> Axes:
    """The class that a network gives to each point of a plane, paler where it is less sure, with the data over it.

    Parameters
    ----------
    predict
        Points (G, 2), an array, to probabilities (G, k): such as
        ``lambda x: jko.Logistic().probabilities(risk.predict(mu, x))``.
    x : (M, 2)
        Inputs of the data.
    truth : (M, k), or (M,)
        Their targets, as in :func:`confusion`.
    ax : Axes
        Where to draw.
    classes : sequence of str, optional
        What the classes are called.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import plots
    >>> x, truth = np.array([[-1.0, 0.0], [1.0, 1.0]]), np.eye(2)
    >>> figure, (ax,) = plots.canvas()
    >>> plots.decision_map(lambda at: np.eye(2)[(at[:, 0] > 0).astype(int)], x, truth, ax) is ax
    True
    """
    x, names = np.asarray(x), _named(classes, truth)
    low, high = x.min(0), x.max(0)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)
    sides = [np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*sides), axis=-1)
    p = np.asarray(predict(points.reshape(-1, 2))).reshape(GRID, GRID, -1)
    colours = np.array([to_rgb(COLOURS[j % len(COLOURS)]) for j in range(p.shape[-1])])
    best = p.argmax(-1)
    sure = ((p.max(-1) - 1 / p.shape[-1]) / (1 - 1 / p.shape[-1])).clip(0, 1)[:, :, None]
    shade = 0.08 + 0.42 * sure
    extent = (low[0], high[0], low[1], high[1])
    image = 1 - shade * (1 - colours[best])
    ax.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    for j in np.unique(best)[1:]:  # the lines where it is as likely as the best of the others
        lead = p[:, :, j] - np.delete(p, j, axis=2).max(-1)
        ax.contour(*sides, lead, levels=[0.0], colors=BLACK, linewidths=0.7)
    for j, name in enumerate(names):
        here = x[_class(truth) == j]
        look = {"color": colours[j], "marker": MARKERS[j % len(MARKERS)], "edgecolor": "white"}
        ax.scatter(here[:, 0], here[:, 1], s=22, lw=0.5, label=f"{name} ({len(here)})", **look)
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    legend_below(ax, columns=min(len(names), 4))
    return ax


def outputs_against_true(
    predicted: dict[str, Any],
    true: dict[str, Any],
    axes: Sequence[Axes],
    names: Sequence[str] | None = None,
) -> Sequence[Axes]:
    """Predictions (M, k) against true values of each part, one panel an output.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import plots
    >>> true = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> figure, axes = plots.canvas(1, 2)
    >>> len(plots.outputs_against_true({"test": true + 0.1}, {"test": true}, axes))
    2
    """
    for j, ax in enumerate(axes):
        said, meant = (
            {part: np.asarray(values)[:, j] for part, values in both.items()}
            for both in (predicted, true)
        )
        predicted_against_true(said, meant, ax, unit=names[j] if names else f"output {j + 1}")
    return axes


def _class(values: Any) -> np.ndarray:
    """The number of the class of each row."""
    values = np.asarray(values)
    return np.asarray(values > 0, dtype=int) if values.ndim == 1 else values.argmax(1)


def _count(truth: Any) -> int:
    truth = np.asarray(truth)
    return 2 if truth.ndim == 1 else int(truth.shape[1])


def _named(classes: Sequence[str] | None, truth: Any) -> list[str]:
    if classes is not None:
        return list(classes)
    return ["-1", "+1"] if np.asarray(truth).ndim == 1 else list(map(str, range(_count(truth))))
