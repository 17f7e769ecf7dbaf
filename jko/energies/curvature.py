"""The second derivative of an energy of atoms, as blocks, a factor of few columns, and the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jko.measures import Particles


class Curvature(NamedTuple):
    """The Hessian of T -> E(T_# mu) in L2(mu): ``(Hess v)_i = B_i v_i + sum_m J_im int J_m . v dmu + (cross v)_i``.

    Shapes: blocks B (N, dim, dim); factor J (N, dim, M) or None; cross maps (N, dim) to (N, dim), or is None.
    """

    blocks: Tensor
    factor: Tensor | None = None
    cross: Callable[[Tensor], Tensor] | None = None

    def matrix(self, mu: Particles) -> Tensor:
        """All of it, (N, dim, N, dim), on the atoms of mu: symmetric in the inner product of L2(mu)."""
        N, dim, _ = self.blocks.shape
        whole = self.blocks.new_zeros(N, dim, N, dim)
        each = torch.arange(N)
        whole[each, :, each, :] = self.blocks
        if self.factor is not None:
            whole += torch.einsum("iam,jbm,j->iajb", self.factor, self.factor, mu.weights)
        if self.cross is not None:
            units = torch.eye(N * dim).to(whole).view(N * dim, N, dim)
            columns = torch.stack([self.cross(unit) for unit in units], dim=-1)
            whole += columns.view(N, dim, N, dim)
        return whole
