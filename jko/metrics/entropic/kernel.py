"""The Gibbs kernel ``exp(-|x - y|^2 / epsilon)`` between two sides, applied to functions given by their logarithms.

What entropic transport needs of it is ``log sum_j exp(u_j - |x_i - y_j|^2 / epsilon)`` for all i, and averages with
the weights of that sum.  The plain way takes one maximum out of the sum and multiplies by the kernel: right to rounding
wherever the sum is not below e^-660 of that maximum.  Where deeper sums matter, the sum is taken in logarithms, on
grids over a window, wide enough that what it leaves out is below a stated ``floor``.

The geometry (points, squared distances, neighbours) is one object, :class:`Costs`; it makes a :class:`Kernel` for each
epsilon, and what belongs to one epsilon goes with its kernel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

PLAIN = 660.0  # depth down to which the plain sum is right: e^-660 = 1e-287
TINY = 1e-300  # smaller factors count as zero: they would be denormal numbers


@dataclass(frozen=True, eq=False)
class Sums:
    """``log sum_j exp(u_j - c_ij / epsilon)`` and the averages with the weights of that sum.

    Attributes
    ----------
    log : (N,)
        The logarithms; -inf where the sum is below ``floor``.
    floor : float
        Where ``log`` is -inf, the logarithm is at most this.
    average
        Maps v (M,) to ``sum_j w_ij v_j``, (N,), where ``w_ij`` are the terms of the sum over the sum; 0 where log is
        -inf.  Between clouds also (M, k) to (N, k).
    cost
        Gives ``sum_j w_ij c_ij``, (N,).
    log_weights
        Gives log w_ij, (N, M); None where that is too large to be of use.
    """

    log: Tensor
    floor: float
    average: Callable[[Tensor], Tensor]
    cost: Callable[[], Tensor]
    log_weights: Callable[[], Tensor] | None = None


class Costs(ABC):
    """``c_ij = |x_i - y_j|^2`` between N and M points."""

    @property
    @abstractmethod
    def square(self) -> float:
        """Squared diagonal of the box around both sides."""

    @property
    @abstractmethod
    def transposed(self) -> Costs:
        """The same, read from the other side; itself where both sides are one."""

    @abstractmethod
    def kernel(self, epsilon: float) -> Kernel:
        """The kernel ``exp(-c_ij / epsilon)``."""

    @property
    @abstractmethod
    def spacing(self) -> float:
        """Distance of a point x_i to the next one (on clouds: the median)."""

    @abstractmethod
    def steepness(self, phi: Tensor) -> Tensor:
        """Slope of phi downhill, towards neighbours among the x, (N,); infinite values are no neighbours."""

    def thinned(self, rows: Tensor | None, columns: Tensor | None) -> Costs | None:
        """Some points of either side (indices; None: all); None on a grid, which has no use for it."""
        return None


class Kernel(ABC):
    """``exp(-c_ij / epsilon)``."""

    epsilon: float

    @property
    @abstractmethod
    def transposed(self) -> Kernel:
        """The same, read from the other side."""

    @abstractmethod
    def sums(self, u: Tensor, depth: float) -> Sums:
        """The sums for u (M,), entries may be -inf; right where they are within ``depth`` of the largest."""

    @property
    @abstractmethod
    def staying(self) -> Tensor:
        """Weight of the diagonal in each row: near 1 says that it is diagonal; 0-d or (N,), zero between two sides."""


def plain_sums(
    u: Tensor,
    apply: Callable[[Tensor], Tensor],
    apply_costs: Callable[[Tensor], Tensor],
    log_weights: Callable[[], Tensor] | None = None,
) -> Sums:
    """The sums by products: ``apply`` is the kernel, ``apply_costs`` the kernel times the costs, on v (M,)."""
    top = float(u.max())
    weight = (u - top).exp()
    weight = weight.masked_fill(weight < TINY, 0)
    total = apply(weight)
    seen = total > math.exp(-PLAIN)
    inverse = torch.where(seen, 1 / total, 0)
    return Sums(
        torch.where(seen, total.log() + top, -torch.inf),
        top - PLAIN,
        lambda v: times(inverse, apply(times(weight, v))),
        lambda: apply_costs(weight) * inverse,
        log_weights,
    )


def times(factor: Tensor, v: Tensor) -> Tensor:
    """``factor_i v_i`` for v (n,) or (n, k)."""
    return factor * v if v.ndim == 1 else factor[:, None] * v


def deep_sums(
    kernel: Kernel, u: Tensor, where: Tensor | None = None, depth: float = PLAIN
) -> tuple[Sums, float]:
    """The sums, as deep as it takes to see them at all points (of the mask ``where``, (N,)); and that depth."""
    while True:
        sums = kernel.sums(u, depth)
        seen = sums.log > -torch.inf
        seen = seen if where is None else seen | ~where
        if sums.floor == -math.inf or bool(seen.all()):
            return sums, depth
        depth *= 2
