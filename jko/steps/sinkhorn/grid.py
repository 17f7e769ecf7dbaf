"""The kernel on a grid: a product of one matrix for each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.spaces import Grid
from jko.steps.sinkhorn.kernels import PLAIN, TINY, Kernel, Sums

ROUNDING = 37.0  # e^-37 = 1e-16: what may be left out of a sum
BLOCK = 2**21  # numbers at a time
KEEP = 2**24  # numbers kept: 128 MiB


@dataclass(frozen=True, eq=False)
class GridKernel(Kernel):
    """On a grid the kernel is a product, applied axis by axis."""

    grid: Grid
    epsilon: float
    like: Tensor

    def with_epsilon(self, epsilon: float) -> GridKernel:
        """The kernel on the same cells."""
        return GridKernel(self.grid, epsilon, self.like)

    @cached_property
    def squares(self) -> tuple[Tensor, ...]:
        """Squared distances along each axis, (n, n)."""
        return tuple((x[:, None] - x[None, :]).square().to(self.like) for x in self.grid.axes)

    @cached_property
    def factors(self) -> tuple[Tensor, ...]:
        """The kernel along each axis, (n, n)."""
        full = ((-c / self.epsilon).exp() for c in self.squares)
        return tuple(K.masked_fill(TINY > K, 0) for K in full)

    def sums(self, u: Tensor, depth: float) -> Sums:
        """Plain where that is deep enough, otherwise in logarithms over a window."""
        u = u.reshape(self.grid.shape)
        return self._plain(u) if depth <= PLAIN else self._windowed(u, depth)

    def _plain(self, u: Tensor) -> Sums:
        top = float(u.max())
        weight = (u - top).exp()
        weight = weight.masked_fill(weight < TINY, 0)
        total = _along(self.factors, weight)
        seen = total > math.exp(-PLAIN)
        log = torch.where(seen, total.log() + top, -torch.inf)
        inverse = torch.where(seen, 1 / total, 0)

        def average(v: Tensor) -> Tensor:
            return (_along(self.factors, weight * v.reshape(u.shape)) * inverse).reshape(-1)

        def cost() -> Tensor:
            summed = torch.zeros_like(u)
            for k, (K, c) in enumerate(zip(self.factors, self.squares, strict=True)):
                factors = (*self.factors[:k], K * c, *self.factors[k + 1 :])
                summed += _along(factors, weight)
            return (summed * inverse).reshape(-1)

        return Sums(log.reshape(-1), top - PLAIN, average, cost)

    def _windowed(self, u: Tensor, depth: float) -> Sums:
        reach = math.sqrt(self.epsilon * (depth + ROUNDING + math.log(u.numel())))
        axes = [
            _Window(k, min(n - 1, math.ceil(reach / h)), h, self.epsilon)
            for k, (n, h) in enumerate(zip(self.grid.shape, self.grid.spacing, strict=True))
        ]
        whole = all(w.radius == n - 1 for w, n in zip(axes, self.grid.shape, strict=True))
        floor = -math.inf if whole else float(u.max()) - depth
        stages, log = [], u
        for window in axes:
            stages.append((window, log, after := window.logsumexp(log)))
            log = after
        weights = [w.weights(a, b) for w, a, b in stages if a.numel() * w.width <= KEEP]
        kept = weights if len(weights) == len(stages) else None

        def average(v: Tensor, squared: int | None = None) -> Tensor:
            v = v.reshape(u.shape)
            for k, (window, a, b) in enumerate(stages):
                weight = kept[k] if kept else window.weights(a, b)
                v = window.average(weight, v, squared == k)
            return v.reshape(-1)

        def cost() -> Tensor:
            one = torch.ones_like(u)
            return sum((average(one, k) for k in range(u.ndim)), torch.zeros_like(one.reshape(-1)))

        log = torch.where(log > floor, log, -torch.inf)
        return Sums(log.reshape(-1), floor, average, cost)

    @property
    def spacing(self) -> float:
        """The smallest width of a cell."""
        return min(self.grid.spacing)

    @property
    def diameter(self) -> float:
        """Of the box."""
        return math.dist(*zip(*self.grid.bounds, strict=True))

    def steepness(self, phi: Tensor) -> Tensor:
        """Upwind differences: the steeper of the two slopes downhill along each axis."""
        phi = phi.reshape(self.grid.shape)
        square = torch.zeros_like(phi)
        for k, h in enumerate(self.grid.spacing):
            fall = torch.diff(phi, dim=k).nan_to_num(0, 0, 0) / h
            shape = list(phi.shape)
            shape[k] = 1
            edge = phi.new_zeros(shape)
            right, left = torch.cat([-fall, edge], k), torch.cat([edge, fall], k)
            square += torch.maximum(left, right).clamp(min=0).square()
        return square.sqrt().reshape(-1)

    @cached_property
    def staying(self) -> Tensor:
        """The same number for all cells away from the boundary."""
        rows = (K[len(K) // 2].sum() for K in self.factors)
        return 1 / torch.stack(list(rows)).prod()


def _along(factors: Sequence[Tensor], values: Tensor) -> Tensor:
    """Apply one matrix along each axis."""
    for k, K in enumerate(factors):
        values = (K @ values.movedim(k, -2)).movedim(-2, k) if values.ndim > 1 else K @ values
    return values


@dataclass(frozen=True)
class _Window:
    """Sums along one axis over ``2 radius + 1`` cells, of terms given by their logarithms."""

    axis: int
    radius: int
    h: float
    epsilon: float

    @property
    def width(self) -> int:
        return 2 * self.radius + 1

    def squares(self, like: Tensor) -> Tensor:
        """Squared distances in the window, (width,)."""
        steps = torch.arange(-self.radius, self.radius + 1, dtype=like.dtype, device=like.device)
        return (steps * self.h).square()

    def view(self, values: Tensor, outside: float) -> Tensor:
        """Values in the window of each cell, (..., n, width), the axis moved last."""
        lines = values.movedim(self.axis, -1)
        padded = torch.nn.functional.pad(lines, (self.radius, self.radius), value=outside)
        return padded.unfold(-1, self.width, 1)

    def logsumexp(self, u: Tensor) -> Tensor:
        view, taps = self.view(u, -torch.inf), -self.squares(u) / self.epsilon
        lines = view.reshape(-1, *view.shape[-2:]) if view.ndim == 2 else view.flatten(0, -3)
        rows = max(1, BLOCK // (lines.shape[-2] * self.width))
        parts = [(block + taps).logsumexp(-1) for block in lines.split(rows)]
        return torch.cat(parts).reshape(view.shape[:-1]).movedim(-1, self.axis)

    def weights(self, u: Tensor, log: Tensor) -> Tensor:
        """The terms over their sum, (..., n, width); zero where the sum is."""
        terms = self.view(u, -torch.inf) - self.squares(u) / self.epsilon
        log = log.movedim(self.axis, -1)[..., None]
        return (terms - log.masked_fill(log == -torch.inf, 0)).exp()

    def average(self, weights: Tensor, v: Tensor, squared: bool = False) -> Tensor:
        """``sum w v`` in the window, or ``sum w v |x - y|^2``."""
        terms = weights * self.view(v, 0.0)
        summed = terms @ self.squares(v) if squared else terms.sum(-1)
        return summed.movedim(-1, self.axis)
