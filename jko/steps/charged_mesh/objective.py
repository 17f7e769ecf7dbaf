"""The step in D on the line as a function of the nodes and their charges.

With masses M_i of the nodes z_i = (H_i, theta_i), masses m_c between neighbours and ``l_c = theta_{c+1} - theta_c``,

``J(z) = sum_i M_i |z_i - z_i^k|^2 / (2 tau) + sum_c l_c U(m_c / l_c) + G(sum_i M_i delta_{z_i})``.

U collects the internal energies of rho, G is all other terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jko.energies import Energy, Internal
from jko.energies.base import Curvature
from jko.measures import ChargedMesh, Particles
from jko.metrics import as_array
from jko.numerics.blocks import descending
from jko.spaces import Box
from jko.steps.charged_mesh.banded import Banded
from jko.steps.line import STRAIGHT, internal_terms, onward, other_terms, pressed, root
from jko.steps.problem import StepProblem

Array = NDArray[np.float64]
EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Spot:
    """J at the nodes z, (N, 2): its value, the gradient in z, and what they are made of."""

    z: Array
    energy: float
    cost: float
    value: float
    gradient: Array
    pressure: Array
    stiffness: Array


@dataclass(frozen=True, eq=False)
class Objective:
    """J of a step problem whose base point is a :class:`ChargedMesh`."""

    problem: StepProblem

    @cached_property
    def mesh(self) -> ChargedMesh:
        """The base point."""
        assert isinstance(self.problem.previous, ChargedMesh)
        return self.problem.previous

    @cached_property
    def base(self) -> Particles:
        """Its lift."""
        return self.problem.base

    @cached_property
    def start(self) -> Array:
        """(H_k, theta_k), shape (N, 2)."""
        return as_array(self.base.points)

    @cached_property
    def weights(self) -> Array:
        """Masses of the nodes."""
        return as_array(self.mesh.weights)

    @cached_property
    def masses(self) -> Array:
        """Masses between neighbours."""
        return as_array(self.mesh.masses)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The walls, infinite where there are none."""
        domain = self.mesh.domain
        if domain is None:
            return -np.inf, np.inf
        assert isinstance(domain, Box)
        return float(domain.lower), float(domain.upper)

    @cached_property
    def internal(self) -> list[tuple[float, Internal]]:
        """The internal energies with their coefficients."""
        return internal_terms(self.problem.energy)

    @cached_property
    def others(self) -> Energy | None:
        """All other terms, as one energy of the lift."""
        return other_terms(self.problem.energy)

    def lift(self, z: Array) -> Particles:
        """The nodes as atoms."""
        return self.base.moved(torch.from_numpy(z).to(self.base.points))

    def further(self, spot: Spot, factor: float, widen: bool) -> Spot | None:
        """The spot ``factor`` times as far; where the mesh would fold, None, or so many times as wide."""
        move = spot.z - self.start
        if not move.any():
            move = -self.problem.tau * spot.gradient / self.weights[:, None]
        z, theta = self.start + factor * move, self.start[:, 1]
        X = onward(theta, move[:, 1], factor, self.bounds, widen)
        if X is None:
            return None
        z[:, 1] = X
        return self.at(z)

    def at(self, z: Array) -> Spot:
        """Value and gradient."""
        tau, d = self.problem.tau, z - self.start
        energy, pressure, stiffness = pressed(self.internal, self.masses, np.diff(z[:, 1]))
        slope = d / tau
        if self.others is not None:
            terms = self.others.evaluate(self.lift(z))
            energy += float(terms.value)
            slope = slope + as_array(terms.gradient)
        gradient = self.weights[:, None] * slope
        gradient[:-1, 1] += pressure
        gradient[1:, 1] -= pressure
        cost = float(self.weights @ (d * d).sum(1))
        value = energy + cost / (2 * tau)
        return Spot(z, energy, cost, value, gradient, pressure, stiffness)

    def hessian(self, spot: Spot, convex: bool) -> tuple[Banded, Callable[[Array], Array] | None]:
        """Second derivatives, and their cross terms apart; ``convex`` turns negative curvature of the blocks."""
        N, tau = len(spot.z), self.problem.tau
        like: dict[str, Any] = {"dtype": torch.float64, "device": self.problem.base.points.device}
        blocks, factor, far = torch.zeros(N, 2, 2, **like), None, None
        if self.others is not None:
            curvature = self.others.second_order(self.lift(spot.z))
            blocks = curvature.blocks.to(torch.float64)
            if curvature.factor is not None:
                factor = self.weights[:, None, None] * as_array(curvature.factor)
            far = self._far(curvature)
        blocks = blocks + torch.eye(2, **like) / tau
        B = self.weights[:, None, None] * as_array(
            descending(blocks, STRAIGHT / self.problem.tau) if convex else blocks
        )
        flat = None if factor is None else factor.reshape(2 * N, -1)
        return Banded.of(B, spot.stiffness, flat), far

    def _far(self, curvature: Curvature) -> Callable[[Array], Array] | None:
        cross = curvature.cross
        if cross is None:
            return None

        def far(v: Array) -> Array:
            field = torch.from_numpy(v.reshape(-1, 2)).to(self.base.points)
            return (self.weights[:, None] * as_array(cross(field))).ravel()

        return far

    def held(self, spot: Spot) -> tuple[bool, bool]:
        """Whether the gradient presses the first and the last node against a wall."""
        lower, upper = self.bounds
        theta, g = spot.z[:, 1], spot.gradient[:, 1]
        return bool(theta[0] <= lower and g[0] > 0), bool(theta[-1] >= upper and g[-1] < 0)

    def residual(self, spot: Spot) -> float:
        """The L2(mu_k) norm of what is left of the Euler-Lagrange equation."""
        g, (first, last) = spot.gradient.copy(), self.held(spot)
        if first:
            g[0, 1] = 0.0
        if last:
            g[-1, 1] = 0.0
        return root(lambda g: float(((g * g).sum(1) / self.weights).sum()), g)

    def rounding(self, spot: Spot) -> float:
        """The residual that the rounding of nodes and pressures alone can cause."""
        reach = float(np.abs(spot.z).max())
        jitter = np.abs(spot.pressure) + spot.stiffness * reach
        noise = self.weights * reach / self.problem.tau
        noise[:-1] += jitter
        noise[1:] += jitter
        return EPS * root(lambda v: float((v**2 / self.weights).sum()), noise)
