"""Kernels ``k(x, y) = phi(|x - y|^2)``, positive definite on measures of total mass zero."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jko import checks


class Orders(NamedTuple):
    """phi, phi' and phi'' at some s."""

    value: Tensor
    slope: Tensor
    bend: Tensor


class RadialKernel(ABC):
    """``k(z) = phi(|z|^2)``; a subclass writes phi, and phi with two derivatives, as functions of s = |z|^2.

    Both are tensor in, tensors out.  Where k has a kink at 0 the derivatives are 0 there.

    Examples
    --------
    >>> import jko
    >>> from jko.targets import RadialKernel
    >>> class Cauchy(RadialKernel):  # 1 / (1 + |z|^2)
    ...     def phi(self, s):
    ...         return 1 / (1 + s)
    ...
    ...     def profile(self, s):
    ...         k = self.phi(s)
    ...         return k, -(k**2), 2 * k**3
    >>> float(jko.Discrepancy([[0.0]], Cauchy())(jko.Particles([[1.0]])))
    0.5
    """

    def __call__(self, z: Tensor) -> Tensor:
        """k at differences z (n, dim), shape (n,)."""
        return self.phi(z.square().sum(-1))

    @abstractmethod
    def phi(self, s: Tensor) -> Tensor:
        """phi(s), differentiable by torch, also at 0."""

    @abstractmethod
    def profile(self, s: Tensor) -> Orders | tuple[Tensor, Tensor, Tensor]:
        """phi, phi' and phi''."""


@dataclass(frozen=True)
class GaussianKernel(RadialKernel):
    """``exp(-|z|^2 / (2 bandwidth^2))``.

    Parameters
    ----------
    bandwidth
        In the units of the points.  Atoms further from all samples feel no slope.

    Examples
    --------
    >>> import torch
    >>> from jko.targets import GaussianKernel
    >>> round(float(GaussianKernel(1.0)(torch.tensor([[1.0, 1.0]]))), 6)
    0.367879
    """

    bandwidth: float

    def __post_init__(self) -> None:
        checks.number("bandwidth", self.bandwidth, least=1e-140, most=1e140)

    def phi(self, s: Tensor) -> Tensor:
        """``exp(-s / (2 bandwidth^2))``."""
        return (s * (-0.5 / self.bandwidth**2)).exp()

    def profile(self, s: Tensor) -> Orders:
        """phi, ``a phi``, ``a^2 phi`` with a = -1 / (2 bandwidth^2)."""
        a, k = -0.5 / self.bandwidth**2, self.phi(s)
        return Orders(k, a * k, a**2 * k)


@dataclass(frozen=True)
class NegativeDistance(RadialKernel):
    """``-|z|``: MMD^2 is the energy distance ``2 E|X - Y| - E|X - X'| - E|Y - Y'|``.

    It has no bandwidth, and every atom feels every sample.  It has a kink where an atom sits on a sample.

    Source: Szekely and Rizzo, J. Statist. Plann. Inference 143 (2013).

    Examples
    --------
    >>> import torch
    >>> from jko.targets import NegativeDistance
    >>> float(NegativeDistance()(torch.tensor([[3.0, 4.0]])))
    -5.0
    """

    def phi(self, s: Tensor) -> Tensor:
        """``-s^(1/2)``, with the slope 0 at 0."""
        return torch.where(s > 0, -torch.where(s > 0, s, 1.0).sqrt(), 0.0)

    def profile(self, s: Tensor) -> Orders:
        """``-r``, ``-1 / (2 r)``, ``1 / (4 r^3)`` with r = s^(1/2)."""
        r = s.sqrt()
        apart = torch.where(r > 1e-12 * r.amax(), r, torch.inf)
        return Orders(-r, -0.5 / apart, 0.25 / apart**3)


@dataclass(frozen=True)
class InverseMultiquadric(RadialKernel):
    """``(1 + |z|^2 / scale^2)^(-1/2)``: smooth, and with long tails, so that far atoms feel a slope too.

    Parameters
    ----------
    scale
        In the units of the points.

    Examples
    --------
    >>> import torch
    >>> from jko.targets import InverseMultiquadric
    >>> float(InverseMultiquadric(1.0)(torch.tensor([[0.0], [3.0**0.5]]))[0])
    1.0
    """

    scale: float

    def __post_init__(self) -> None:
        checks.number("scale", self.scale, least=1e-70, most=1e70)

    def phi(self, s: Tensor) -> Tensor:
        """``(1 + s / scale^2)^(-1/2)``."""
        return (1 + s / self.scale**2).rsqrt()

    def profile(self, s: Tensor) -> Orders:
        """phi, ``-phi^3 / (2 scale^2)``, ``3 phi^5 / (4 scale^4)``."""
        k, c = self.phi(s), self.scale**-2
        return Orders(k, -0.5 * c * k**3, 0.75 * c**2 * k**5)
