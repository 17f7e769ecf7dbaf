"""The envelope of a network as a problem in theta alone, the best w being explicit.

For neurons Phi = w h(theta, x) and V = lam |xi|^2 / 2, with k = lam + 1/tau and a = y_w / tau, what is left is

``psi(theta) = v(c_g(theta)) + k |theta|^2 / 2 - theta . y_theta / tau + const``

with ``v(c) = min over w of w c + k w^2 / 2 - a w`` and c_g = <g, h>.  v is concave, v' = w* and v'' >= -1/k.  Of k
outputs w, a and c are vectors, and v is the sum of the same functions of their components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.duality.envelope import Envelope
from jko.duality.minima import Minima
from jko.duality.slopes import Slopes
from jko.spaces import Box, Cylinder, Domain, projected


@dataclass(frozen=True, eq=False)
class ReducedEnvelope:
    """psi for a list of blocks: w in [low, high] (equal: w is fixed), theta in ``domain``.

    Shapes: block, constant (n,); a, low, high (n,), of several outputs (n, k); beta = y_theta / tau (n, d).
    """

    slopes: Slopes
    domain: Domain | None
    k: float
    block: Tensor
    a: Tensor
    beta: Tensor
    constant: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, envelope: Envelope, slopes: Slopes) -> ReducedEnvelope:
        """All blocks of an envelope; without curvature in w only its two bounds matter: each block is there twice."""
        y, rate, domain = envelope.anchors, envelope.rate, envelope.domain
        width = envelope.minorant.width
        k = envelope.stiffness or 0.0
        theta: Domain | None = None
        if isinstance(domain, Cylinder):
            theta = domain.base
        elif isinstance(domain, Box):
            theta = Box(domain.lower[width:], domain.upper[width:])
        low, high = envelope.w_range or (y.new_tensor(-math.inf), y.new_tensor(math.inf))
        ranges = [(low, high)] if k > 0 else [(low, low), (high, high)]
        block = torch.arange(len(y), device=y.device)
        constant = 0.5 * rate * (y * y).sum(1)
        a = rate * (y[:, 0] if width == 1 else y[:, :width])
        ends = [[end.expand(len(y), width).reshape(a.shape) for end in pair] for pair in ranges]
        rows = [(block, a, rate * y[:, width:], constant, *pair) for pair in ends]
        return cls(slopes, theta, k, *(torch.cat(column) for column in zip(*rows, strict=True)))

    def total(self, x: Tensor) -> Tensor:
        """The sum over the outputs, the axis after that of the points."""
        return x if self.a.ndim == 1 else x.sum(1)

    def beside(self, x: Tensor) -> Tensor:
        """Numbers of points, beside those of each output."""
        return x if self.a.ndim == 1 else x[:, None]

    def bound(self, C: float | Tensor) -> Tensor:
        """A bound that holds everywhere, for each problem."""
        return (C if isinstance(C, Tensor) else self.a.new_tensor(C)).expand_as(self.a)

    def rows(self, blocks: Tensor) -> ReducedEnvelope:
        """The problems of some blocks."""
        keep = torch.isin(self.block, blocks)
        fields = (self.block, self.a, self.beta, self.constant, self.low, self.high)
        return ReducedEnvelope(self.slopes, self.domain, self.k, *(t[keep] for t in fields))

    @property
    def give(self) -> Tensor:
        """-v'' at most: 1/k, or 0 where w is fixed, (n,)."""
        return torch.where(
            self.low == self.high, 0.0, torch.full_like(self.a, 1 / self.k if self.k > 0 else 0.0)
        )

    def best_w(self, c: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        """w* and v(c) for problems i, of several outputs that of each."""
        w = (self.a[i] - c) / self.k if self.k > 0 else self.low[i]
        w = torch.minimum(torch.maximum(w, self.low[i]), self.high[i])
        return w, w * c + 0.5 * self.k * w * w - self.a[i] * w

    def reach(self, c: Tensor, i: Tensor) -> Tensor:
        """The largest |w*| for charges in [-c, c]."""
        return torch.maximum(self.best_w(c, i)[0].abs(), self.best_w(-c, i)[0].abs())

    def psi(self, theta: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        """psi, its gradient and a lower bound on its Hessian; then w*, c and grad c."""
        c, slope, hessian = self.slopes.at(theta)
        w, v = self.best_w(c, i)
        value = (
            self.total(v)
            + 0.5 * self.k * (theta * theta).sum(1)
            - (theta * self.beta[i]).sum(1)
            + self.constant[i]
        )
        gradient = self.total(w[..., None] * slope) + self.k * theta - self.beta[i]
        least = self.total(
            w[..., None, None] * hessian
            - self.give[i][..., None, None] * slope[..., :, None] * slope[..., None, :]
        )
        least.diagonal(dim1=1, dim2=2).add_(self.k)
        return value, gradient, least, w, c, slope

    def third(self, i: Tensor, w: Tensor, swing: Tensor, C: tuple[Tensor, ...]) -> Tensor:
        """A bound on ``|D^3 psi| = |3 v2 c1 c2 + v1 c3|`` (digits for derivatives) where c moves by at most ``swing``.

        ``w`` is w* before c moves; ``C`` holds bounds C1, C2, C3; v3 = 0, and v1 = w* moves by at most give swing.
        """
        C1, C2, C3 = C
        give = self.give[i]
        return self.total(3 * give * C1 * C2 + (w.abs() + give * swing) * C3)

    def split(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Points (w, theta) as w, of the shape of a, and theta."""
        if self.a.ndim == 1:
            return points[:, 0], points[:, 1:]
        k = self.a.shape[1]
        return points[:, :k], points[:, k:]

    def below(self, theta: Tensor, value: Tensor, gradient: Tensor, curvature: Tensor) -> Tensor:
        """The minimum over the domain of ``value + gradient . d + curvature |d|^2 / 2`` around theta."""
        target = theta - gradient / curvature[:, None]
        d = projected(target, self.domain) - theta
        return value + (gradient * d).sum(1) + 0.5 * curvature * (d * d).sum(1)

    def strongly_convex(self, minima: Minima) -> tuple[Tensor, Tensor]:
        """Lower bounds (N,), and where they are proved: ``k > |grad c|^2 / k + |w*| |Hess c|`` with sup norms."""
        C0, C1, C2, _ = (self.bound(C) for C in self.slopes.everywhere)
        n = torch.arange(len(self.a), device=self.a.device)
        bend = self.give * C1**2 + self.reach(C0, n) * C2
        curvature = self.k - self.total(bend)
        convex = (curvature > 1e-6 * self.k) & (self.k > 0)
        if not bool(convex.any()):
            return minima.lowest, convex[: len(minima.lowest)]
        row = first_rows(minima.block, len(minima.lowest))
        w, theta = self.split(minima.points[row])
        _, gradient, _, best, c, _ = self.psi(theta, n)
        # psi from the value at (w, theta): k |theta|^2 / 2 alone would be rounded where k = 1/tau is large
        value = minima.values[row] + self.total(
            (best - w) * (c - self.a + 0.5 * self.k * (best + w))
        )
        bound = self.below(theta, value, gradient, torch.where(convex, curvature, 1.0))
        return torch.where(convex, bound, minima.lowest), convex


def first_rows(block: Tensor, N: int) -> Tensor:
    """The first row of each block, rows being sorted by block."""
    return torch.searchsorted(block.contiguous(), torch.arange(N, device=block.device))
