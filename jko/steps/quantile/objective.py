"""The step on the line as a function of the edges.

With masses m_i between the edges X_i, widths ``l_i = X_{i+1} - X_i`` and displacements ``d = X - X_k``,

``J(X) = sum_i m_i / (6 tau) (d_i^2 + d_i d_{i+1} + d_{i+1}^2) + sum_i l_i U(m_i / l_i) + G(mu_X)``.

The first sum is ``W2^2 / (2 tau)`` of the two densities, exactly: an increasing map is optimal, and this one is affine
on each cell.  U collects the internal energies; G is all the others, by two Gauss points a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from jko.energies import Energy
from jko.energies.internal import Internal
from jko.measures import LineMesh, Particles
from jko.metrics import as_array
from jko.numerics.blocks import descending
from jko.spaces import Box
from jko.steps.line import STRAIGHT, internal_terms, onward, other_terms, pressed, root
from jko.steps.problem import StepProblem
from jko.steps.quantile.tridiagonal import Tridiagonal

Array = NDArray[np.float64]

NEAR, FAR = 0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5  # the Gauss points of [0, 1]
EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Spot:
    """J at the edges X: its value, the gradient in X, and what they are made of."""

    X: Array
    widths: Array
    energy: float
    cost: float
    value: float
    gradient: Array
    pressure: Array
    stiffness: Array  # of the pressure: the second derivative of l U(m / l) in l


@dataclass(frozen=True, eq=False)
class Objective:
    """J of a step problem whose base point is a :class:`LineMesh`."""

    problem: StepProblem

    @cached_property
    def mesh(self) -> LineMesh:
        """The base point."""
        assert isinstance(self.problem.previous, LineMesh)
        return self.problem.previous

    @cached_property
    def start(self) -> Array:
        """The edges X_k."""
        return as_array(self.mesh.edges)

    @cached_property
    def masses(self) -> Array:
        """Masses of the cells."""
        return as_array(self.mesh.masses)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The walls, infinite where there are none."""
        domain = self.mesh.domain
        if domain is None:
            return -np.inf, np.inf
        assert isinstance(domain, Box)  # a LineMesh takes nothing else
        return float(domain.lower), float(domain.upper)

    @cached_property
    def internal(self) -> list[tuple[float, Internal]]:
        """The internal energies with their coefficients."""
        return internal_terms(self.problem.energy)

    @cached_property
    def others(self) -> Energy | None:
        """All other terms, as one energy of atoms."""
        return other_terms(self.problem.energy)

    @cached_property
    def gram(self) -> Tridiagonal:
        """The inner product of L2(mu_k) on displacements that are affine on cells: ``d . M d = W2^2``."""
        m = self.masses
        diagonal = np.zeros(len(m) + 1)
        diagonal[:-1] += m / 3
        diagonal[1:] += m / 3
        return Tridiagonal(diagonal, m / 6)

    def at(self, X: Array) -> Spot:
        """Value and gradient."""
        tau, d = self.problem.tau, X - self.start
        widths = X[1:] - X[:-1]
        energy, pressure, stiffness = pressed(self.internal, self.masses, widths)
        pull = self.gram @ d
        gradient = pull / tau
        gradient[:-1] += pressure
        gradient[1:] -= pressure
        if self.others is not None:
            terms = self.others.evaluate(self.atoms(X))
            energy += float(terms.value)
            gradient += self.shares @ as_array(terms.gradient[:, 0])
        cost = float(d @ pull)
        value = energy + cost / (2 * tau)
        return Spot(X, widths, energy, cost, value, gradient, pressure, stiffness)

    def further(self, spot: Spot, factor: float, widen: bool) -> Spot | None:
        """The spot ``factor`` times as far; where cells would turn over, None, or so many times as wide."""
        move = spot.X - self.start
        if not move.any():
            down = self.gram.solve(spot.gradient)
            move = np.zeros_like(move) if down is None else -self.problem.tau * down
        X = onward(self.start, move, factor, self.bounds, widen)
        return None if X is None else self.at(X)

    def atoms(self, X: Array) -> Particles:
        """The Gauss points of the cells."""
        points = np.empty((len(X) - 1, 2))
        np.multiply(X[:-1], FAR, out=points[:, 0])
        points[:, 0] += NEAR * X[1:]
        np.multiply(X[:-1], NEAR, out=points[:, 1])
        points[:, 1] += FAR * X[1:]
        return self.mesh.atoms.moved(torch.from_numpy(points.reshape(-1, 1)).to(self.mesh.edges))

    @cached_property
    def shares(self) -> csr_array:
        """What the edges carry of forces at the Gauss points, (N + 1, 2 N): the masses times their hat functions."""
        half, N = 0.5 * self.masses, len(self.masses)
        data = np.zeros((N + 1, 4))  # of the points 2 i - 2, ..., 2 i + 1
        data[1:, 0], data[1:, 1] = NEAR * half, FAR * half
        data[:-1, 2], data[:-1, 3] = FAR * half, NEAR * half
        points = (
            2 * np.arange(-1, N, dtype=np.int32)[:, None] + np.arange(4, dtype=np.int32)
        ).ravel()
        ends = np.arange(-2, 4 * N + 4, 4, dtype=np.int32).clip(0, 4 * N)
        return csr_array((data.ravel()[2:-2], points[2:-2], ends), shape=(N + 1, 2 * N))

    def hessian(self, spot: Spot, convex: bool = False) -> Tridiagonal:
        """The second derivatives, without cross terms; ``convex`` turns negative curvature of G."""
        tau, M = self.problem.tau, self.gram
        H = Tridiagonal(M.diagonal / tau, M.off / tau).stiffer(spot.stiffness)
        if self.others is None:
            return H
        diagonal, off = H.diagonal, H.off
        curvature = self.others.second_order(self.atoms(spot.X))
        blocks = curvature.blocks
        if convex:  # the Gauss points integrate the squares of affine displacements exactly
            blocks = descending(blocks + 1 / tau, STRAIGHT / tau) - 1 / tau
        B = self.masses[:, None] * as_array(blocks).reshape(-1, 2)
        diagonal[:-1] += 0.5 * (FAR**2 * B[:, 0] + NEAR**2 * B[:, 1])
        diagonal[1:] += 0.5 * (NEAR**2 * B[:, 0] + FAR**2 * B[:, 1])
        off += 0.5 * NEAR * FAR * (B[:, 0] + B[:, 1])
        if curvature.factor is None:
            return Tridiagonal(diagonal, off)
        return Tridiagonal(diagonal, off, self.shares @ as_array(curvature.factor[:, 0]))

    def held(self, spot: Spot) -> tuple[bool, bool]:
        """Whether the gradient presses the first and the last edge against a wall."""
        lower, upper = self.bounds
        X, g = spot.X, spot.gradient
        return bool(X[0] <= lower and g[0] > 0), bool(X[-1] >= upper and g[-1] < 0)

    def residual(self, spot: Spot) -> float:
        """The L2(mu) norm of the gradient's representative: what is left of the Euler-Lagrange equation."""
        g, (first, last) = spot.gradient.copy(), self.held(spot)
        if first:
            g[0] = 0.0
        if last:
            g[-1] = 0.0

        def square(g: Array) -> float:
            representative = self.gram.solve(g)
            assert representative is not None
            return float(g @ representative)

        return root(square, g)

    def rounding(self, spot: Spot) -> float:
        """The residual that the rounding of edges and pressures alone can cause."""
        reach = float(np.abs(spot.X).max())
        jitter = np.abs(spot.pressure) + spot.stiffness * reach
        noise = self.gram.diagonal * reach / self.problem.tau
        noise[:-1] += jitter
        noise[1:] += jitter
        return EPS * root(lambda v: float((v**2 / self.gram.diagonal).sum()), noise)
