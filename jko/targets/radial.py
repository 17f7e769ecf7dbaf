"""The interaction energy of a radial kernel, with its derivatives in closed form, in blocks of pairs.

With ``z = x - y`` and ``s = |z|^2``: ``grad k = 2 phi'(s) z`` and ``Hess k = 2 phi'(s) I + 4 phi''(s) z z^T``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.energies import Curvature, Evaluation, Interaction
from jko.measures import Particles, State
from jko.spaces import Domain, refuse_wrapped
from jko.targets.kernels import Orders, RadialKernel

BLOCK = 2**17  # pairs at a time: 1 MiB, so that the passes over a block stay in cache


class PairBlock(NamedTuple):
    """Points x in some rows against all atoms: differences z (dim, rows, N), and phi of their squares."""

    rows: slice
    z: Tensor
    phi: Orders


class RadialInteraction(Interaction):
    """``1/2 int int k(x - y) mu(dx) mu(dy)`` for a :class:`RadialKernel`: convex in mu.

    The same as ``jko.Interaction(k, convex=True)``, from fewer passes over the pairs; memory is bounded, except where
    torch records gradients.

    Examples
    --------
    >>> import jko
    >>> from jko.targets import NegativeDistance, RadialInteraction
    >>> float(RadialInteraction(NegativeDistance())(jko.Particles([[0.0], [2.0]])))
    -0.5
    """

    W: RadialKernel

    def __init__(self, W: RadialKernel) -> None:
        checks.kind("W", W, RadialKernel, hint="like jko.targets.GaussianKernel(0.5)")
        super().__init__(W, convex=True)

    def kernel(self, z: Tensor) -> Tensor:
        """k at differences, (n,)."""
        return self.W(z)

    def between(self, y: Tensor, x: Tensor, domain: Domain | None = None) -> Tensor:
        """``k(x - y)`` for all pairs, shape (len(y), len(x))."""
        refuse_wrapped("a radial kernel", domain)
        return self.W.phi(_differences(y, x).square().sum(0))

    def evaluate(self, mu: Particles) -> Evaluation:
        """One pass over the pairs."""
        variation, gradient = self._first_order(mu)
        return Evaluation(0.5 * mu.integrate(variation), variation, gradient)

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """``int Hess k(x - y) mu(dy)``, shape (n, dim, dim)."""
        at = mu.points if at is None else at
        found = at.new_empty(len(at), mu.dim, mu.dim)
        eye = torch.eye(mu.dim, dtype=at.dtype, device=at.device)
        for rows, z, phi in self._blocks(mu, at):
            weighted = z * (4 * phi.bend * mu.weights)
            outer = torch.einsum("arn,brn->rab", weighted, z)
            found[rows] = outer + 2 * (phi.slope @ mu.weights)[:, None, None] * eye
        return found

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks, and ``(cross v)_i = -int Hess k(x_i - y) v(y) mu(dy)``."""

        def cross(v: Tensor) -> Tensor:
            total, weighted = torch.empty_like(v), mu.weights[:, None] * v
            for rows, z, phi in self._blocks(mu, mu.points):
                along = phi.bend * (z * v.T[:, None, :]).sum(0)
                total[rows] = -2 * (phi.slope @ weighted) - 4 * ((z * along) @ mu.weights).T
            return total

        return Curvature(self.hessian(mu), cross=cross)

    def _pairwise(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``int k(x - y) mu(dy)`` and its gradient in x."""
        mu = state.atoms
        at = mu.points if at is None else at
        variation, gradient = at.new_empty(len(at)), torch.empty_like(at)
        for rows, z, phi in self._blocks(mu, at):
            variation[rows] = phi.value @ mu.weights
            gradient[rows] = (z.mul_(phi.slope) @ mu.weights).T.mul_(2)
        return variation, gradient

    def _blocks(self, mu: Particles, at: Tensor) -> Iterator[PairBlock]:
        mu.refuse_part("a sum over pairs of atoms")
        refuse_wrapped("a radial kernel", mu.domain)
        y, step = mu.points.detach(), max(1, BLOCK // mu.N)
        for first in range(0, len(at), step):
            rows = slice(first, first + step)
            z = _differences(at[rows].detach(), y)
            with torch.no_grad():
                yield PairBlock(rows, z, Orders(*self.W.profile(z.square().sum(0))))


def _differences(x: Tensor, y: Tensor) -> Tensor:
    """``x_i - y_j`` by axes, (dim, len(x), len(y))."""
    return x.T[:, :, None] - y.T[:, None, :]
