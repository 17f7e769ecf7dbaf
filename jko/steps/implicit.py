"""The minimiser of a step as a differentiable function, by the implicit function theorem.

It is the fixed point ``T = P(z)`` of

``z = y - tau grad dE/dmu(T)``,

with y the atoms of mu_k and P the projection onto the domain.  A change dz of the right side, T held, moves it by
``(I + tau P' A)^{-1} P' dz``, with A the Hessian of the energy in L2(mu).  So z is recorded by torch, with all that the
energy reads, and one linear system is solved in each pass backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jko.numerics.krylov import gmres
from jko.steps.newton import WOODBURY, NewtonSystem, projection_slope, stretched
from jko.steps.problem import StepProblem

LARGEST = 0.1  # times eps^-1/2: how much longer than the right side a solution may be


def minimiser(problem: StepProblem, T: Tensor, z: Tensor) -> Tensor:
    """The atoms T (N, dim) of the minimiser, in the record of the right side z, which is made with T held."""
    return _Minimiser.apply(z, T, Linearised(problem, T))


class _Minimiser(torch.autograd.Function):
    """z -> T."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, T: Tensor, system: Linearised) -> Tensor:
        ctx.system = system
        return T.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return ctx.system.adjoint(g), None, None


@dataclass(frozen=True, eq=False)
class Linearised:
    """``(I + tau P' A)^{-1} P'`` around the minimiser T of a step, in coordinates in which the metric is W2."""

    problem: StepProblem
    T: Tensor

    @cached_property
    def root(self) -> Tensor:
        """Of the metric's factors."""
        scales = self.problem.scales
        return self.T.new_ones(self.T.shape[1]) if scales is None else scales.sqrt()

    @cached_property
    def systems(self) -> tuple[NewtonSystem, NewtonSystem]:
        """The system, and that of Newton's method, near it and positive."""
        problem, mu = self.problem, self.problem.base.moved(self.T)
        gradient = problem.energy.gradient(mu)
        z = problem.base.points - problem.tau * problem.raised(gradient)
        curvature = stretched(problem.energy.second_order(mu), self.root)
        parts = mu, problem.tau, curvature, projection_slope(mu.domain, z)
        return TrueSystem(*parts), NewtonSystem(*parts)

    def adjoint(self, g: Tensor) -> Tensor:
        """From the derivative of a loss in T, (N, dim), that in z: A and P' are symmetric in L2(mu)."""
        m, root, (system, _) = self.problem.base.weights[:, None], self.root, self.systems
        right = g / (m * root)
        if system.slope is not None:
            right = (system.slope @ right[:, :, None])[:, :, 0]
        return m * root * self._solved(right)

    def _solved(self, right: Tensor) -> Tensor:
        """The solution: Newton's where it is one, else by GMRES, which begins with it."""
        system, newton = self.systems
        inner, eps = system.mu.products, torch.finfo(right.dtype).eps
        size = float(inner(right[None], right[None])) ** 0.5
        if size == 0:
            return right

        def product(v: Tensor) -> Tensor:
            return system.apply(v[:, :, None])[:, :, 0]

        def short(v: Tensor, by: float) -> bool:
            return float(inner(v[None], v[None])) ** 0.5 <= by * size

        def of_blocks(v: Tensor) -> Tensor:
            return newton.precondition(v[:, :, None])[:, :, 0]

        _, factor, cross = system.curvature
        direct = cross is None and (factor is None or factor.shape[2] <= WOODBURY)
        near = newton.solve if direct else of_blocks
        found = near(right)
        if not short(product(found) - right, eps**0.75):
            found = gmres(lambda v: near(product(v)), found, inner, 16 * eps)
        if short(product(found) - right, eps**0.4) and short(found, LARGEST / eps**0.5):
            return found
        raise ValueError(
            "the Hessian of the step is singular at its minimiser, or nearly so: the minimiser is not a differentiable "
            "function; take a smaller tau, for which the step is strictly convex"
        )


class TrueSystem(NewtonSystem):
    """The same with the curvature as it is, also where it is negative."""

    @cached_property
    def near(self) -> Tensor:
        """tau P' B, (N, dim, dim)."""
        turned = self.tau * self.curvature.blocks
        return turned if self.slope is None else self.slope @ turned
