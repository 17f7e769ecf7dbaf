"""The step of a density on the line as a function of the edges of its cells.

With ``d = X - X_k`` the Gram form is ``sum_i m_i / 3 (d_i^2 + d_i d_{i+1} + d_{i+1}^2)``: the squared W2 of the two
densities, exactly, since an increasing map is optimal, and this one is affine on each cell.  The atoms are two Gauss
points a cell; they integrate squares of affine displacements without error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from jko.duality import Gap
from jko.energies import Internal, Linear, PowerNorm, SquaredNorm
from jko.measures import LineMesh, Particles
from jko.metrics import MONOTONE, Certificate, as_array
from jko.numerics.banded import Banded
from jko.steps.line.objective import Objective, Spot

Array = NDArray[np.float64]

NEAR, FAR = 0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5  # the Gauss points of [0, 1]


@dataclass(frozen=True, eq=False)
class Edges(Objective):
    """J in the edges of a :class:`LineMesh`: k = 1."""

    mesh: LineMesh

    k = 1

    @cached_property
    def start(self) -> Array:
        """The edges X_k."""
        return as_array(self.mesh.edges)

    @cached_property
    def gram(self) -> Banded:
        """The inner product of L2(mu_k) on displacements that are affine on cells."""
        m = self.masses
        diagonal = np.zeros(len(m) + 1)
        diagonal[:-1] += m / 3
        diagonal[1:] += m / 3
        return Banded.of(diagonal, m / 6)

    def state(self, u: Array) -> LineMesh:
        """The mesh with these edges."""
        return self.mesh.moved(torch.from_numpy(u).to(self.mesh.edges))

    def atoms(self, u: Array) -> Particles:
        """The Gauss points of the cells."""
        return self.mesh.atoms.moved(torch.from_numpy(self.moves(u)).to(self.mesh.edges))

    def moves(self, v: Array) -> Array:
        """A piecewise affine function at the Gauss points, (2 (n - 1), 1)."""
        points = np.empty((len(v) - 1, 2))
        np.multiply(v[:-1], FAR, out=points[:, 0])
        points[:, 0] += NEAR * v[1:]
        np.multiply(v[:-1], NEAR, out=points[:, 1])
        points[:, 1] += FAR * v[1:]
        return points.reshape(-1, 1)

    def carried(self, field: Array) -> Array:
        """Forces at the Gauss points, shared by the edges of their cells."""
        return np.asarray(self._shares @ field[:, 0])

    @cached_property
    def _shares(self) -> csr_array:
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

    def bends(self, blocks: Array) -> Array:
        """Curvatures at the Gauss points."""
        first, second = 0.5 * self.masses * blocks.reshape(-1, 2).T
        bands = np.zeros((2, len(self.start)))
        bands[0, :-1] += FAR**2 * first + NEAR**2 * second
        bands[0, 1:] += NEAR**2 * first + FAR**2 * second
        bands[1, :-1] += NEAR * FAR * (first + second)
        return bands

    def coupling(self, spot: Spot) -> Certificate:
        """An increasing map is optimal."""
        return MONOTONE

    def gap(self, spot: Spot, residual: float) -> Gap:
        """``J(X) - min J <= tau residual^2 / 2``, since ``J - |X|^2 / (2 tau)`` is convex in L2(mu_k) if G is."""
        terms = self.problem.energy.terms
        kinds = {type(E) for c, E in terms if c and not isinstance(E, Internal)}
        signs = all(c >= 0 for c, E in terms)
        if not (signs and all(issubclass(kind, Linear) for kind in kinds)):
            reason = "the problem need not be convex in the edges: there is a risk, an interaction or a negative term"
            return Gap.unknown(reason, spot.value)
        value = 0.5 * self.problem.tau * residual * residual
        proved = kinds <= {SquaredNorm, PowerNorm}
        reason = "strong convexity, over all densities that are constant on cells of these masses"
        if not proved:
            reason += ", if the potential is convex"
        return Gap(value, proved, reason, spot.value - value, spot.value)
