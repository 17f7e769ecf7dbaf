"""F and its dissipation as functions of coordinates: what a search over a family of measures sees.

In the coordinates y of :class:`MovedAtoms` and :class:`MovedEdges` the metric of the family is that of R^n.  So the
dissipation within the family is ``I = |grad F|^2``, its gradient ``2 Hess F . grad F``, and the spectrum of the flow at
rest that of Hess F.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh, solve_triangular

from jko.diagnostics.dissipation import at_walls, slope_of_edges
from jko.energies import Energy, value_of
from jko.limits.walls import slides, tangent
from jko.measures import LineMesh, Particles, State

Array = NDArray[np.float64]

STEP = 1e-5  # of central differences of gradients, relative to the size of the coordinates


class EnergyAndPower(NamedTuple):
    """F and I with their derivatives in the coordinates, (n,)."""

    energy: float
    dissipation: float
    slope: Array
    dissipation_slope: Array


class Family(ABC):
    """A family of measures in coordinates (n,), around a state at rest."""

    rest: Array

    @abstractmethod
    def state(self, y: Array) -> State:
        """The measure with these coordinates."""

    @abstractmethod
    def coordinates(self, state: State) -> Array:
        """Those of a state of the family."""

    @abstractmethod
    def figures(self, y: Array) -> EnergyAndPower:
        """F and I there; F = inf outside of the family."""

    @abstractmethod
    def directions(self, count: int) -> Array:
        """The slowest directions at rest, (count, n) or fewer."""


class Displaced(Family):
    """A family whose coordinates have the metric of R^n."""

    @abstractmethod
    def slope(self, y: Array) -> tuple[float, Array]:
        """F and its gradient."""

    def figures(self, y: Array) -> EnergyAndPower:
        """``I = |g|^2``, whose gradient is ``2 Hess F g``, by a central difference of g along g."""
        F, g = self.slope(y)
        square = float(g @ g)
        if not (np.isfinite(F) and np.isfinite(square) and square > 0):
            return EnergyAndPower(F, square, g, np.zeros_like(g))
        s = STEP * (1 + float(np.abs(y).max())) / square**0.5
        bend = (self.slope(y + s * g)[1] - self.slope(y - s * g)[1]) / (2 * s)
        return EnergyAndPower(F, square, g, 2 * np.nan_to_num(bend))

    def hessian(self) -> Array:
        """Of F at rest, (n, n), by central differences of the gradient along each coordinate."""
        s = self.step
        units = s * np.eye(len(self.rest))
        columns = [self.slope(self.rest + e)[1] - self.slope(self.rest - e)[1] for e in units]
        return np.array(columns) / (2 * s)

    @property
    def step(self) -> float:
        """Of these differences."""
        return STEP * (1 + float(np.abs(self.rest).max()))

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues (n,), ascending, and eigenvectors in rows (n, n) of the Hessian at rest."""
        H = self.hessian()
        values, vectors = eigh(0.5 * (H + H.T))
        return values, self.lifted(vectors.T)

    def lifted(self, vectors: Array) -> Array:
        """Rows in which the Hessian is a matrix as directions in the coordinates."""
        return vectors

    def velocities(self, vectors: Array) -> Array:
        """Directions in the coordinates (k, n) as velocities of atoms or edges (k, ...)."""
        return vectors

    def directions(self, count: int) -> Array:
        """The eigenvectors with the least eigenvalues that are not zero."""
        values, vectors = self.spectrum
        steep = ~flat(values)
        return vectors[steep][:count]


FLAT = 1e-7  # of the largest eigenvalue: what counts as zero


def flat(values: Array) -> NDArray[np.bool_]:
    """Which eigenvalues are zero within what a minimiser is known to."""
    return np.abs(values) <= FLAT * float(np.abs(values).max(initial=0.0))


