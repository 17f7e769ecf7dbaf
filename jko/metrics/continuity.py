"""Fluxes through the faces of a grid that move a density: ``d_s rho + div J = 0``, none through the walls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from jko.metrics.couplings import Array

FLOOR = 1e-12  # of the largest density: what counts as vacuum


@dataclass(frozen=True)
class Faces:
    """The inner faces of a grid; a flux is one array for each axis, with one entry less along it."""

    spacing: tuple[float, ...]
    shape: tuple[int, ...]

    @property
    def cell(self) -> float:
        """Volume of a cell."""
        return math.prod(self.spacing)

    def beside(self, values: Array, axis: int) -> tuple[Array, Array]:
        """The values in the cells before and after each inner face across an axis."""
        moved = np.moveaxis(values, axis, 0)
        return np.moveaxis(moved[:-1], 0, axis), np.moveaxis(moved[1:], 0, axis)

    def density(self, rho: Array, axis: int) -> Array:
        """rho on the faces across an axis: the mean of both sides, at least FLOOR of the maximum."""
        before, after = self.beside(rho, axis)
        return np.maximum(0.5 * (before + after), FLOOR * rho.max())

    def least_flux(self, rho: Array, change: Array) -> list[Array]:
        """The flux of least kinetic energy with ``div J = -change``: ``rho grad psi``; in d = 1 the only one."""
        if len(self.shape) == 1:
            return [-np.cumsum(change)[:-1] * self.spacing[0]]
        densities = [self.density(rho, k).ravel() for k in range(len(self.shape))]
        weighted = [sparse.diags(r) @ D for r, D in zip(densities, self.differences, strict=True)]
        matrix = sum(D.T @ W for D, W in zip(self.differences, weighted, strict=True)).tocsc()
        keep = np.arange(rho.size) != rho.argmax()  # psi is zero there
        psi = np.zeros(rho.size)
        psi[keep] = spsolve(matrix[keep][:, keep], change.ravel()[keep])
        return [
            (W @ psi).reshape([n - (k == axis) for k, n in enumerate(self.shape)])
            for axis, W in enumerate(weighted)
        ]

    @cached_property
    def differences(self) -> list[sparse.csr_array]:
        """Difference quotients across the inner faces of each axis, as matrices (faces, cells)."""
        found = []
        for axis, (n, h) in enumerate(zip(self.shape, self.spacing, strict=True)):
            ones = np.ones(n - 1) / h
            along = sparse.diags_array([-ones, ones], offsets=[0, 1], shape=(n - 1, n))
            parts = [along if k == axis else sparse.eye_array(m) for k, m in enumerate(self.shape)]
            found.append(sparse.csr_array(reduce(sparse.kron, parts)))
        return found

    def kinetic(self, flux: Sequence[Array], rho: Array) -> float:
        """``int |J|^2 / rho``."""
        squares = (J**2 / self.density(rho, k) for k, J in enumerate(flux))
        return self.cell * sum(float(s.sum()) for s in squares)

    def velocity(self, flux: Sequence[Array], rho: Array) -> Array:
        """``J / rho`` in the cells, (*shape, d), with J the mean over both faces; walls carry none."""
        parts = [
            0.5 * (self._padded(J, k, after=True) + self._padded(J, k, after=False))
            for k, J in enumerate(flux)
        ]
        return np.stack(parts, -1) / np.maximum(rho, FLOOR * rho.max())[..., None]

    def flux(self, rho: Array, v: Array) -> list[Array]:
        """``rho v`` on the faces, the mean of both sides."""
        sides = [self.beside(rho * v[..., k], k) for k in range(len(self.shape))]
        return [0.5 * (before + after) for before, after in sides]

    def divergence(self, flux: Sequence[Array]) -> Array:
        """``div J`` in the cells."""
        parts = (
            (self._padded(J, k, after=True) - self._padded(J, k, after=False)) / self.spacing[k]
            for k, J in enumerate(flux)
        )
        return np.asarray(sum(parts))

    def gradient(self, H: Array) -> Array:
        """``grad H`` in the cells, (*shape, d): the mean of the slopes through both faces, or the one that is known.

        Where H is NaN the slope is zero, and so it is if H is NaN on both sides.
        """
        result = np.zeros((*self.shape, len(self.shape)))
        for axis, h in enumerate(self.spacing):
            before, after = self.beside(H, axis)
            slope = (after - before) / h
            known = np.isfinite(slope)
            both = (np.where(known, slope, 0.0), known.astype(float))
            total, count = (
                self._padded(part, axis, after=True) + self._padded(part, axis, after=False)
                for part in both
            )
            result[..., axis] = total / np.maximum(count, 1)
        return result

    def _padded(self, values: Array, axis: int, after: bool) -> Array:
        """Numbers on inner faces as numbers on the face after, or before, each cell; zero on walls."""
        width = [(0, 0)] * values.ndim
        width[axis] = (0, 1) if after else (1, 0)
        return np.pad(values, width)
