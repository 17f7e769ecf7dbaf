"""The kernel between two grids: a product of one matrix for each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.metrics.entropic.kernel import PLAIN, TINY, Costs, Kernel, Sums, plain_sums
from jko.spaces import FacesAcross

ROUNDING = 37.0  # e^-37 = 1e-16: what may be left out of a sum
BLOCK = 2**21  # numbers at a time
KEEP = 2**24  # numbers kept: 128 MiB


@dataclass(frozen=True, eq=False)
class GridCosts(Costs):
    """Costs between the centres of two grids, given by their axes; functions on a grid are flat, (N,).

    ``periods`` are those of the axes, inf where there are walls; (): everywhere.  What comes round goes the shortest
    way.
    """

    x: tuple[Tensor, ...]
    y: tuple[Tensor, ...]
    periods: tuple[float, ...] = ()

    def kernel(self, epsilon: float) -> GridKernel:
        """Applied axis by axis."""
        return GridKernel(self, epsilon)

    @cached_property
    def transposed(self) -> GridCosts:
        """From the other side."""
        return self if self.x is self.y else GridCosts(self.y, self.x, self.periods)

    @property
    def turns(self) -> tuple[float, ...]:
        """The period of each axis."""
        return self.periods or (math.inf,) * len(self.x)

    @cached_property
    def squares(self) -> tuple[Tensor, ...]:
        """Squared distances along each axis, (n, m)."""
        sides = zip(self.x, self.y, self.turns, strict=True)
        return tuple(_squares(p[:, None] - q[None, :], period) for p, q, period in sides)

    @property
    def square(self) -> float:
        """Of the box around all centres."""
        return sum(float(c.max()) for c in map(_spread, self.x, self.y))

    @cached_property
    def spacings(self) -> tuple[float, ...]:
        """Widths of the cells; infinite along an axis with one."""
        return tuple(float(p[1] - p[0]) if len(p) > 1 else math.inf for p in self.x)

    @property
    def spacing(self) -> float:
        """The smallest width of a cell."""
        return min(self.spacings)

    def steepness(self, phi: Tensor) -> Tensor:
        """Upwind differences: the steeper of the two slopes downhill along each axis."""
        phi = phi.reshape([len(p) for p in self.x])
        square = torch.zeros_like(phi)
        for k, h in enumerate(self.spacings):
            face = FacesAcross(k - phi.ndim, math.isfinite(self.turns[k]), h)
            fall = face.diff(phi).nan_to_num(0, 0, 0) / h
            right, left = face.upper(-fall), face.lower(fall)
            square += torch.maximum(left, right).clamp(min=0).square()
        return square.sqrt().reshape(-1)


@dataclass(frozen=True, eq=False)
class GridKernel(Kernel):
    """On a grid the kernel is a product, applied axis by axis."""

    costs: GridCosts
    epsilon: float

    @cached_property
    def transposed(self) -> GridKernel:
        """From the other side."""
        costs = self.costs.transposed
        return self if costs is self.costs else costs.kernel(self.epsilon)

    @cached_property
    def factors(self) -> tuple[Tensor, ...]:
        """The kernel along each axis, (n, m)."""
        full = ((-c / self.epsilon).exp() for c in self.costs.squares)
        return tuple(K.masked_fill(TINY > K, 0) for K in full)

    @cached_property
    def staying(self) -> Tensor:
        """The same number for all cells away from the boundary."""
        if self.costs.x is not self.costs.y:
            return torch.zeros_like(self.costs.x[0][0])
        rows = (K[len(K) // 2].sum() for K in self.factors)
        return 1 / torch.stack(list(rows)).prod()

    def sums(self, u: Tensor, depth: float) -> Sums:
        """Plain where that is deep enough, otherwise in logarithms over a window."""
        if depth <= PLAIN:
            return plain_sums(u, self._along, self._costs_along)
        return self._windowed(u.reshape([len(q) for q in self.costs.y]), depth)

    def _along(self, v: Tensor, factors: Sequence[Tensor] | None = None) -> Tensor:
        """One matrix along each axis, of the kernel unless others are given, applied to v (M,); shape (N,)."""
        v = v.reshape([len(q) for q in self.costs.y])
        for k, K in enumerate(self.factors if factors is None else factors):
            v = (K @ v.movedim(k, -2)).movedim(-2, k) if v.ndim > 1 else K @ v
        return v.reshape(-1)

    def _costs_along(self, v: Tensor) -> Tensor:
        """The same for the kernel times the costs, which are a sum over axes."""
        K = self.factors
        parts = [
            self._along(v, (*K[:k], K[k] * c, *K[k + 1 :]))
            for k, c in enumerate(self.costs.squares)
        ]
        return torch.stack(parts).sum(0)

    def _windowed(self, u: Tensor, depth: float) -> Sums:
        reach = math.sqrt(self.epsilon * (depth + ROUNDING + math.log(u.numel())))
        sides = zip(self.costs.x, self.costs.y, self.costs.turns, strict=True)
        axes = [
            _Window.of(k, x, y, period, reach, self.epsilon)
            for k, (x, y, period) in enumerate(sides)
        ]
        floor = -math.inf if all(w.whole for w in axes) else float(u.max()) - depth
        stages, log = [], u
        for window in axes:
            stages.append((window, log, after := window.logsumexp(log)))
            log = after
        kept = [w.weights(a, b) for w, a, b in stages if b.numel() * w.width <= KEEP]
        kept = kept if len(kept) == len(stages) else []

        def average(v: Tensor, squared: int | None = None) -> Tensor:
            v = v.reshape(u.shape)
            for k, (window, a, b) in enumerate(stages):
                weight = kept[k] if kept else window.weights(a, b)
                v = window.average(weight, v, squared == k)
            return v.reshape(-1)

        def cost() -> Tensor:
            one = torch.ones_like(u)
            return torch.stack([average(one, k) for k in range(u.ndim)]).sum(0)

        log = torch.where(log > floor, log, -torch.inf)
        return Sums(log.reshape(-1), floor, average, cost)


def _squares(z: Tensor, period: float) -> Tensor:
    """Squares of differences, of the shortest ones where there is a period."""
    return (z - period * (z / period).round() if math.isfinite(period) else z).square()


def _spread(x: Tensor, y: Tensor) -> Tensor:
    return (torch.maximum(x.max(), y.max()) - torch.minimum(x.min(), y.min())).square()


@dataclass(frozen=True, eq=False)
class _Window:
    """Sums along one axis over ``width`` cells near each x_i, of terms given by their logarithms.

    ``index`` (n, width) says which, ``squares`` (n, width) how far; all windows end inside the grid.
    """

    axis: int
    index: Tensor
    squares: Tensor
    epsilon: float
    whole: bool

    @classmethod
    def of(
        cls, axis: int, x: Tensor, y: Tensor, period: float, reach: float, epsilon: float
    ) -> _Window:
        """All y_j within ``reach`` of x_i, and as many more as the longest window has; all where it comes round."""
        if math.isfinite(period):
            index = torch.arange(len(y), device=y.device).expand(len(x), -1)
            return cls(axis, index, _squares(x[:, None] - y, period), epsilon, True)
        first = torch.searchsorted(y, x - reach)
        width = max(1, int((torch.searchsorted(y, x + reach, right=True) - first).max()))
        first = first.clamp(max=len(y) - width)
        index = first[:, None] + torch.arange(width, device=y.device)
        return cls(axis, index, (x[:, None] - y[index]).square(), epsilon, width == len(y))

    @property
    def width(self) -> int:
        return self.index.shape[1]

    def view(self, lines: Tensor) -> Tensor:
        """Values in the window of each x_i, (..., n, width), from lines (..., m)."""
        return lines[..., None, :] if self.whole else lines[..., self.index]

    def logsumexp(self, u: Tensor) -> Tensor:
        lines, taps = u.movedim(self.axis, -1), -self.squares / self.epsilon
        flat, rows = lines.reshape(-1, lines.shape[-1]), max(1, BLOCK // taps.numel())
        if self.whole and float(taps.min()) > -PLAIN:  # no term is too deep: a product is right
            top = flat.amax(-1, keepdim=True).clamp(min=torch.finfo(u.dtype).min)
            found = ((flat - top).exp() @ taps.exp().T).log() + top
        else:
            parts = [(self.view(block) + taps).logsumexp(-1) for block in flat.split(rows)]
            found = torch.cat(parts)
        return found.reshape(*lines.shape[:-1], len(taps)).movedim(-1, self.axis)

    def weights(self, u: Tensor, log: Tensor) -> Tensor:
        """The terms over their sum, (..., n, width); zero where the sum is."""
        terms = self.view(u.movedim(self.axis, -1)) - self.squares / self.epsilon
        log = log.movedim(self.axis, -1)[..., None]
        return (terms - log.masked_fill(log == -torch.inf, 0)).exp()

    def average(self, weights: Tensor, v: Tensor, squared: bool = False) -> Tensor:
        """``sum w v`` in the window, or ``sum w v |x - y|^2``."""
        terms = weights * self.view(v.movedim(self.axis, -1))
        summed = (terms * self.squares).sum(-1) if squared else terms.sum(-1)
        return summed.movedim(-1, self.axis)
