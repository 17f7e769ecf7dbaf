"""Pictures of what a network says: classes, values, a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jko.plots.style import BLACK, BLUE, GREY, ORANGE, RED, legend_below


def class_outputs(
    outputs: dict[str, Any], truth: dict[str, Any], classes: Sequence[str], ax: Axes
) -> Axes:
    """Histograms of a network's outputs by class, with the threshold 0 between the classes.

    Parameters
    ----------
    outputs, truth : dict of (M,) arrays
        Outputs and targets -1 and +1 of each part, such as ``train`` (drawn filled) and ``test`` (drawn as a line).
    classes : (str, str)
        What -1 and +1 stand for.
    ax : Axes
        Where to draw.

    Examples
    --------
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> plots.class_outputs(
    ...     {"test": [-0.9, -0.2, 0.8]}, {"test": [-1, -1, 1]}, ["no", "yes"], ax
    ... ) is ax
    True
    """
    values = {part: np.asarray(out) for part, out in outputs.items()}
    everything = np.concatenate(list(values.values()))
    bins = np.histogram_bin_edges(everything, 35).tolist()
    for sign, name, colour in ((-1, classes[0], RED), (1, classes[1], BLUE)):
        for k, (part, out) in enumerate(values.items()):
            style: dict[str, Any] = {"histtype": "step", "lw": 1.6} if k else {"alpha": 0.35}
            chosen = out[np.asarray(truth[part]) * sign > 0]
            label = f"{name}, {part} ({len(chosen)})"
            ax.hist(chosen, bins, log=True, color=colour, label=label, **style)
    ax.axvline(0, color=BLACK, lw=1, ls="--")
    for x, side, name in ((-4, "right", classes[0]), (4, "left", classes[1])):
        ax.annotate(
            f"taken for {name}", (0, 1), (x, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha=side, va="top", fontsize=9, color=BLACK,
        )  # fmt: skip
    ax.set_ylim(0.7, ax.get_ylim()[1] * 2)
    ax.set(xlabel="output of the network $f_\\mu(x)$", ylabel="rows")
    legend_below(ax, columns=2)
    return ax


def roc(output: Any, truth: Any, ax: Axes, classes: Sequence[str] = ("-1", "+1")) -> Axes:
    """The receiver operating characteristic of outputs (M,) for targets -1 and +1, with the area below it.

    Examples
    --------
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> plots.roc([-0.9, -0.2, 0.8, 0.1], [-1, 1, 1, -1], ax) is ax
    True
    """
    output, truth = np.asarray(output), np.asarray(truth)
    order = np.argsort(-output, kind="stable")
    last = np.append(np.diff(output[order]) != 0, True)  # of equal outputs: no threshold parts them
    true, false = (
        np.concatenate([[0.0], np.cumsum(side[order])[last] / side.sum()])
        for side in (truth > 0, truth < 0)
    )
    area = float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    ax.plot(false, true, color=BLUE, lw=1.8)
    here = ((output[truth < 0] >= 0).mean(), (output[truth > 0] >= 0).mean())
    ax.plot(*here, "o", color=BLACK, ms=6)
    ax.annotate("threshold 0", here, (10, -12), textcoords="offset points", fontsize=9)
    ax.annotate(f"area {area:.4f}", (0.6, 0.45), fontsize=10, color=BLUE)
    ax.set_aspect("equal")
    ax.set(
        xlabel=f"share of {classes[0]} taken for {classes[1]}",
        ylabel=f"share of {classes[1]} taken for {classes[1]}",
    )
    return ax


def predicted_against_true(
    predicted: dict[str, Any], true: dict[str, Any], ax: Axes, unit: str = "target"
) -> Axes:
    """Predictions against true values for each part, with the line where they agree.

    Examples
    --------
    >>> from jko import plots
    >>> figure, (ax,) = plots.canvas()
    >>> plots.predicted_against_true({"test": [1.0, 2.1]}, {"test": [1.1, 2.0]}, ax) is ax
    True
    """
    colours = dict(zip(predicted, (GREY, ORANGE), strict=False))
    for part, values in predicted.items():
        dots: dict[str, Any] = {"s": 14, "alpha": 0.7, "lw": 0, "color": colours[part]}
        label = f"{part} ({len(values)})"
        ax.scatter(np.asarray(true[part]), np.asarray(values), label=label, **dots)
    every = np.concatenate([np.asarray(v) for v in [*predicted.values(), *true.values()]])
    ends = [every.min(), every.max()]
    ax.plot(ends, ends, color=BLACK, lw=1, ls="--", label="predicted = true")
    ax.set_aspect("equal")
    ax.set(xlabel=f"{unit}, true", ylabel=f"{unit}, predicted")
    legend_below(ax, columns=3)
    return ax


def curve(
    x: Any, output: Any, ax: Axes, data: dict[str, tuple[Any, Any]] | None = None, unit: str = "f"
) -> Axes:
    """A function of one variable, over the data (x, f) of each part.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import plots
    >>> x = np.linspace(0, 1, 20)
    >>> figure, (ax,) = plots.canvas()
    >>> plots.curve(x, x**2, ax, {"data": (x[::4], x[::4] ** 2)}) is ax
    True
    """
    for k, (part, (at, f)) in enumerate((data or {}).items()):
        style: dict[str, Any] = {
            "color": (GREY, ORANGE)[k % 2],
            "s": 16,
            "lw": 0,
            "alpha": 0.8,
            "label": f"{part} ({len(f)})",
        }
        ax.scatter(np.asarray(at).ravel(), np.asarray(f), **style)
    ax.plot(np.asarray(x).ravel(), np.asarray(output), color=BLUE, lw=1.8, label="network $f_\\mu$")
    ax.set(xlabel="$x$", ylabel=unit)
    legend_below(ax, columns=3)
    return ax
