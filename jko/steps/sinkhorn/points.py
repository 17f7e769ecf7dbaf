"""The kernel on points: a matrix, kept where it is small, made again in blocks of rows where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.steps.sinkhorn.kernels import PLAIN, TINY, Kernel, Sums

BLOCK = 2**21  # numbers at a time
KEEP = 2**24  # numbers kept: 128 MiB
DENSE = 1500  # points up to which a Newton equation is solved by elimination


@dataclass(frozen=True, eq=False)
class PointKernel(Kernel):
    """On points the kernel is a matrix: kept where that is small, made again in blocks of rows where it is not."""

    points: Tensor
    epsilon: float

    def with_epsilon(self, epsilon: float) -> PointKernel:
        """The kernel on the same points."""
        other = PointKernel(self.points, epsilon)
        other.__dict__.update(
            {k: v for k, v in self.__dict__.items() if k in ("squares", "nearest")}
        )
        return other

    @property
    def small(self) -> bool:
        """Whether the matrix is kept."""
        return len(self.points) ** 2 <= KEEP

    @cached_property
    def squares(self) -> Tensor:
        """|x_i - x_j|^2, (N, N)."""
        return torch.cat([_squares(x, self.points) for x in self._split()])

    @cached_property
    def factor(self) -> Tensor:
        """The kernel, (N, N)."""
        K = (-self.squares / self.epsilon).exp()
        return K.masked_fill(TINY > K, 0)

    def _split(self) -> tuple[Tensor, ...]:
        rows = max(1, BLOCK // self.points.numel())
        return self.points.split(rows)

    def blocks(self) -> Iterator[Tensor]:
        """|x_i - x_j|^2 for some rows i at a time."""
        if self.small:
            yield from self.squares.split(max(1, BLOCK // len(self.points)))
        else:
            yield from (_squares(x, self.points) for x in self._split())

    def sums(self, u: Tensor, depth: float) -> Sums:
        """Plain where the matrix is kept and that is deep enough, otherwise in logarithms over all points."""
        return self._plain(u) if self.small and depth <= PLAIN else self._exact(u)

    def _plain(self, u: Tensor) -> Sums:
        top = float(u.max())
        weight = (u - top).exp()
        weight = weight.masked_fill(weight < TINY, 0)
        total = self.factor @ weight
        seen = total > math.exp(-PLAIN)
        inverse = torch.where(seen, 1 / total, 0)
        return Sums(
            torch.where(seen, total.log() + top, -torch.inf),
            top - PLAIN,
            lambda v: (self.factor @ (weight * v)) * inverse,
            lambda: ((self.factor * self.squares) @ weight) * inverse,
            self._log_weights(u),
        )

    def _exact(self, u: Tensor) -> Sums:
        def terms() -> Iterator[tuple[Tensor, Tensor]]:
            for c in self.blocks():
                yield c, u - c / self.epsilon

        log = torch.cat([t.logsumexp(-1) for _, t in terms()])

        def weighted(pair: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
            return torch.cat([pair(t.softmax(-1), c) for c, t in terms()])

        return Sums(
            log,
            -math.inf,
            lambda v: weighted(lambda w, c: w @ v),
            lambda: weighted(lambda w, c: (w * c).sum(-1)),
            self._log_weights(u),
        )

    def _log_weights(self, u: Tensor) -> Callable[[], Tensor] | None:
        if len(u) > DENSE:
            return None
        return lambda: (u - self.squares / self.epsilon).log_softmax(-1)

    @cached_property
    def nearest(self) -> tuple[Tensor, Tensor]:
        """Distances to, and indices of, the nearest 2 dim other points, (N, k) each."""
        k = min(2 * self.points.shape[1] + 1, len(self.points))
        found = [c.topk(k, largest=False) for c in self.blocks()]
        return (
            torch.cat([f.values for f in found])[:, 1:].sqrt(),
            torch.cat([f.indices for f in found])[:, 1:],
        )

    @property
    def spacing(self) -> float:
        """Median distance to the nearest point at another place; of those that have one among the nearest."""
        distance = self.nearest[0]
        apart = (
            distance.masked_fill(distance == 0, math.inf).amin(1, keepdim=True)
            if distance.numel()
            else distance
        )
        apart = apart[apart < math.inf]
        return float(apart.median()) if apart.numel() else math.inf

    @property
    def diameter(self) -> float:
        """Of the bounding box."""
        return float((self.points.amax(0) - self.points.amin(0)).norm())

    def steepness(self, phi: Tensor) -> Tensor:
        """The steepest fall towards one of the nearest points."""
        distance, index = self.nearest
        if not distance.numel():
            return torch.zeros_like(phi)
        fall = (phi[:, None] - phi[index]) / distance.clamp(min=TINY)
        return fall.nan_to_num(0, 0, 0).amax(1).clamp(min=0)

    @cached_property
    def staying(self) -> Tensor:
        """Of each point."""
        return torch.cat([1 / (-c / self.epsilon).exp().sum(-1) for c in self.blocks()])


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances from differences of coordinates, (n, N)."""
    total = x.new_zeros(len(x), len(y))
    for k in range(x.shape[1]):
        total += (x[:, k, None] - y[None, :, k]).square_()
    return total
