"""Atoms on a grid: each mass is shared between the centres around it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from jko import checks
from jko.spaces import Grid

NEAR = 1e-9  # of a cell: atoms this near to a centre are at it


def deposited(
    grid: Grid, points: Tensor, weights: Tensor, charges: Tensor
) -> tuple[Tensor, Tensor]:
    """Masses on the centres of a grid, and the mean charge of what came to each.

    An atom is shared between the 2^d centres around it, linearly along each axis, so that mass and mean are kept.
    Between the last centre and the wall it goes to the last centre; along a periodic axis the first comes after the
    last, and where an atom is does not change by whole periods.

    Parameters
    ----------
    grid : Grid
        With N cells.
    points : (n, d)
        In the box of the grid, or anywhere along periodic axes.
    weights, charges : (n,)
        Masses, and numbers to take the mean of.

    Returns
    -------
    masses, means : (N,), (N,)
        NaN is the mean of nothing.

    Raises
    ------
    ValueError
        Points of another dimension, or outside the box.
    """
    checks.shape("the atoms", points, ("N", grid.dim))
    grid.domain.check("atoms", points)
    index, share = corners(grid, points)
    atom, corner = torch.nonzero(share, as_tuple=True)
    cell, mass = index[atom, corner], weights[atom] * share[atom, corner]
    masses = weights.new_zeros(grid.N).index_add_(0, cell, mass)
    lowest = torch.full_like(masses, torch.nan).scatter_reduce_(
        0, cell, charges[atom], "amin", include_self=False
    )
    excess = torch.zeros_like(masses).index_add_(0, cell, mass * (charges[atom] - lowest[cell]))
    return masses, lowest + excess / masses  # a charge alone in its cell is not rounded


def corners(grid: Grid, points: Tensor) -> tuple[Tensor, Tensor]:
    """The 2^d centres around each point, as numbers of cells, and its shares on them: (n, 2^d) both."""
    first = [lower + 0.5 * h for (lower, _), h in zip(grid.bounds, grid.spacing, strict=True)]
    return around(points, first, grid.spacing, grid.shape, grid.periodic)


def around(
    points: Tensor,
    first: Sequence[float],
    spacing: Sequence[float],
    shape: Sequence[int],
    periodic: Sequence[bool] = (),
) -> tuple[Tensor, Tensor]:
    """The same for centres ``first[k] + i spacing[k]``, i below ``shape[k]``, along axis k; the last axis fastest."""
    low, high, share = [], [], []
    wraps = tuple(periodic) or (False,) * len(shape)
    for x, start, h, n, round_ in zip(points.T, first, spacing, shape, wraps, strict=True):
        position = (x - start) / h if round_ else ((x - start) / h).clamp(0, n - 1)
        nearest = position.round()
        position = torch.where((position - nearest).abs() < NEAR, nearest, position)
        below = position.floor()
        low.append(below.long() % n)
        high.append(position.ceil().long() % n)
        share.append(position - below)
    index, weight = [], []
    for corner in itertools.product((0, 1), repeat=len(shape)):
        cell, part = torch.zeros_like(low[0]), torch.ones_like(share[0])
        for k, n in enumerate(shape):
            cell = cell * n + (high[k] if corner[k] else low[k])
            part = part * (share[k] if corner[k] else 1 - share[k])
        index.append(cell)
        weight.append(part)
    return torch.stack(index, 1), torch.stack(weight, 1)
