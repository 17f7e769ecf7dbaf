"""Masses at the centres of a grid: maps of them, and their deposit on another grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.fft import dctn, idctn
from scipy.interpolate import make_interp_spline

from jko.measures.deposit import around
from jko.metrics.couplings import Array, Index, sums


@dataclass(frozen=True, eq=False)
class Masses:
    """Masses of the cells of a grid.

    Parameters
    ----------
    axes
        Centres along each axis.
    masses : (len(axes[0]), len(axes[1]), ...)
        Of total one.
    spacing
        Widths of the cells along each axis.
    """

    axes: tuple[Array, ...]
    masses: Array
    spacing: tuple[float, ...]

    @cached_property
    def points(self) -> Array:
        """The centres, (N, d), last axis fastest."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, len(self.axes))

    @cached_property
    def edges(self) -> tuple[Array, ...]:
        """The ends of the cells along each axis."""
        return self.nodes(1)

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean, and covariance of the density that is constant on the cells."""
        mean = self.masses.ravel() @ self.points
        z = self.points - mean
        spread = (self.masses.ravel()[:, None] * z).T @ z + np.diag(np.square(self.spacing)) / 12
        return mean, spread

    def integral(self, values: Array) -> float:
        """Of a function that is smooth between its values at the centres, by the density constant on the cells.

        Its mean over a cell is ``f + h^2 f'' / 24``, to fourth order.
        """
        total = float((self.masses * values).sum())
        for axis, n in enumerate(values.shape):
            if n > 2:
                lines, weights = (np.moveaxis(t, axis, 0) for t in (values, self.masses))
                bend = lines[2:] - 2 * lines[1:-1] + lines[:-2]
                total += float((weights[1:-1] * bend).sum()) / 24
                total += float((weights[0] * bend[0] + weights[-1] * bend[-1]).sum()) / 24
        return total

    def nodes(self, parts: int) -> tuple[Array, ...]:
        """The ends of ``parts`` equal parts of the cells along each axis."""
        return tuple(
            t[0] - 0.5 * h + h * np.arange(parts * len(t) + 1) / parts
            for t, h in zip(self.axes, self.spacing, strict=True)
        )

    def interpolated(self, values: Array, axes: Sequence[Array]) -> Array:
        """Values at the centres, at the points of other axes that do not go far beyond them, by cubic splines."""
        for axis, (t, s) in enumerate(zip(self.axes, axes, strict=True)):
            degree = min(3, len(t) - 1)
            if degree == 0:
                values = np.repeat(values, len(s), axis=axis)
            else:
                values = make_interp_spline(t, values, degree, axis=axis)(s)
        return np.ascontiguousarray(values)

    def halved(self) -> Masses:
        """The same on half as many cells along each axis, rounded up."""
        masses, axes, widths = self.masses, [], []
        for axis, (t, h) in enumerate(zip(self.axes, self.spacing, strict=True)):
            n = len(t)
            count = (n + 1) // 2
            cuts = np.arange(n + 1)[None, :] / n
            ends = np.arange(count + 1)[:, None] / count
            below = np.clip((ends - cuts[:, :-1]) * n, 0, 1)  # the part of cell j below end i
            masses = np.moveaxis(np.tensordot(np.diff(below, axis=0), masses, (1, axis)), 0, axis)
            widths.append(h * n / count)
            axes.append(t[0] - 0.5 * h + widths[-1] * (np.arange(count) + 0.5))
        return Masses(tuple(axes), np.ascontiguousarray(masses), tuple(widths))

    @cached_property
    def symbol(self) -> Array:
        """Eigenvalues of the cosine modes of minus the Laplacian with no flux; one for the constants."""
        parts = [
            (2 - 2 * np.cos(np.pi * np.arange(len(t)) / len(t))) / h**2
            for t, h in zip(self.axes, self.spacing, strict=True)
        ]
        symbol = sum(np.ix_(*parts), np.zeros(()))
        symbol.flat[0] = 1.0
        return symbol

    def smooth(self, difference: Array) -> Array:
        """The solution of ``- Lap u = difference / cell``, mean zero."""
        modes = dctn(difference / np.prod(self.spacing), norm="ortho") / self.symbol
        modes.flat[0] = 0.0
        return np.asarray(idctn(modes, norm="ortho"))

    def image(self, potential: Array, box: Masses) -> Array:
        """``x - grad potential / 2`` at the centres, held in the box of the other centres; (N, d)."""
        moved = self.points.copy()
        for k, (n, h) in enumerate(zip(potential.shape, self.spacing, strict=True)):
            if n > 1:
                moved[:, k] -= 0.5 * np.gradient(potential, h, axis=k).ravel()
        return np.clip(moved, [t[0] for t in box.axes], [t[-1] for t in box.axes])


def corners(
    points: Array, axes: Sequence[Array], periodic: Sequence[bool] = ()
) -> tuple[Index, Array]:
    """The 2^d centres around each point and its shares on them, (N, 2^d): linear along each axis, mean preserving."""
    shape = [len(t) for t in axes]
    first = [float(t[0]) for t in axes]
    index, share = around(torch.from_numpy(points), first, spacings(axes), shape, periodic)
    return index.numpy(), share.numpy()


def spacings(axes: Sequence[Array]) -> tuple[float, ...]:
    """Distances of centres along each axis; one where it has a single cell."""
    return tuple(float(t[1] - t[0]) if len(t) > 1 else 1.0 for t in axes)


def deposited(
    points: Array, masses: Array, axes: Sequence[Array], periodic: Sequence[bool] = ()
) -> Array:
    """Masses at points, shared between the centres around them, in the shape of the grid."""
    index, share = corners(points, axes, periodic)
    shape = [len(t) for t in axes]
    total = sums(index.ravel(), (masses[:, None] * share).ravel(), math.prod(shape))
    return total.reshape(shape)
