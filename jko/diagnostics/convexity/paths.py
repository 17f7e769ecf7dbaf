"""The energy along a geodesic ``mu_t``: its values and its first two derivatives in t, by their formulas.

``d2E/dt2 = |int grad Phi . v dmu|_q^2 + int v . Hess(phi_mu) v dmu`` for a risk and potentials, with v the velocity of
the geodesic; interactions add ``1/2 int int (v - v') . Hess W (v - v')``, and internal energies what the cells say:
``sum l U(m / l)`` with widths l that are affine in t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko import checks
from jko.energies import (
    Curvature,
    Energy,
    Internal,
    Mixture,
    joined,
    negative,
    refuse,
    sorted_terms,
)
from jko.measures import (
    ChargedMesh,
    ChargedParticles,
    GridDensity,
    LineMesh,
    OnCells,
    Particles,
    State,
)
from jko.metrics import as_array, distance
from jko.metrics.meshes import pieces
from jko.spaces import wraps
from jko.steps.line.objective import pressed

Array = NDArray[np.float64]
KNOWN = (Particles, ChargedParticles, LineMesh, ChargedMesh, GridDensity)
GAUSS = 0.5 / 3**0.5  # Gauss's points of a cell, from its middle, in its width
SLIVER = 1e-13  # a mass that is rounding


@dataclass(frozen=True, eq=False)
class EnergyPath(ABC):
    """E along the geodesic between two states, at distance ``squared ** 0.5``."""

    squared: float

    @abstractmethod
    def value(self, t: float) -> float:
        """E(mu_t)."""

    @abstractmethod
    def first(self, t: float) -> float:
        """dE/dt."""

    @abstractmethod
    def second(self, t: float) -> float:
        """d2E/dt2."""


def quadratic(curvature: Curvature, mu: Particles, v: Tensor) -> float:
    """``int v . Hess v dmu`` of the Hessian in L2(mu)."""
    B, J, cross = curvature
    total = mu.inner(v, (B @ v[:, :, None])[:, :, 0])
    if J is not None:
        total = total + mu.integrate((J * v[:, :, None]).sum(1)).square().sum()
    if cross is not None:
        total = total + mu.inner(v, cross(v))
    return float(total)


@dataclass(frozen=True, eq=False)
class AtomPath(EnergyPath):
    """That of atoms which go from x to y, (n, dim), in straight lines."""

    energy: Energy
    x: Tensor
    y: Tensor
    masses: Tensor

    def at(self, t: float) -> Particles:
        """The atoms on their way."""
        return Particles.of(torch.lerp(self.x, self.y, t), self.masses, None)

    @cached_property
    def v(self) -> Tensor:
        """Their velocity."""
        return self.y - self.x

    def value(self, t: float) -> float:
        """Of the atoms."""
        return float(self.energy(self.at(t)))

    def first(self, t: float) -> float:
        """``int grad phi . v dmu``."""
        mu = self.at(t)
        return float(mu.inner(self.energy.gradient(mu), self.v))

    def second(self, t: float) -> float:
        """The Hessian in L2(mu)."""
        mu = self.at(t)
        return quadratic(self.energy.second_order(mu), mu, self.v)


@dataclass(frozen=True, eq=False)
class CellPath(EnergyPath):
    """That of cells whose widths go from ``widths[0]`` to ``widths[1]``, and of the atoms that the other terms see."""

    internal: Mixture
    masses: Array
    widths: tuple[Array, Array]
    atoms: AtomPath | None

    def _cells(self, t: float) -> tuple[float, Array, Array]:
        """Internal energy, pressures, and their stiffness."""
        return pressed(self.internal, self.masses, (1 - t) * self.widths[0] + t * self.widths[1])

    @cached_property
    def stretch(self) -> Array:
        """How fast the widths change."""
        return self.widths[1] - self.widths[0]

    def value(self, t: float) -> float:
        """Both."""
        return self._cells(t)[0] + (0.0 if self.atoms is None else self.atoms.value(t))

    def first(self, t: float) -> float:
        """Minus the pressures on the widths, and the atoms."""
        work = -float(self._cells(t)[1] @ self.stretch)
        return work + (0.0 if self.atoms is None else self.atoms.first(t))

    def second(self, t: float) -> float:
        """The stiffness of the cells, and the atoms."""
        bend = float(self._cells(t)[2] @ self.stretch**2)
        return bend + (0.0 if self.atoms is None else self.atoms.second(t))


def path(energy: Energy, a: State, b: State) -> EnergyPath:
    """E along the geodesic from a to b, of W2 between measures and of D between pairs.

    Raises
    ------
    TypeError
        Kinds of state whose geodesics carry no energy that is known here.
    ValueError
        Internal energies along a geodesic on which the density is not known.
    """
    for name, state in (("a", a), ("b", b)):
        hint = "cells (rho, H) as their atoms: state.to_particles()"
        checks.kind(name, state, *KNOWN, hint=hint)
    energy = energy.detach()
    internal = sorted_terms(energy).internal
    if isinstance(a, GridDensity) and isinstance(b, GridDensity) and a.dim == 1 and internal:
        a, b = (LineMesh.from_density(rho) for rho in (a, b))
    if isinstance(a, LineMesh) and isinstance(b, LineMesh):
        return _of_meshes(energy, a, b)
    if not internal:
        return _of_atoms(energy, a, b)
    if isinstance(a, ChargedMesh) and isinstance(b, ChargedMesh):
        return _of_nodes(energy, a, b)
    cells = isinstance(a, OnCells) and isinstance(b, OnCells)
    raise (ValueError if cells else TypeError)(
        f"an internal energy along the geodesic from {type(a).__name__} to {type(b).__name__} in dimension {a.dim} "
        "needs the Jacobian of the map between them, which cells do not give; take densities on the line, two "
        "jko.ChargedMesh with the same masses, or Kernel energies of particles"
    )


def _mixture(energy: Energy) -> Mixture:
    """The internal energies as one, of positive coefficients."""
    terms = sorted_terms(energy)
    refuse(negative(terms.internal), "{name} has the coefficient {c:g}; it must be positive here")
    return terms.mixture


def _of_atoms(energy: Energy, a: State, b: State) -> AtomPath:
    """Along the optimal plan of the atoms, or of the lifts."""
    found = distance(a, b)
    plan, start, end = found.plan, a.atoms, b.atoms
    rows, cols, mass = (torch.from_numpy(part) for part in (plan.rows, plan.cols, plan.mass))
    x, y = start.points[rows], end.points[cols]
    if wraps(start.domain):
        assert start.domain is not None
        y = x + start.domain.shortest(y - x)
    return AtomPath(found.squared, energy, x, y, mass.to(x))


def _of_meshes(energy: Energy, a: LineMesh, b: LineMesh) -> CellPath:
    """The monotone map, cut where a cell of either mesh ends; pieces of the size of rounding are left out."""
    p = pieces(a, b)
    kept = p.mass > SLIVER
    masses = p.mass[kept]
    widths, ends = [], []
    for mesh, cell, left in ((a, p.rows, p.left_a), (b, p.cols, p.left_b)):
        density = as_array(mesh.masses) / np.diff(as_array(mesh.edges))
        widths.append(masses / density[cell[kept]])
        middle = left[kept] + 0.5 * widths[-1]
        pair = middle[:, None] + np.array([-GAUSS, GAUSS]) * widths[-1][:, None]
        ends.append(torch.from_numpy(pair.reshape(-1, 1)).to(a.edges))
    squared = distance(a, b).squared
    others = joined(sorted_terms(energy).without(Internal))
    half = torch.from_numpy(np.repeat(0.5 * masses, 2)).to(a.edges)
    atoms = None if others is None else AtomPath(squared, others, ends[0], ends[1], half)
    return CellPath(squared, _mixture(energy), masses, (widths[0], widths[1]), atoms)


def _of_nodes(energy: Energy, a: ChargedMesh, b: ChargedMesh) -> CellPath:
    """Nodes that go to the nodes of the same labels, where this is the optimal plan of D."""
    found = distance(a, b)
    same = a.N == b.N and bool(
        torch.equal(a.masses, b.masses) and torch.equal(a.weights, b.weights)
    )
    moves = (a.atoms.points - b.atoms.points).square().sum(1) if same else None
    if moves is None or float(a.weights @ moves) > found.squared * (1 + 1e-9) + 1e-300:
        raise ValueError(
            "the geodesic of D between these meshes exchanges nodes, or they carry other masses: on its way there is "
            "no density, and the internal energy is not known; leave it out, or compare states of one flow"
        )
    others = joined(sorted_terms(energy).without(Internal))
    points = a.atoms.points, b.atoms.points
    atoms = (
        None if others is None else AtomPath(found.squared, others, points[0], points[1], a.weights)
    )
    widths = as_array(a.volumes), as_array(b.volumes)
    return CellPath(found.squared, _mixture(energy), as_array(a.masses), widths, atoms)