class MovedAtoms(Displaced):
    """N atoms that keep their masses, ``y_i = sqrt(m_i) x_i``; in a domain I is that of the flow that stays in it."""

    def __init__(self, energy: Energy, rest: State) -> None:
        self.energy, self.start, self.mu = energy, rest, rest.atoms
        self.root = self.mu.weights.cpu().numpy().astype(np.float64)[:, None] ** 0.5
        self.rest = self.coordinates(rest)

    def _atoms(self, y: Array) -> Particles:
        points = torch.from_numpy(y.reshape(self.mu.points.shape) / self.root).to(self.mu.points)
        domain = self.mu.domain
        return self.mu.moved(points if domain is None else domain.project(points))

    def state(self, y: Array) -> State:
        """Of the kind of the state at rest."""
        return self.start.placed(self._atoms(y).points)

    def coordinates(self, state: State) -> Array:
        """``sqrt(m_i) x_i``."""
        x = state.atoms.points.cpu().numpy().astype(np.float64)
        return (self.root * x).ravel()

    def slope(self, y: Array) -> tuple[float, Array]:
        """``sqrt(m_i) grad dF/dmu(x_i)``, less what walls take."""
        mu = self._atoms(y)
        value, _, gradient = self.energy.evaluate(mu)
        v = tangent(mu.domain, mu.points, -gradient).cpu().numpy().astype(np.float64)
        return float(value), (-self.root * v).ravel()

    def hessian(self) -> Array:
        """In L2(mu), atoms at walls slide along them."""
        mu = self.mu
        with torch.no_grad():
            try:
                H = self.energy.second_order(mu).matrix(mu)
            except (
                RuntimeError,
                TypeError,
                ValueError,
            ):  # a gradient that cannot be differentiated
                return super().hessian()
            if mu.domain is not None:
                along = slides(mu.domain, mu.points, -self.energy.gradient(mu))
                H = torch.einsum("iab,ibjc,jcd->iajd", along, H, along)
        n = mu.points.numel()
        root = np.repeat(self.root.ravel(), mu.dim)
        matrix: Array = H.reshape(n, n).cpu().numpy().astype(np.float64)
        return root[:, None] * matrix / root

    def velocities(self, vectors: Array) -> Array:
        """(k, N, dim)."""
        return vectors.reshape(-1, *self.mu.points.shape) / self.root


class MovedEdges(Displaced):
    """A :class:`jko.LineMesh`, whose edges move while its cells keep their masses.

    The metric is ``int |v|^2 dmu`` for v linear on each cell, a tridiagonal matrix ``M = C C^T`` that does not change;
    ``y = C^T x``.  An end that lies on a wall stays there.
    """

    def __init__(self, energy: Energy, rest: LineMesh) -> None:
        self.energy, self.mesh = energy, rest
        m = rest.masses.cpu().numpy().astype(np.float64)
        M = np.diag((np.append(m, 0.0) + np.append(0.0, m)) / 3)
        M += np.diag(m / 6, 1) + np.diag(m / 6, -1)
        low, high = at_walls(rest)
        self.free = slice(int(low), len(M) - int(high))
        self.C = cholesky(M[self.free, self.free], lower=True)
        self.rest = self.coordinates(rest)

    def _edges(self, y: Array) -> Array:
        edges = self.mesh.edges.cpu().numpy().astype(np.float64).copy()
        edges[self.free] = self.velocities(y[None])[0]
        return edges

    def velocities(self, vectors: Array) -> Array:
        """Of the edges that are free, (k, n)."""
        found: Array = solve_triangular(self.C, vectors.T, lower=True, trans="T").T
        return found

    def state(self, y: Array) -> LineMesh:
        """The mesh."""
        return self.mesh.moved(torch.from_numpy(self._edges(y)).to(self.mesh.edges))

    def coordinates(self, state: State) -> Array:
        """``C^T x``."""
        assert isinstance(state, LineMesh)
        y: Array = self.C.T @ state.edges.cpu().numpy().astype(np.float64)[self.free]
        return y

    def slope(self, y: Array) -> tuple[float, Array]:
        """``C^{-1} dF/dx``; inf where edges pass each other or leave through a wall."""
        edges = self._edges(y)
        mesh = self.mesh.moved(torch.from_numpy(edges).to(self.mesh.edges))
        domain = self.mesh.domain
        left = domain is not None and bool(
            (domain.project(mesh.edges[:, None]) != mesh.edges[:, None]).any()
        )
        if not np.diff(edges).min() > 0 or left:
            return np.inf, np.zeros_like(y)
        with torch.no_grad():
            g = slope_of_edges(self.energy, mesh)[self.free]
            return value_of(self.energy, mesh), solve_triangular(self.C, g, lower=True)

    @property
    def step(self) -> float:
        """So small that no cell is empty."""
        return STEP * float(self.mesh.volumes.min()) * float(np.diag(self.C).min())
