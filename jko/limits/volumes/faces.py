"""Cells and the faces between them: upwind values of second order, and what faces hand to cells.

Which faces there are says the grid: :class:`jko.spaces.FacesAcross`.  No face of a wall carries anything: that is the
condition of no flux, (3.11) and (3.25).
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.spaces import FacesAcross, Grid


def places(grid: Grid, axis: int) -> Tensor:
    """Midpoints of the faces across an axis, (F, d), the last axis fastest; at the upper end, not the lower."""
    ends = grid.faces[axis][1:]
    lines = list(grid.axes)
    lines[axis] = ends if grid.periodic[axis] else ends[:-1]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, grid.dim)


def slopes(a: Tensor, across: FacesAcross) -> Tensor:
    """Differences across each cell, limited as in van Leer's monotonised central scheme (MC).

    The median of the central difference and twice the one-sided ones, or zero where these differ in sign.  A cell at
    the wall takes its one face.
    """
    jump = across.diff(a)
    if not jump.numel():
        return torch.zeros_like(a)
    below, above = _beside(jump, across)
    central = 0.5 * (below + above)
    rising = torch.minimum(central, 2 * torch.minimum(below, above)).clamp_(min=0)
    falling = torch.maximum(central, 2 * torch.maximum(below, above)).clamp_(max=0)
    return rising.add_(falling)


def sides(a: Tensor, slope: Tensor, across: FacesAcross) -> tuple[Tensor, Tensor]:
    """Values on both sides of the faces, from the cells with their slopes."""
    return across.before(a + 0.5 * slope), across.after(a - 0.5 * slope)


def upwind(a: Tensor, slope: Tensor, v: Tensor, across: FacesAcross) -> Tensor:
    """Values on the faces, from the cell that the velocity v comes from."""
    return torch.where(v > 0, *sides(a, slope, across))


def lose(cells: Tensor, flux: Tensor, across: FacesAcross) -> None:
    """Take from each cell, in place, what leaves it through its two faces."""
    if across.wraps:
        cells -= across.outflow(flux)
    else:
        across.before(cells).sub_(flux)
        across.after(cells).add_(flux)


def to_cells(a: Tensor, like: Tensor, across: FacesAcross) -> Tensor:
    """The mean of a cell's two faces; of its only one at a wall."""
    if not a.numel():
        return torch.zeros_like(like)
    below, above = _beside(a, across)
    return 0.5 * (below + above)


def _beside(faces: Tensor, across: FacesAcross) -> tuple[Tensor, Tensor]:
    """The lower and the upper face of every cell; at a wall its only one stands for both."""
    if across.wraps:
        return across.lower(faces), across.upper(faces)
    first, last = (faces.narrow(across.axis, k, 1) for k in (0, faces.shape[across.axis] - 1))
    return torch.cat([first, faces], dim=across.axis), torch.cat([faces, last], dim=across.axis)
