"""Affine maps of normal laws as flat vectors u whose squared length is the cost.

The component N(m, S) of mass p goes to N(m + a, T S T) by ``x -> m + a + T (x - m)``, ``T = I + A``, A symmetric, and
pays ``p (|a|^2 + tr(A S A))``, which is p W2^2 as long as T > 0.  In the eigenbasis of S, ``S = U diag(s) U^T`` and
``A = U Z U^T``, that is ``p (sum_i a_i^2 + sum_ij (s_i + s_j) / 2 Z_ij^2)``: so

``u = p^{1/2} (a, ((1 + [i < j]) (s_i + s_j) / 2)^{1/2} Z_ij : i <= j)``,   ``cost = |u|^2``.

The vectors of the components stand one after the other.  A symmetric matrix is given by its entries i <= j, p of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.measures import NormalLaws


class AffineMaps:
    """The moves of the components of ``base``, n numbers: d + d (d + 1) / 2 for each component."""

    def __init__(self, base: NormalLaws) -> None:
        d = base.dim
        self.base = base
        self.s, self.U = torch.linalg.eigh(base.covariances)
        self.i, self.j = torch.triu_indices(d, d, device=self.s.device)
        self.place = torch.zeros(d, d, dtype=torch.long, device=self.s.device)
        self.place[self.i, self.j] = self.place[self.j, self.i] = torch.arange(len(self.i)).to(
            self.i
        )
        self.twice = 1.0 + (self.i < self.j).to(self.s)  # entries of A for a number of Z
        self.root = base.masses.sqrt()[:, None]
        sizes = 0.5 * self.twice * (self.s[:, self.i] + self.s[:, self.j])
        self.scale = torch.cat([self.root.expand(-1, d), self.root * sizes.sqrt()], dim=1)

    def zero(self) -> Tensor:
        """No move at all, (n,)."""
        return torch.zeros_like(self.scale).reshape(-1)

    def maps(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The means after the move (K, d), and T (K, d, d)."""
        d = self.base.dim
        parts = u.view_as(self.scale) / self.scale
        Z = parts[:, d:][:, self.place]
        T = torch.eye(d).to(u) + self.U @ Z @ self.U.mT
        return self.base.means + parts[:, :d], T

    def state(self, u: Tensor) -> NormalLaws:
        """Where the components go."""
        means, T = self.maps(u)
        S = T @ self.base.covariances @ T.mT
        return self.base.shaped(means, 0.5 * (S + S.mT), T @ self.base.frames)

    def of_potential(self, H: Tensor) -> Tensor:
        """The quadratic form ``sum_k p_k (a . H a + tr(A H A S))`` of matrices H (K, d, d), as (n, n).

        The second derivative of ``int V dmu`` where H is that of V.
        """
        i, j = self.i, self.j
        turned = self.U.mT @ H @ self.U
        at = (i[:, None] == i).to(H), (i[:, None] == j).to(H), (j[:, None] == j).to(H)
        ii, ij, jj = at
        si, sj = self.s[:, i, None], self.s[:, j, None]
        form = turned[:, j][:, :, j] * (si * ii) + turned[:, j][:, :, i] * (si * ij)
        form = form + turned[:, i][:, :, j] * (sj * ij.T) + turned[:, i][:, :, i] * (sj * jj)
        form = 0.25 * self.twice[:, None] * self.twice * form
        return self._whole(H, 0.5 * (form + form.mT))

    def of_volume(self, T: Tensor) -> Tensor:
        """The quadratic form ``sum_k p_k tr(T^-1 A T^-1 A)``, (n, n): that of ``-sum_k p_k log det T_k``."""
        W = self.U.mT @ torch.linalg.inv(T) @ self.U
        i, j = self.i, self.j
        form = W[:, i][:, :, i] * W[:, j][:, :, j] + W[:, i][:, :, j] * W[:, j][:, :, i]
        return self._whole(torch.zeros_like(T), 0.5 * self.twice[:, None] * self.twice * form)

    def _whole(self, means: Tensor, shapes: Tensor) -> Tensor:
        """Blocks of means (K, d, d) and of shapes (K, p, p), times the masses, in the coordinates of u."""
        blocks = torch.stack([torch.block_diag(*pair) for pair in zip(means, shapes, strict=True)])
        scale = self.scale / self.root
        return torch.block_diag(*(blocks / (scale[:, :, None] * scale[:, None, :])))
