"""Convex hulls of functions of one variable, from tables of their values: many at once."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 200  # far more than it takes: each lowers the chords of all rows that are not done


def chords(values: Tensor, x: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The ends of the chord of the convex hull of a table above each of n places.

    The hull at ``at`` is the least of all chords between an abscissa at its left and one at its right.  From the ends
    of one chord the point of the table that lies furthest below its line takes the place of the end on its side, until
    none does.

    Parameters
    ----------
    values : (n, M)
        A table in each row.
    x : (M,)
        Abscissae, increasing.
    at : (n,)
        In ``[x[0], x[-1]]``.

    Returns
    -------
    Tensor (n,), Tensor (n,)
        Indices i < j of the ends, ``x[i] <= at <= x[j]``: neighbours where the table is convex.

    Examples
    --------
    >>> import torch
    >>> from jko.numerics.hulls import chords
    >>> x = torch.linspace(-2, 2, 9)
    >>> left, right = chords((x**2 - 1)[None] ** 2, x, torch.tensor([0.25]))
    >>> x[left].tolist(), x[right].tolist()
    ([-1.0], [1.0])
    """
    left = (torch.searchsorted(x, at, right=True) - 1).clamp(0, len(x) - 2)
    cut, right, rows = left, left + 1, torch.arange(len(at), device=at.device)
    for _ in range(ROUNDS):
        rise = values[rows, right] - values[rows, left]
        slope = rise / (x[right] - x[left])
        below = values - slope[:, None] * x
        lowest, where = below.min(1)
        level = torch.minimum(below[rows, left], below[rows, right])
        spare = 8 * torch.finfo(x.dtype).eps * (1 + level.abs() + values[rows, left].abs())
        better = lowest < level - spare
        if not bool(better.any()):
            break
        left = torch.where(better & (where <= cut), where, left)
        right = torch.where(better & (where > cut), where, right)
    return left, right
