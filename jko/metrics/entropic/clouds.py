"""The kernel between clouds: a matrix, kept where it is small, made again in blocks of rows where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from jko.metrics.entropic.kernel import PLAIN, TINY, Costs, Kernel, Sums, plain_sums, times

BLOCK = 2**18  # pairs at a time: what fits in the cache
KEEP = 2**22  # pairs up to which a matrix is kept: 32 MiB
DENSE = 500  # points up to which a Newton equation is solved by elimination


@dataclass(frozen=True, eq=False)
class CloudCosts(Costs):
    """Squared distances between the points x (N, dim) and y (M, dim), from differences of coordinates.

    Up to ``keep`` pairs the matrix of them, and that of the kernel, are kept.
    """

    x: Tensor
    y: Tensor
    keep: int

    def kernel(self, epsilon: float) -> CloudKernel:
        """A matrix (N, M)."""
        return CloudKernel(self, epsilon)

    @cached_property
    def transposed(self) -> CloudCosts:
        """From the other side."""
        return self if self.x is self.y else CloudCosts(self.y, self.x, self.keep)

    @property
    def small(self) -> bool:
        """Whether the matrix is kept."""
        return len(self.x) * len(self.y) <= self.keep

    @cached_property
    def squares(self) -> Tensor:
        """|x_i - y_j|^2, (N, M)."""
        return torch.cat([_squares(x, self.y) for x in self.x.split(self._rows)])

    @property
    def _rows(self) -> int:
        return max(1, BLOCK // len(self.y))

    def blocks(self) -> Iterator[Tensor]:
        """|x_i - y_j|^2 for some rows i at a time; the block before is no more.

        They have one memory: small results kept between large temporaries would tear the heap.
        """
        if self.small:
            yield from self.squares.split(self._rows)
            return
        room = self.x.new_empty(self._rows, len(self.y))
        yield from (_squares(x, self.y, room[: len(x)]) for x in self.x.split(self._rows))

    def thinned(self, rows: Tensor | None, columns: Tensor | None) -> CloudCosts:
        """Some points of either side."""
        x = self.x if rows is None else self.x[rows]
        return CloudCosts(x, self.y if columns is None else self.y[columns], self.keep)

    @cached_property
    def square(self) -> float:
        """Of the bounding box."""
        both = self.x if self.x is self.y else torch.cat([self.x, self.y])
        return float((both.amax(0) - both.amin(0)).square().sum())

    @cached_property
    def nearest(self) -> tuple[Tensor, Tensor]:
        """Distances to, and indices of, the nearest 2 dim other points, (N, k) each; x = y."""
        N, k, start = len(self.x), min(2 * self.x.shape[1] + 1, len(self.x)), 0
        square = self.x.new_empty(N, k)
        index = torch.empty(N, k, dtype=torch.long, device=self.x.device)
        for c in self.blocks():
            rows = slice(start, start := start + len(c))
            torch.topk(c, k, largest=False, out=(square[rows], index[rows]))
        return square[:, 1:].sqrt(), index[:, 1:]

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

    def steepness(self, phi: Tensor) -> Tensor:
        """The steepest fall towards one of the nearest points."""
        distance, index = self.nearest
        if not distance.numel():
            return torch.zeros_like(phi)
        fall = (phi[:, None] - phi[index]) / distance.clamp(min=TINY)
        return fall.nan_to_num(0, 0, 0).amax(1).clamp(min=0)


@dataclass(frozen=True, eq=False)
class CloudKernel(Kernel):
    """Between clouds the kernel is a matrix."""

    costs: CloudCosts
    epsilon: float
    mirror: CloudKernel | None = None

    @cached_property
    def transposed(self) -> CloudKernel:
        """From the other side, with the same matrix."""
        costs = self.costs.transposed
        return self if costs is self.costs else CloudKernel(costs, self.epsilon, self)

    @cached_property
    def factor(self) -> Tensor:
        """The kernel, (N, M)."""
        if self.mirror is not None:
            return self.mirror.factor.T
        K = (-self.costs.squares / self.epsilon).exp()
        return K.masked_fill(TINY > K, 0)

    @cached_property
    def staying(self) -> Tensor:
        """Of each point."""
        if self.costs.x is not self.costs.y:
            return self.costs.x.new_zeros(())
        room, found = None, []
        for c in self.costs.blocks():
            room = torch.empty_like(c) if room is None else room
            found.append(1 / torch.div(c, -self.epsilon, out=room[: len(c)]).exp_().sum(-1))
        return torch.cat(found)

    def sums(self, u: Tensor, depth: float) -> Sums:
        """Plain where the matrix is kept and that is deep enough, otherwise in logarithms over all points."""
        if not self.costs.small or depth > PLAIN:
            return self._exact(u)
        K, costs = self.factor, self.costs
        return plain_sums(
            u, lambda v: K @ v, lambda v: (K * costs.squares) @ v, self._log_weights(u)
        )

    def _exact(self, u: Tensor) -> Sums:
        def terms() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            """Costs, terms over the largest of their row, that one's logarithm, the sums of these terms."""
            room = None  # one for all blocks: new memory is slow
            for c in self.costs.blocks():
                room = torch.empty_like(c) if room is None else room
                term = torch.sub(u, c, alpha=1 / self.epsilon, out=room[: len(c)])
                top = term.amax(-1, keepdim=True)
                yield c, term.sub_(top).exp_(), top[:, 0], term.sum(-1)

        def weighted(pair: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
            return torch.cat([times(1 / total, pair(t, c)) for c, t, _, total in terms()])

        @cache
        def weights() -> Tensor:
            return weighted(lambda w, c: w)

        def average(v: Tensor) -> Tensor:
            return weights() @ v if self.costs.small else weighted(lambda w, c: w @ v)

        return Sums(
            torch.cat([total.log() + top for _, _, top, total in terms()]),
            -math.inf,
            average,
            lambda: weighted(torch.linalg.vecdot),
            self._log_weights(u),
        )

    def _log_weights(self, u: Tensor) -> Callable[[], Tensor] | None:
        if max(len(self.costs.x), len(self.costs.y)) > DENSE:
            return None
        return lambda: (u - self.costs.squares / self.epsilon).log_softmax(-1)


def _squares(x: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """Squared distances from differences of coordinates, (n, M)."""
    total = x.new_zeros(len(x), len(y)) if out is None else out.zero_()
    for k in range(x.shape[1]):
        total += (x[:, k, None] - y[None, :, k]).square_()
    return total
