"""Small symmetric matrices, one for each atom."""

from __future__ import annotations

import torch
from torch import Tensor


def descending(blocks: Tensor, least: float = 0.0) -> Tensor:
    """Symmetric blocks (N, dim, dim), negative eigenvalues of the indefinite ones replaced by their size.

    ``least``: what is less than it becomes ``least``, in those blocks.  Blocks that are not finite stay as they are.
    """
    _, failed = torch.linalg.cholesky_ex(blocks)
    bad = failed > 0
    if not bool(bad.any()):
        return blocks
    bad &= blocks.isfinite().all(-1).all(-1)
    values, vectors = torch.linalg.eigh(blocks[bad])
    floor = (1e-3 * values.abs().amax(dim=1, keepdim=True)).clamp(min=least)
    blocks = blocks.clone()
    blocks[bad] = vectors @ (values.abs().maximum(floor)[:, :, None] * vectors.transpose(1, 2))
    return blocks
