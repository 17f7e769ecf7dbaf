"""Atoms with the derivative of their flow map, the density and its slope, as one vector for the integrator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, differences, gradient
from jko.diagnostics.curvature import curvature
from jko.diagnostics.graphs.slopes import slope_of_atoms
from jko.diagnostics.smoothness.result import Array
from jko.energies import Energy
from jko.measures import (
    ChargedDensity,
    ChargedMesh,
    ChargedParticles,
    ChargedSpan,
    GridDensity,
    Particles,
    State,
)

PAIRS = (ChargedDensity, ChargedMesh, ChargedParticles, ChargedSpan)


@dataclass(frozen=True, eq=False)
class Carried:
    """Atoms with what they carry, as one vector: points, the derivative of the map, -int tr A, and the slope.

    ``T`` (N, dim, k): of a measure J itself, k = dim; of a pair the derivative of the lift in theta, ``(B, I)`` at
    time zero, whose last k = d rows are J.
    """

    energy: Energy
    mu: Particles
    T: Tensor
    log_density: Tensor | None
    score: Tensor | None

    @classmethod
    def of(cls, energy: Energy, start: State, log_density: Any, slope: Any) -> Carried:
        """The start, without empty atoms."""
        mu, full = start.atoms, start.atoms.weights > 0
        atoms = Particles.of(mu.points[full], mu.weights[full], mu.domain)
        eye = torch.eye(mu.dim).to(mu.points)
        T, known, score = eye.expand(atoms.N, -1, -1), None, None
        if isinstance(start, PAIRS):
            B = slope_of_atoms(start, slope)[full]
            T = torch.cat([B[:, None, :], eye[1:, 1:].expand(atoms.N, -1, -1)], dim=1)
        if isinstance(start, (GridDensity, ChargedDensity)):
            known = start.values.reshape(-1)[full].log()
        if log_density is not None:
            rule = Differentiable("log_density", log_density)
            known, score = gradient("log_density", rule, atoms.points)
            checks.floats("log_density at the atoms", known)
        return cls(energy, atoms, T, known, score)

    @property
    def k(self) -> int:
        """Dimension of what has a density."""
        return self.T.shape[2]

    @property
    def whole(self) -> bool:
        """Whether it is of a measure: of a pair ``log det J`` has an equation that is singular at a fold."""
        return self.k == self.mu.dim

    @property
    def start(self) -> Array:
        """All at time zero."""
        score = self.mu.points[:, :0] if self.score is None else self.score
        log = self.mu.points.new_zeros(self.mu.N if self.whole else 0)
        parts = (self.mu.points, self.T, log, score)
        return torch.cat([part.reshape(-1) for part in parts]).double().cpu().numpy()

    def split(self, y: Array) -> tuple[Particles, Tensor, Tensor, Tensor | None]:
        """Atoms, T, the logarithm of det J by its own equation, and the slope."""
        N, dim = self.mu.points.shape
        sizes = [N * dim, N * dim * self.k, N if self.whole else 0]
        flat = torch.from_numpy(np.ascontiguousarray(y)).to(self.mu.points)
        points, T, log, score = flat.split([*sizes, len(y) - sum(sizes)])
        mu = self.mu.moved(points.view(N, dim))
        return (
            mu,
            T.view(N, dim, self.k),
            log,
            score.view(N, dim) if self.score is not None else None,
        )

    def rates(self, t: float, y: Array) -> Array:
        """The right sides of all of them."""
        mu, T, _, s = self.split(y)
        A = curvature(self.energy, mu)
        turned = A @ T
        parts = [-self.energy.gradient(mu), -turned]
        if self.whole:
            parts.append(-A.diagonal(dim1=1, dim2=2).sum(1))
        if s is not None:

            def trace(z: Tensor) -> Tensor:
                return curvature(self.energy, mu, z).diagonal(dim1=1, dim2=2).sum(1)

            parts.append((A @ s[:, :, None])[:, :, 0] + differences(trace, mu.points))
        return torch.cat([part.reshape(-1) for part in parts]).double().cpu().numpy()

    def _squeeze(self, T: Tensor, turned: Tensor) -> Tensor:
        """``(log mu)'``: the trace of ``J^{-1} (A T)``, its last rows, (N,)."""
        k = self.k
        inverse = torch.linalg.solve_ex(T[:, -k:], turned[:, -k:]).result
        return inverse.diagonal(dim1=1, dim2=2).sum(1)

    def room(self, y: Array) -> float:
        """Positive while all atoms are in the domain."""
        mu = self.split(y)[0]
        if mu.domain is None:
            return 1.0
        size = 1 + float(mu.points.abs().max())
        return 64 * torch.finfo(mu.points.dtype).eps * size - float(
            mu.domain.distance(mu.points).max()
        )

    def look(self, y: Array) -> tuple[float, float, float, float, float, float]:
        """The largest squeeze, the height, the least and largest det J, the slope, and the doubt."""
        mu, T, log, s = self.split(y)
        det = torch.linalg.det(T[:, -self.k :])
        grown = -det.clamp(min=torch.finfo(det.dtype).tiny).log()
        height = float(grown.max())
        if self.log_density is not None:
            height = float((self.log_density + grown).max() - self.log_density.max())
        squeeze = float(self._squeeze(T, curvature(self.energy, mu) @ T).max())
        steep = math.nan if s is None else float(s.norm(dim=1).max())
        doubt = float((log + grown).abs().max()) if self.whole else math.nan
        return squeeze, math.exp(height), float(det.min()), float(det.max()), steep, doubt
