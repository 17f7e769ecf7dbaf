"""Moves of densities on a grid, as potentials: what is at x now has come there by the move ``-grad D(x)``.

A potential has the shape of the grid, and is inf in closed cells.  The potentials of moves that follow each other add
up once both are where the last one ends: what has moved on by ``-grad p`` since sees an earlier gradient at
``x + grad p``, and ``grad D(x + grad p) = grad (D + grad D . grad p / 2)`` but for terms of third order in the moves,
where both gradients are those of one flow.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.measures import GridDensity
from jko.metrics import as_array
from jko.spaces import Grid
from jko.steps.result import StepResult


def potential_of(result: StepResult) -> Tensor:
    """The move of a JKO step, from the potential that its solver has left.

    Raises
    ------
    ValueError
        A solver that leaves none.
    """
    rho, problem = result.state, result.problem
    assert isinstance(rho, GridDensity)
    if "potential" not in result.memory:
        raise ValueError(
            "the step has left no potential to go on along; take jko.Dynamic(), whose steps do"
        )
    if rho is problem.previous:  # a step that stayed
        return torch.zeros_like(rho.values)
    closed = torch.isinf(problem.parts.potential).reshape(rho.grid.shape)
    phi = result.memory["potential"].reshape(rho.grid.shape).to(rho.values)
    phi = torch.where(closed.to(phi.device), torch.inf, phi)
    return problem.tau * (phi + problem.tau / 4 * slopes_squared(phi, rho.grid))


def slopes_squared(potential: Tensor, grid: Grid) -> Tensor:
    """``|grad D|^2`` in the cells: for each axis the mean of the squares on the faces that are open."""
    from jko.steps.push import runs, slopes, squares  # numba loads here

    flat = as_array(potential).ravel().astype(np.float64)
    closed, axes = ~np.isfinite(flat), runs(grid.shape, grid.periodic)
    gradient = slopes(np.where(closed, 0.0, flat), axes, np.array(grid.spacing), closed)
    found = squares(gradient, axes, closed).reshape(grid.shape)
    return torch.from_numpy(found).to(potential)


def followed(first: Tensor, then: Tensor, grid: Grid) -> Tensor:
    """The first move, where what it moved has moved on: ``D + grad D . grad p / 2``."""
    plus, minus = (slopes_squared(first + sign * _finite(then), grid) for sign in (1, -1))
    return first + (plus - minus) / 8


def pushed(rho: GridDensity, potential: Tensor) -> GridDensity | None:
    """The density, moved on by ``-grad D``; None where that goes too far to be of use."""
    from jko.steps.push import push  # numba loads here

    closed = torch.isinf(potential)
    new = push(
        as_array(rho.values),
        as_array(_finite(potential)),
        rho.grid.spacing,
        tau=0.0,
        time=1.0,
        closed=closed.cpu().numpy() if bool(closed.any()) else None,
        periodic=rho.grid.periodic,
    )
    return None if new is None else GridDensity.of(rho.grid, torch.from_numpy(new).to(rho.values))


def _finite(potential: Tensor) -> Tensor:
    return torch.where(torch.isinf(potential), 0.0, potential)
