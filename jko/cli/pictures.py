"""The two pictures of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import jko
from jko import plots
from jko.cli.job import Job
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


def prediction(job: Job, state: State, path: Path) -> Path:
    """Outputs by class and the ROC; or predicted against true, and the curve if there is one input."""
    split = job.split
    parts = {"training": split.train, "test": split.test}
    output = {name: job.risk.predict(state, data.x) for name, data in parts.items()}
    truth = {name: data.f for name, data in parts.items()}
    if job.table.classes:
        figure, (left, right) = plots.canvas(1, 2, (10.6, 4.9))
        plots.class_outputs(output, truth, job.table.classes, left)
        left.set_title(f"{job.table.name}: outputs by {job.table.target}", fontsize=11)
        plots.roc(output["test"], truth["test"], right, job.table.classes)
        right.set_title("test rows", fontsize=11)
        return plots.write(figure, path)

    def own_units(f: torch.Tensor) -> torch.Tensor:
        return split.centre + split.scale * f

    panels = 2 if split.train.n == 1 else 1
    figure, axes = plots.canvas(1, panels, (5.3 * panels + 0.4, 5.6))
    predicted, true = (
        {name: own_units(f) for name, f in group.items()} for group in (output, truth)
    )
    plots.predicted_against_true(predicted, true, axes[0], unit=job.table.target)
    axes[0].set_title(job.table.name, fontsize=11)
    if panels == 2:
        x = torch.linspace(
            float(split.train.x.min()), float(split.train.x.max()), 400, dtype=torch.float64
        )[:, None]
        data = {name: (part.x, own_units(part.f)) for name, part in parts.items()}
        plots.curve(x, own_units(job.risk.predict(state, x)), axes[1], data, unit=job.table.target)
        axes[1].set_xlabel(f"{split.columns[0]}, standardised")
    return plots.write(figure, path)
