"""Normal laws and mixtures of them as a family, in coordinates in which the metric of Bures is flat.

A component N(m, S) is the image of N(0, I) under ``z -> m + L z``, ``S = L L^T``.  F does not change where L is turned,
``L -> L O``; on (m, L) with the Euclidean metric the gradient flow of F is that of Bures for S, so I is ``|grad F|^2``.
Directions at rest are ``L' = T L`` with T symmetric: the others only turn L.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from jko.diagnostics.rates.families import Displaced
from jko.energies import Energy
from jko.measures import NormalLaws, State

Array = NDArray[np.float64]


class MovedNormals(Displaced):
    """Components (m_k, L_k), times the root of their mass; only their L where the laws are even."""

    def __init__(self, energy: Energy, rest: NormalLaws, even: bool = False) -> None:
        self.energy, self.start, self.even = energy, rest, even
        if even and float(rest.means.abs().max()) > 1e-6 * float(rest.roots.abs().max()):
            raise ValueError(
                "even laws have the mean 0, and the state at rest has another; leave out even=True"
            )
        self.root = rest.masses.detach().cpu().numpy().astype(np.float64)[:, None, None] ** 0.5
        self.rest = self.coordinates(rest)

    def coordinates(self, state: State) -> Array:
        """(m, L) of each component, (K, d, 1 + d)."""
        assert isinstance(state, NormalLaws)
        both = torch.cat([state.means[:, :, None], state.roots], dim=2).detach().cpu().numpy()
        y: Array = self.root * both.astype(np.float64)
        return (y[:, :, 1:] if self.even else y).ravel()

    def _parts(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and L."""
        K, d = self.start.means.shape
        both = y.reshape(K, d, -1) / torch.from_numpy(self.root).to(y)
        if self.even:
            return torch.zeros_like(self.start.means), both
        return both[:, :, 0], both[:, :, 1:]

    def _law(self, y: torch.Tensor) -> NormalLaws:
        means, L = self._parts(y)
        return self.start.shaped(means, L @ L.mT)

    def state(self, y: Array) -> NormalLaws:
        """Of the kind of the state at rest."""
        return self._law(torch.from_numpy(y).to(self.start.means))

    def slope(self, y: Array) -> tuple[float, Array]:
        """By torch, through the density and the nodes of the state; inf where L is singular."""
        at = torch.from_numpy(y).to(self.start.means).requires_grad_()
        with torch.enable_grad():
            try:
                F = self.energy(self._law(at))
                (g,) = torch.autograd.grad(F, at)
            except RuntimeError:  # L is singular
                return np.inf, np.zeros_like(y)
        return float(F.detach()), g.cpu().numpy().astype(np.float64)

    @cached_property
    def across(self) -> Array:
        """Orthonormal directions of the coordinates across those that only turn L, in rows."""
        K, d = self.start.means.shape
        roots = self.start.roots.detach().cpu().numpy()
        rows = []
        for k in range(K):
            for T in np.eye(d * d).reshape(-1, d, d):
                i, j = np.argwhere(T)[0]
                if i <= j:
                    rows.append(self._row(k, np.zeros(d), (T + T.T) @ roots[k]))
            if not self.even:
                rows += [self._row(k, e, np.zeros((d, d))) for e in np.eye(d)]
        return np.linalg.qr(np.array(rows).T)[0].T

    def _row(self, k: int, m: Array, L: Array) -> Array:
        row = np.zeros((len(self.root), len(m), 1 + len(m)))
        row[k] = np.column_stack([m, L])
        return (row[:, :, 1:] if self.even else row).ravel()

    def hessian(self) -> Array:
        """As a matrix in the directions :attr:`across`."""
        s, rows = self.step, self.across
        columns = [
            self.slope(self.rest + s * e)[1] - self.slope(self.rest - s * e)[1] for e in rows
        ]
        return np.array(columns) @ rows.T / (2 * s)

    def lifted(self, vectors: Array) -> Array:
        """From the directions across."""
        found: Array = vectors @ self.across
        return found

    def velocities(self, vectors: Array) -> Array:
        """Of (m, L), (k, K, d, 1 + d); of even laws of L, (k, K, d, d)."""
        K, d = self.start.means.shape
        found: Array = vectors.reshape(-1, K, d, d if self.even else 1 + d) / self.root
        return found
