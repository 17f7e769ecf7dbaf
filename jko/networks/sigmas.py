"""Elementwise activations that are written out: values, slopes and curvatures, each computed into given memory.

:data:`SIGMAS` is all there is to know of an activation, once.  They hold for tensors of which torch records nothing,
and go by what a function *is*, since a callable need not have a hash.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.numerics.scratch import scratch

Into = Callable[[Tensor, Tensor], Tensor]  # (s, out) -> the result, which may stand in ``out``


@dataclass(frozen=True)
class Sigma:
    """``sigma(t) = outer u(inner t) + shift`` with a function u and its derivatives.

    Parameters
    ----------
    value
        ``value(s, out)`` gives u(s), written to ``out``.
    slope, curvature
        The same of ``u'`` and ``u''``: functions of s, or of the value u(s) where ``of_value``; then the memory of s
        may be ``out`` for u, and the memory of u for its slope.
    inner, outer, shift
        The numbers of the formula.  They go into small matrices and into sums, never over all features.
    """

    value: Into
    slope: Into
    curvature: Into
    of_value: bool = False
    inner: float = 1.0
    outer: float = 1.0
    shift: float = 0.0

    def derivatives(self, t: Tensor) -> tuple[Tensor, Callable[[], Tensor], Callable[[], Tensor]]:
        """``sigma(t)`` in memory of its own, and functions that give ``sigma'(t)`` and ``sigma''(t)`` when asked."""
        s = t.detach() * self.inner
        u = self.value(s, torch.empty_like(s))
        known, chain = u if self.of_value else s, self.outer * self.inner
        return (
            u * self.outer + self.shift,
            lambda: self.slope(known, torch.empty_like(s)) * chain,
            lambda: self.curvature(known, torch.empty_like(s)) * (chain * self.inner),
        )


def _logistic_slope(u: Tensor, out: Tensor) -> Tensor:
    """``u - u^2``, as exact as u is: off by eps, also where u is nearly 1."""
    return torch.addcmul(u, u, u, value=-1, out=out)


def _logistic_curvature(u: Tensor, out: Tensor) -> Tensor:
    """``(u - u^2)(1 - 2 u)``."""
    return torch.mul(u - u * u, 1 - 2 * u, out=out)


def _softplus_slope(s: Tensor, out: Tensor) -> Tensor:
    """The logistic function; 1 above 20, where torch's softplus is the identity."""
    return torch.sigmoid(s.masked_fill(s > 20, math.inf), out=out)


def _softplus_curvature(s: Tensor, out: Tensor) -> Tensor:
    """``u' - u'^2``."""
    return _logistic_slope(_softplus_slope(s, out), out)


def _bell_slope(s: Tensor, out: Tensor) -> Tensor:
    """``1 + erf s + 2 s exp(-s^2) / sqrt(pi)``."""
    with scratch(s, *s.shape) as bell:
        torch.mul(s, s, out=bell).neg_().exp_().mul_(s)
        return torch.erf(s, out=out).add_(1).add_(bell, alpha=2 / math.sqrt(math.pi))


def _bell_value(s: Tensor, out: Tensor) -> Tensor:
    """``s (1 + erf s)``."""
    return torch.addcmul(s, s, torch.erf(s, out=out), out=out)


def _bell_curvature(s: Tensor, out: Tensor) -> Tensor:
    """``4 exp(-s^2) (1 - s^2) / sqrt(pi)``."""
    square = s * s
    return torch.mul((1 - square) * (4 / math.sqrt(math.pi)), (-square).exp(), out=out)


LOGISTIC = Sigma(
    value=lambda s, out: torch.sigmoid(s, out=out),
    slope=_logistic_slope,
    curvature=_logistic_curvature,
    of_value=True,
)
RELU = Sigma(
    value=lambda s, out: torch.clamp_min(s, 0, out=out),
    slope=lambda u, out: torch.sign(u, out=out),
    curvature=lambda u, out: out.zero_(),
    of_value=True,
)
SINE = Sigma(
    value=lambda s, out: torch.sin(s, out=out),
    slope=lambda s, out: torch.cos(s, out=out),
    curvature=lambda s, out: torch.sin(s, out=out).neg_(),
)
SOFTPLUS = Sigma(
    value=lambda s, out: torch.ops.aten.softplus.out(s, 1, 20, out=out),
    slope=_softplus_slope,
    curvature=_softplus_curvature,
)
BELL = Sigma(value=_bell_value, slope=_bell_slope, curvature=_bell_curvature)
EXPONENTIAL = Sigma(
    value=lambda s, out: torch.exp(s, out=out),
    slope=lambda u, out: u,
    curvature=lambda u, out: u,
    of_value=True,
)

#: the activations that are written out: ``tanh t = 2 sigmoid(2 t) - 1``, ``gelu t = t (1 + erf(t / sqrt 2)) / 2``
SIGMAS = {
    id(torch.tanh): replace(LOGISTIC, inner=2.0, outer=2.0, shift=-1.0),
    id(torch.sigmoid): LOGISTIC,
    id(torch.relu): RELU,
    id(torch.sin): SINE,
    id(torch.nn.functional.softplus): SOFTPLUS,
    id(torch.nn.functional.gelu): replace(BELL, inner=math.sqrt(0.5), outer=math.sqrt(0.5)),
}
