"""The two pictures of a training run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

import jko
from jko import plots
from jko.cli.job import Job
from jko.cli.terminal import shown
from jko.measures import State


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
    """Outputs by class and the ROC; or predicted against true, and the curve if there is one input."""
    split, name, target = job.split, _label(job.table.name), _label(job.table.target)
    parts = {"training": split.train, "test": split.test}
    output = {part: job.risk.predict(state, data.x) for part, data in parts.items()}
    truth = {part: data.f for part, data in parts.items()}
    if job.table.classes:
        figure, (left, right) = plots.canvas(1, 2, (10.6, 4.9))
        classes = [_label(word) for word in job.table.classes]
        plots.class_outputs(output, truth, classes, left)
        left.set_title(f"{name}: outputs by {target}", fontsize=11)
        plots.roc(output["test"], truth["test"], right, classes)
        right.set_title("test rows", fontsize=11)
        return _written(figure, path)

    def own_units(f: torch.Tensor) -> torch.Tensor:
        return split.centre + split.scale * f

    panels = 2 if split.train.n == 1 else 1
    figure, axes = plots.canvas(1, panels, (5.3 * panels + 0.4, 5.6))
    predicted, true = (
        {part: own_units(f) for part, f in group.items()} for group in (output, truth)
    )
    plots.predicted_against_true(predicted, true, axes[0], unit=target)
    axes[0].set_title(name, fontsize=11)
    if panels == 2:
        x = torch.linspace(
            float(split.train.x.min()), float(split.train.x.max()), 400, dtype=torch.float64
        )[:, None]
        data = {key: (part.x, own_units(part.f)) for key, part in parts.items()}
        plots.curve(x, own_units(job.risk.predict(state, x)), axes[1], data, unit=target)
        axes[1].set_xlabel(f"{_label(split.columns[0])}, standardised")
    return _written(figure, path)
