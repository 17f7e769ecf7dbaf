"""Whether the slope of a metric's cost is that of its values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.derivatives import SHARES, Disagreement, disagreement, generic, leaf, recordable, recording
from jko.steps.penalty import OwnCost, differentiable
from jko.steps.problem import Form, StepProblem

MOVES = 2  # of all atoms, along which values and slope are compared
NEAR = 0.01  # how far from the base point, relative to 1 + |x|: there the slope is not zero


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
    name, base = type(problem.metric).__name__, recordable(problem.base.points)
    near = base + NEAR * (1 + base.abs()) * generic(base)
    moves = [(1 + base.abs()) * generic(base, (k + 1) * base.numel()) for k in range(MOVES)]

    def cost(points: Tensor) -> Tensor:
        found = problem.metric.cost(problem.state(points), problem.previous)
        return differentiable(name, found, points)

    with recording():
        x = leaf(near)
        (slope,) = torch.autograd.grad(cost(x), x)
        values = [torch.stack([cost(leaf(near + h * v)) for v in moves]).detach() for h in SHARES]
        return disagreement(values, torch.stack([(slope * v).sum() for v in moves]))
