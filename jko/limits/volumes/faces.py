"""Cells and the faces between them: differences, upwind values of second order, and what faces hand to cells.

Fields on cells have the grid's shape; fields on the faces across axis k have one less along k, since no face of the
boundary carries anything: that is the condition of no flux, (3.11) and (3.25).
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.spaces import Grid


def before(a: Tensor, axis: int) -> Tensor:
    """The cells on the lower side of the faces across an axis."""
    return a.narrow(axis, 0, a.shape[axis] - 1)


def after(a: Tensor, axis: int) -> Tensor:
    """The cells on the upper side of the faces across an axis."""
    return a.narrow(axis, 1, a.shape[axis] - 1)


def mean(a: Tensor, axis: int) -> Tensor:
    """The mean of the two cells at each face."""
    return 0.5 * (before(a, axis) + after(a, axis))


def places(grid: Grid, axis: int) -> Tensor:
    """Midpoints of the inner faces across an axis, (F, d), the last axis fastest."""
    lines = [mean(a, 0) if k == axis else a for k, a in enumerate(grid.axes)]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, grid.dim)


def slopes(a: Tensor, axis: int) -> Tensor:
    """Differences across each cell, limited as in van Leer's monotonised central scheme (MC).

    The median of the central difference and twice the one-sided ones, or zero where these differ in sign.  A cell at
    the wall takes its one face.
    """
    jump = a.diff(dim=axis)
    if not jump.numel():
        return torch.zeros_like(a)
    n = jump.shape[axis]
    walled = torch.cat([jump.narrow(axis, 0, 1), jump, jump.narrow(axis, n - 1, 1)], dim=axis)
    below, above = before(walled, axis), after(walled, axis)
    central = 0.5 * (below + above)
    rising = torch.minimum(central, 2 * torch.minimum(below, above)).clamp_(min=0)
    falling = torch.maximum(central, 2 * torch.maximum(below, above)).clamp_(max=0)
    return rising.add_(falling)


def sides(a: Tensor, slope: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Values on both sides of the faces, from the cells with their slopes."""
    return before(a + 0.5 * slope, axis), after(a - 0.5 * slope, axis)


def upwind(a: Tensor, slope: Tensor, v: Tensor, axis: int) -> Tensor:
    """Values on the faces, from the cell that the velocity v comes from."""
    return torch.where(v > 0, *sides(a, slope, axis))


def outflow(flux: Tensor, like: Tensor, axis: int) -> Tensor:
    """What leaves each cell through its two faces across an axis."""
    result = torch.zeros_like(like)
    before(result, axis).add_(flux)
    after(result, axis).sub_(flux)
    return result


def to_cells(a: Tensor, like: Tensor, axis: int) -> Tensor:
    """The mean of a cell's two faces across an axis; of its only one at a wall."""
    if not a.numel():
        return torch.zeros_like(like)
    n = a.shape[axis]
    return mean(torch.cat([a.narrow(axis, 0, 1), a, a.narrow(axis, n - 1, 1)], dim=axis), axis)
