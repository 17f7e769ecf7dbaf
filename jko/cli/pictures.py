"""The two pictures of a training run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jko
from jko import plots
from jko.cli.job import Job
from jko.cli.terminal import shown
from jko.measures import State

Array = np.ndarray
Parts = dict[str, Array]
PANELS = 4  # targets that are drawn


def energy(summary: dict[str, Any], trajectory: jko.Trajectory, path: Path) -> Path:
    """The energy over flow time, and where it went."""
    figure, (left, right) = plots.canvas(1, 2, (10.6, 4.9))
    plots.energy(
        trajectory, left, summary["optimality_lower_bound"], summary["optimality_rigorous"]
    )
    left.set_title("Every step lowers the energy", fontsize=11)
    plots.energy_ledger(trajectory, right)
    right.set_title("Where the energy went: three terms, one sum", fontsize=11)
    return plots.write(figure, path)


def _written(figure: Any, path: Path) -> Path:
    """Written, without a warning for letters that the font lacks: they are boxes in the picture."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        return plots.write(figure, path)


def _label(text: str) -> str:
    """A name from a table, as it is: dollar signs begin no formula, control characters do nothing."""
    return shown(text).replace("$", r"\$")


def prediction(job: Job, state: State, path: Path) -> Path:
    """Outputs by class and the ROC; of several classes who was taken for whom; or predicted against true values."""
    parts = {"training": job.split.train} | ({"test": job.split.test} if job.split.test else {})
    output = {part: _numbers(job.risk.predict(state, data.x)) for part, data in parts.items()}
    truth = {part: _numbers(data.f) for part, data in parts.items()}
    draw = (
        _values if job.table.classes is None else _two if len(job.table.classes) == 2 else _several
    )
    return _written(draw(job, state, output, truth), path)


def _numbers(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().cpu().numpy()


def _two(job: Job, state: State, output: Parts, truth: Parts) -> Any:
    """Outputs by class, and the ROC."""
    figure, (left, right) = plots.canvas(1, 2, (10.6, 4.9))
    classes = [_label(word) for word in job.table.classes or ()]
    plots.class_outputs(output, truth, classes, left)
    left.set_title(
        f"{_label(job.table.name)}: outputs by {_label(job.table.target.columns[0])}", fontsize=11
    )
    last = list(output)[-1]
    plots.roc(output[last], truth[last], right, classes)
    right.set_title(f"{last} rows", fontsize=11)
    return figure


def _several(job: Job, state: State, output: Parts, truth: Parts) -> Any:
    """Who was taken for whom."""
    classes = [_label(word) for word in job.table.classes or ()]
    figure, axes = plots.canvas(1, len(output), (5.3 * len(output), 4.9))
    for (part, said), ax in zip(reversed(output.items()), axes, strict=True):
        plots.confusion(said, truth[part], ax, classes)
        ax.set_title(f"{_label(job.table.name)}, {part}: {ax.get_title()}", fontsize=11)
    return figure


def _values(job: Job, state: State, output: Parts, truth: Parts) -> Any:
    """Predicted against true, for each target; and the curve if there is one input and one target."""
    split, units, targets = job.split, job.split.units, job.table.target.columns[:PANELS]
    curve = split.train.n == 1 and len(targets) == 1
    panels = len(targets) + curve
    figure, axes = plots.canvas(1, panels, (5.3 * panels + 0.4, 5.6))
    predicted, true = (
        {part: units.own(f).reshape(len(f), -1) for part, f in group.items()}
        for group in (output, truth)
    )
    for k, (target, ax) in enumerate(zip(targets, axes, strict=False)):
        one, other = ({p: f[:, k] for p, f in group.items()} for group in (predicted, true))
        plots.predicted_against_true(one, other, ax, unit=_label(target))
        ax.set_title(_label(job.table.name), fontsize=11)
    if curve:
        at = {"training": split.train.x} | ({"test": split.test.x} if split.test else {})
        line = torch.linspace(float(split.train.x.min()), float(split.train.x.max()), 400).to(
            split.train.x
        )
        data = {part: (_numbers(x), true[part][:, 0]) for part, x in at.items()}
        said = units.own(_numbers(job.risk.predict(state, line[:, None])))
        plots.curve(_numbers(line), said, axes[-1], data, unit=_label(targets[0]))
        axes[-1].set_xlabel(f"{_label(split.scaling.columns[0])}, standardised")
    return figure
