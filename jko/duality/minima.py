"""Local minimisers of many blocks in one list: each row says of which block it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Minima(NamedTuple):
    """Local minimisers of phi_g + rate |. - y_i|^2 / 2, the best of each block first found or known.

    Shapes: points (k, dim), block (k,), values (k,); lowest (N,) of the blocks, -inf where no minimum exists (then
    ``points`` holds points on the way out).
    """

    points: Tensor
    block: Tensor
    values: Tensor
    lowest: Tensor

    def joined(self, points: Tensor, block: Tensor) -> Minima:
        """With more points to start from."""
        blocks = torch.cat([self.block, block])
        values = torch.cat(
            [self.values, torch.full_like(self.values[:1], -torch.inf).expand(len(block))]
        )
        return Minima(torch.cat([self.points, points]), blocks, values, self.lowest)

    @property
    def bounded(self) -> bool:
        """Whether every block has a minimum."""
        return bool(torch.isfinite(self.lowest).all())


def order(block: Tensor, values: Tensor) -> Tensor:
    """Rows by block, within a block by value."""
    rows = values.sort(stable=True).indices
    return rows[block[rows].sort(stable=True).indices]


def rank(block: Tensor) -> Tensor:
    """The place of each row within its block, rows being sorted by block."""
    rows = torch.arange(len(block), device=block.device)
    return rows - torch.searchsorted(block.contiguous(), block.contiguous())
