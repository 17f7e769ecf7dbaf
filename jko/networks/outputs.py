"""Networks with k outputs: ``f in R^k`` is a number on D x {1..k}, so all of the survey holds as it stands.

A neuron xi = (w_1 ... w_k, theta) has the features ``Phi(xi, (x, l)) = w_l h(theta, x)``.  They are products, so h is
evaluated once for all outputs, and no evaluation of an energy or of its slope holds k times as many numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.networks.features import FeatureMap
from jko.networks.passes import Block, Passes, Pullback


@dataclass(frozen=True)
class Outputs(FeatureMap):
    """``Phi(xi, (x, l)) = w_l h(theta, x)``, xi = (w_1 ... w_k, theta); the columns are those of x_1, then of x_2, ...

    Parameters
    ----------
    h
        The activation.
    k
        The number of outputs.

    Examples
    --------
    >>> import jko, torch
    >>> phi = jko.networks.Outputs(jko.Ridge(torch.tanh), 2)
    >>> z = torch.tensor([[1.0, -2.0, 0.0, 100.0]])  # w = (1, -2), h = 1
    >>> phi(z, torch.tensor([[0.0], [1.0]])).tolist()
    [[1.0, -2.0, 1.0, -2.0]]
    """

    _bare = 1
    h: FeatureMap
    k: int

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M k)."""
        return self._products(z, self.h(z[:, self.k :], x))

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (w . c_g, (c_g, sum_l w_l grad c_l)) with c_l(theta) = sum_m g[m, l] h(theta, x_m)."""
        w, theta = z[:, : self.k], z[:, self.k :]
        h, pull_h = self.h.linearise(theta, x)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            c = self._sums(h, g)
            return (w * c).sum(1), torch.cat([c, pull_h(self._weights(w, g))[1]], dim=1)

        return self._products(z, h), pull

    def integral(self, z: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        """``sum_i weights[i] w_il h(theta_i, x)``, shape (M k,)."""
        w = weights[:, None] * z[:, : self.k]
        return (self.h(z[:, self.k :], x).T @ w).reshape(-1)

    def pairing(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """``w . c_g``."""
        return (z[:, : self.k] * self._sums(self.h(z[:, self.k :], x), g)).sum(1)

    def passes(self, x: Tensor, rows: int, keep: bool = False) -> Passes:
        """That of h, times w."""
        return _OutputsPasses(self.h.passes(x, rows, keep), self.k)

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """``d Phi_l / d w_j = h`` where j = l, else 0; ``w_l grad_theta h``."""
        w, theta = z[:, : self.k], z[:, self.k :]
        h = self.h(theta, x)
        eye = torch.eye(self.k, dtype=h.dtype, device=h.device)
        result = h.new_empty(*h.shape, self.k, z.shape[1])
        torch.mul(h[:, :, None, None], eye, out=result[..., : self.k])
        if theta.shape[1]:
            slopes = self.h.jacobian(theta, x)[:, :, None, :]
            torch.mul(w[:, None, :, None], slopes, out=result[..., self.k :])
        return result.flatten(1, 2)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """[[0, grad c_l^T], [grad c_l, sum_l w_l Hess c_l]]."""
        k, w, theta = self.k, z[:, : self.k], z[:, self.k :]
        result = z.new_zeros(len(z), z.shape[1], z.shape[1])
        if not theta.shape[1]:
            return result
        _, pull_h = self.h.linearise(theta, x)
        for j, column in enumerate(g.unflatten(-1, (-1, k)).unbind(-1)):
            result[:, j, k:] = result[:, k:, j] = pull_h(column)[1]
        result[:, k:, k:] = self.h.hessian(theta, x, self._weights(w, g))
        return result

    def _products(self, z: Tensor, h: Tensor) -> Tensor:
        """``w_l h``, shape (b, M k)."""
        return (h[:, :, None] * z[:, None, : self.k]).flatten(1)

    def _sums(self, h: Tensor, g: Tensor) -> Tensor:
        """``sum_m g[m, l] h[:, m]``, shape (b, k)."""
        if g.ndim == 1:
            return h @ g.view(-1, self.k)
        return torch.einsum("bm,bmk->bk", h, g.unflatten(1, (-1, self.k)))

    def _weights(self, w: Tensor, g: Tensor) -> Tensor:
        """``sum_l w_l g[m, l]``, shape (b, M)."""
        if g.ndim == 1:
            return w @ g.view(-1, self.k).T
        return torch.einsum("bk,bmk->bm", w, g.unflatten(1, (-1, self.k)))


class _OutputsPasses(Passes):
    """``w_l h(theta, x)`` of z = (w, theta), by the passes of h."""

    def __init__(self, inner: Passes, k: int) -> None:
        self.inner, self.k, self.lent = inner, k, inner.lent
        self.known: tuple[Tensor, Tensor] | None = None

    def at(self, z: Tensor) -> Block:
        """That of theta, and w."""
        theta = z.narrow(1, self.k, z.shape[1] - self.k)
        return _OutputsBlock(self, self.inner.at(theta), z.narrow(1, 0, self.k))

    def columns(self, g: Tensor) -> Tensor:
        """``g`` (M k,) as (M, k): the same tensor for all blocks, since they go by what it is."""
        if self.known is None or self.known[0] is not g:
            self.known = g, g.view(-1, self.k)
        return self.known[1]


class _OutputsBlock(Block):
    def __init__(self, passes: _OutputsPasses, h: Block, w: Tensor) -> None:
        self.passes, self.h, self.w = passes, h, w

    def __len__(self) -> int:
        return len(self.w)

    def integral(self, weights: Tensor) -> Tensor:
        return self.h.integral(weights[:, None] * self.w).reshape(-1)

    def pairing(self, g: Tensor) -> Tensor:
        return (self.w * self.h.pairing(self.passes.columns(g))).sum(1)

    def pull_back(self, g: Tensor, c: Tensor, slope: Tensor) -> None:
        k = self.passes.k
        charges, rest = slope.narrow(1, 0, k), slope.narrow(1, k, slope.shape[1] - k)
        self.h.pull_back_sum(self.w, self.passes.columns(g), charges, rest)
        torch.sum(self.w * charges, 1, out=c)
