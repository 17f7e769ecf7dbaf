"""Whether the slope of a metric's cost is that of its values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.derivatives import Disagreement, along_moves, beside, leaf, recording
from jko.steps.penalty import OwnCost, differentiable
from jko.steps.problem import Form, StepProblem


def check_cost(problem: StepProblem) -> None:
    """Compare the slope of a metric's cost with differences of its values, for metrics from outside this package.

    Raises
    ------
    TypeError, ValueError
        A cost that is no number, or not differentiable by torch; or one whose slope is not that of its values, for two
        moves near the base point.
    """
    kind = type(problem.metric)
    if problem.form is not Form.OWN_COST or kind.__module__.partition(".")[0] == "jko":
        return
    OwnCost(problem.base.points).cost(problem, problem.base.points)
    try:
        with np.errstate(all="ignore"):
            wrong = _disagreement(problem)
    except Exception:  # not defined at these points, which are ours and not the user's
        return
    if wrong is not None:
        raise ValueError(
            f"the slope of {kind.__name__}.cost is not that of its values: along a move of the atoms torch says "
            f"{wrong.slope:.6g}, and the values {wrong.difference:.6g}; make all of it from state.points by torch "
            "operations: what .item(), .detach(), numpy or torch.no_grad() hide has no slope"
        )


def _disagreement(problem: StepProblem) -> Disagreement | None:
    def cost(points: Tensor) -> Tensor:
        found = problem.metric.cost(problem.state(points), problem.previous)
        return differentiable(type(problem.metric).__name__, found, points)

    with recording():
        near = beside(problem.base.points)
        x = leaf(near)
        (slope,) = torch.autograd.grad(cost(x), x)
        return along_moves(near, lambda z: cost(leaf(z)), lambda v: (slope * v).sum())
