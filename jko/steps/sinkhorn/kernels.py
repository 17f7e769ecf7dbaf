"""The Gibbs kernel ``exp(-|x - y|^2 / epsilon)`` applied to functions given by their logarithms.

What the scaling iterations need of it is ``log sum_j exp(u_j - |x_i - x_j|^2 / epsilon)`` for all i, and averages with
the weights of that sum.  The plain way takes one maximum out of the sum and multiplies by the kernel: right to rounding
wherever the sum is not below e^-660 of that maximum.  Where deeper sums matter, the sum is taken in logarithms over a
window, wide enough that what it leaves out is below a stated ``floor``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

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
        Maps v (N,) to ``sum_j w_ij v_j``, where ``w_ij`` are the terms of the sum over the sum; 0 where log = -inf.
    cost
        Gives ``sum_j w_ij c_ij``, (N,).
    log_weights
        Gives log w_ij, (N, N); None where that is too large to be of use.
    """

    log: Tensor
    floor: float
    average: Callable[[Tensor], Tensor]
    cost: Callable[[], Tensor]
    log_weights: Callable[[], Tensor] | None = None


class Kernel(ABC):
    """The kernel on N points, with the cost ``c_ij = |x_i - x_j|^2``."""

    epsilon: float

    @abstractmethod
    def sums(self, u: Tensor, depth: float) -> Sums:
        """The sums for u (N,), entries may be -inf; right where they are within ``depth`` of the largest."""

    @abstractmethod
    def with_epsilon(self, epsilon: float) -> Kernel:
        """The kernel on the same points."""

    @property
    @abstractmethod
    def spacing(self) -> float:
        """Distance of a point to the next one (on points: the median)."""

    @property
    @abstractmethod
    def diameter(self) -> float:
        """Of the points' bounding box."""

    @abstractmethod
    def steepness(self, phi: Tensor) -> Tensor:
        """Slope of phi downhill, towards neighbours on the support, (N,); infinite values are no neighbours."""

    @cached_property
    @abstractmethod
    def staying(self) -> Tensor:
        """Weight of the diagonal in each row of the kernel: near 1 says that it is diagonal; 0-d or (N,)."""


def deep_sums(kernel: Kernel, u: Tensor, where: Tensor, depth: float = PLAIN) -> tuple[Sums, float]:
    """The sums, as deep as it takes to see them at all points of the mask ``where`` (N,); and that depth."""
    while True:
        sums = kernel.sums(u, depth)
        if sums.floor == -math.inf or bool((sums.log[where] > -torch.inf).all()):
            return sums, depth
        depth *= 2
