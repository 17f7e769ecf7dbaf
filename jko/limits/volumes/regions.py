"""The regions that walls and obstacles leave, each of which keeps its mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from jko.spaces import Grid


@dataclass(frozen=True, eq=False)
class Regions:
    """The number of its region for every cell, (N,), or None where there is one."""

    number: Tensor | None

    @classmethod
    def of(cls, grid: Grid, closed: Tensor) -> Regions:
        """Cells are in one region where open faces lead from one to the other."""
        if not bool(closed.any()):
            return cls(None)
        cells, pairs = torch.arange(grid.N).reshape(closed.shape), []
        for face in grid.across:
            shut = (face.before(closed) | face.after(closed)).cpu()
            pairs.append(torch.stack([face.before(cells)[~shut], face.after(cells)[~shut]]))
        rows, columns = torch.cat(pairs, dim=1).numpy()
        graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(grid.N, grid.N))
        number = connected_components(graph, directed=False)[1]
        return cls(torch.from_numpy(number).long().to(closed.device))

    def restored(self, rho: Tensor, before: Tensor) -> Tensor:
        """Nothing below zero, and in each region the mass of ``before``."""
        positive = rho.clamp(min=0)
        if self.number is None:
            return positive * (before.sum() / positive.sum())
        empty = rho.new_zeros(int(self.number.max()) + 1)
        old, new = (empty.index_add(0, self.number, a.reshape(-1)) for a in (before, positive))
        ratio = torch.where(new > 0, old / new, 0.0)
        return positive * ratio[self.number].reshape(rho.shape)
