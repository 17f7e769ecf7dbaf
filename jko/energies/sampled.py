"""A kernel on the differences of a grid's cells, so that an interaction of a density is a convolution.

Where W has its pole, at 0, a cell meets itself by the average of W over it, ``1/|K| int_K W(z) dz`` with K around 0.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor

from jko import derivatives
from jko.numerics.convolution import Convolution, Differences
from jko.spaces import Grid

BLOCK = 2**20  # points at a time
GAUSS = (12, 10, 8)  # nodes along an axis, in d = 1, 2, 3
SHELLS = (
    24,
    16,
    12,
)  # around the pole, each a third of the one before; what is left follows from the last two
LONE = 0.99  # of the shell before, a shell's share in an integral that exists
ODD = 1e-6  # part of a kernel below which its even part is rounding

Kernel = Callable[[Tensor], Tensor]


def over(grid: Grid) -> Differences:
    """The differences of its cells."""
    return Differences(grid.shape, grid.spacing, grid.periodic)


def tabulated(W: Kernel, grid: Grid, like: Tensor, diagonal: bool) -> Convolution | None:
    """``m -> sum_L W_even(x_K - x_L) m_L``; None where W is odd.

    Parameters
    ----------
    W
        Of differences (n, dim), shape (n,).
    grid
        The cells.
    like
        A tensor of the dtype and on the device of the masses.
    diagonal
        Whether cells meet themselves.

    Raises
    ------
    ValueError
        W is not finite somewhere, and at 0 where it cannot be averaged over a cell.
    """
    z, zero, own = _apart(grid, like)
    values = torch.cat([W(part) for part in z.split(BLOCK)])
    values = torch.where(zero, at_zero(W, own, grid.spacing) if diagonal else 0.0, values)
    if not bool(torch.isfinite(values).all()):
        where = z[~torch.isfinite(values)][0].tolist()
        raise ValueError(
            f"the kernel W is not finite at the difference {where} of two cells; it may have a pole at 0 alone, and "
            "one that can be integrated"
        )
    even = 0.5 * (values + values.flip(0))
    if bool((values != 0).any()) and bool((even.abs() <= ODD * values.abs().max()).all()):
        return None
    return Convolution.of(over(grid), even)


def tabulated_slopes(W: Kernel, grid: Grid, like: Tensor) -> list[Convolution]:
    """The same of ``grad W_even``, an axis each; 0 at 0, where it is odd."""
    z, zero, _ = _apart(grid, like)
    parts = [derivatives.gradient("the kernel W", W, part)[1] for part in z.split(BLOCK)]
    slopes = torch.where(zero[:, None], 0.0, torch.cat(parts))
    odd = 0.5 * (slopes - slopes.flip(0))
    return [Convolution.of(over(grid), part) for part in odd.T]


def _apart(grid: Grid, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The differences with 1 in place of 0, where the 0 stands, and the 0."""
    z = over(grid).points().to(like)
    zero = (z == 0).all(1)
    return torch.where(zero[:, None], 1.0, z), zero, z[zero]


def at_zero(W: Kernel, zero: Tensor, spacing: tuple[float, ...]) -> Tensor:
    """W(0), shape (1,); where that is not finite, the average over a cell around it.

    Raises
    ------
    ValueError
        W cannot be integrated at 0.
    """
    with np.errstate(all="ignore"):
        there = W(zero)
    if bool(torch.isfinite(there).all()):
        return there
    nodes, weights = shell(spacing)
    d = len(spacing)
    inner = 3.0 ** -torch.arange(SHELLS[d - 1], dtype=torch.float64)
    points = (inner[:, None, None] * nodes).reshape(-1, d).to(zero)
    values = W(points).reshape(len(inner), -1) @ weights.to(zero)
    shares = values * (inner**d).to(zero)
    total, ratio = shares.sum(), float(shares[-1] / shares[-2])
    if not bool(torch.isfinite(total)) or not ratio < LONE:
        raise ValueError(
            f"the kernel W is {float(there):g} at 0 and cannot be integrated there, so a cell has an infinite energy "
            "in itself; leave the diagonal out by jko.Interaction(W, diagonal=False)"
        )
    return (total + shares[-1] * ratio / (1 - ratio)).reshape(1)


def shell(spacing: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Gauss's rule for the mean over a cell around 0 but for its middle third: nodes (n, d), weights of sum 1 - 3^-d.

    Examples
    --------
    >>> nodes, weights = shell((1.0, 2.0))
    >>> round(float(weights.sum()), 12) == round(1 - 1 / 9, 12)
    True
    """
    d = len(spacing)
    x, w = np.polynomial.legendre.leggauss(GAUSS[d - 1])
    cells = [c for c in product((-1, 0, 1), repeat=d) if any(c)]
    grid = np.stack(np.meshgrid(*[x] * d, indexing="ij"), -1).reshape(-1, d) / 2
    weight = np.prod(np.meshgrid(*[w / 2] * d, indexing="ij"), axis=0).ravel() / 3**d
    nodes = np.concatenate([(grid + c) / 3 * spacing for c in cells])
    return torch.from_numpy(nodes), torch.from_numpy(np.tile(weight, len(cells)))
