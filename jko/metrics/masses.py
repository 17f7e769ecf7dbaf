"""Masses at the centres of a grid: maps of them, and their deposit on another grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.fft import dctn, idctn

from jko.measures.deposit import around
from jko.metrics.couplings import Array, Index, sums


@dataclass(frozen=True, eq=False)
class Masses:
    """Masses at the centres of a grid; ``axes`` are the centres along each axis."""

    axes: tuple[Array, ...]
    masses: Array

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Distances of centres; one where an axis has a single cell."""
        return spacings(self.axes)

    @cached_property
    def points(self) -> Array:
        """The centres, (N, d), last axis fastest."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, len(self.axes))

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
