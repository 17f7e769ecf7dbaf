"""Scaling iterations in logarithms for entropic transport, on whatever has a kernel.

``OT(a, b) = max over f, g of <a, f> + <b, g> - epsilon <a x b, exp((f + g - c) / epsilon) - 1>``, one potential at a
time: ``f_i = -epsilon log sum_j b_j exp((g_j - c_ij) / epsilon)``, with epsilon lowered on the way.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

ITERATIONS = 2000
HALVING = 0.5  # of epsilon, on the way down from the squared diameter
PASSES = 3  # at each epsilon on the way
FIRST = 50  # iterations at the last epsilon, before a kernel may finish in its own way


class Kernel(Protocol):
    """The kernel ``exp(-|x_i - y_j|^2 / epsilon)`` between two sides, in logarithms."""

    @property
    def square(self) -> float:
        """Squared diameter of a box that holds both sides."""

    def rows(self, u: Tensor, epsilon: float) -> Tensor:
        """``log sum_j exp(u_j - |x_i - y_j|^2 / epsilon)`` for all i."""

    def columns(self, u: Tensor, epsilon: float) -> Tensor:
        """``log sum_i exp(u_i - |x_i - y_j|^2 / epsilon)`` for all j."""

    def start(self, a: Tensor, b: Tensor, epsilon: float) -> tuple[Tensor, Tensor] | None:
        """Potentials to start from at the last epsilon, if there is a cheaper way to them than all of the sides."""

    def finish(self, problem: Entropic, tol: float) -> bool:
        """A faster way from there to the potentials, where there is one; whether it met ``tol``."""


class Entropic:
    """``OT(a, b)`` between masses a and b; a side with itself (``same``) keeps f = g and converges faster."""

    def __init__(self, kernel: Kernel, a: Tensor, b: Tensor, epsilon: float, same: bool) -> None:
        self.kernel, self.epsilon, self.same = kernel, epsilon, same
        self.a, self.b = a.detach(), b.detach()
        self.f, self.g = torch.zeros_like(self.a), torch.zeros_like(self.b)
        self.iterations, self.residual, self.met = 0, math.inf, False

    @property
    def error(self) -> float:
        """How wrong OT can be for the residual: potentials are no further apart than the costs, up to constants."""
        return 2 * (self.kernel.square + self.epsilon) * self.residual

    @torch.no_grad()
    def solve(self, tol: float) -> Entropic:
        """The potentials f and g; ``met`` says whether the marginals are, within ``tol`` in L1."""
        start = self.kernel.start(self.a, self.b, self.epsilon)
        if start is None:
            self.descend()
        else:
            self.f, self.g = start
        self.met = (
            self.iterate(self.epsilon, FIRST, tol)
            or self.kernel.finish(self, tol)
            or self.iterate(self.epsilon, ITERATIONS - FIRST, tol)
        )
        return self

    def descend(self) -> None:
        """A few iterations at each epsilon on the way from the squared diameter down."""
        epsilon = self.kernel.square
        while epsilon > self.epsilon:
            self.iterate(epsilon, PASSES)
            epsilon *= HALVING

    def iterate(self, epsilon: float, iterations: int, tol: float = -1.0) -> bool:
        """Scaling iterations at one epsilon until the marginals are met within ``tol``; whether they were."""
        log_a, log_b = self.a.log(), self.b.log()
        for _ in range(iterations):
            self.iterations += 1
            new = -epsilon * self.kernel.rows(log_b + self.g / epsilon, epsilon)
            self.residual = float((self.a * torch.expm1((self.f - new) / epsilon)).abs().sum())
            if self.residual <= tol:
                return True
            if self.same:
                self.f = self.g = 0.5 * (self.f + new)
                continue
            self.f = new
            self.g = -epsilon * self.kernel.columns(log_a + new / epsilon, epsilon)
        return False
