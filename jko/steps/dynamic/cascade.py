"""Nested iteration: a step is solved on coarser grids first, each solution the start on the next finer one.

A front that moves many cells in a step moves one cell a Newton iteration, so that a start from the previous potential
costs as many iterations as cells; on a grid whose cells it does not leave it costs one or two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from jko.steps.dynamic.conjugates import entropic
from jko.steps.dynamic.entropic import minimise_entropic
from jko.steps.dynamic.guess import first_guess
from jko.steps.dynamic.layout import ISOTROPIC, Array
from jko.steps.dynamic.newton import Outcome, minimise
from jko.steps.dynamic.steep import minimise_steep, steep
from jko.steps.dynamic.stepper import Data, Dual, Stepper

SMALLEST = 24  # cells along the longest axis, below which a grid is not made coarser
LOOSER = 10.0  # the tolerance on a coarser grid, relative to the one on the finer grid ...
FINEST, ROUGHEST = (
    1e-4,
    1e-2,
)  # ... but in these bounds: between two grids lies the error of discretisation


@dataclass(frozen=True)
class Solved:
    """The outcome on a grid, its stepper, and what was solved on the next coarser one before."""

    stepper: Dual
    outcome: Outcome
    coarser: Solved | None = None

    @property
    def newton(self) -> int:
        """Newton iterations on all grids."""
        return self.outcome.newton + (self.coarser.newton if self.coarser else 0)

    @property
    def cg(self) -> int:
        """Iterations of conjugate gradients on all grids."""
        return self.outcome.cg + (self.coarser.cg if self.coarser else 0)


def solve(
    data: Data,
    phi: Array | None,
    tol: float,
    limit: int,
    levels: int | None,
    make: Callable[[Data], Dual] = Stepper,
) -> Solved:
    """Minimise the dual of a step; ``phi`` (grid shape) is the previous step's potential, or None.

    ``levels`` coarser grids are used; None: as many as it takes until the mass moves less than one cell.
    ``make`` gives the stepper of a grid.
    """
    if levels is None:
        levels = _levels(data, phi)
    stepper = make(data)
    below = None
    if levels > 0 and (counts := coarser_shape(data)) != data.rho0.shape:
        below = solve(
            coarser_data(data, counts),
            None if phi is None else averages(phi, counts),
            max(tol, min(max(LOOSER * tol, FINEST), ROUGHEST)),
            limit,
            levels - 1,
            make,
        )
        free = np.isfinite(below.stepper.data.V)
        phi = interpolated(below.stepper.crop(below.outcome.phi), data.rho0.shape, free)
    start = first_guess(stepper) if phi is None else stepper.pad(phi)
    return Solved(stepper, _newton(stepper)(stepper, start, tol, limit), below)


def _newton(stepper: Dual) -> Callable[[Any, Array, float, int], Outcome]:
    kind = stepper.data.kind
    if kind is None or not isinstance(
        stepper, Stepper
    ):  # on tensors: the corners have no kernels of their own
        return minimise
    if entropic(kind):
        return minimise_entropic
    return minimise_steep if steep(kind) else minimise


def _levels(data: Data, phi: Array | None) -> int:
    if phi is None:
        return 64
    here, moved = data.rho0 > 0, 0.0
    for axis, h in enumerate(data.spacing):
        front = tuple(slice(1, None) if a == axis else slice(None) for a in range(phi.ndim))
        slope = np.abs(np.diff(phi, axis=axis))[here[front]]
        moved = max(moved, data.tau * float(slope.max(initial=0.0)) / h**2)
    return math.ceil(math.log2(moved)) if moved > 1.0 else 0


def coarser_shape(data: Data) -> tuple[int, ...]:
    """Cells of the next coarser grid, the same where there is none: axes with the shortest cells are halved."""
    shape, shortest = data.rho0.shape, min(data.spacing)
    if max(shape) <= SMALLEST:
        return shape
    halve = [h <= ISOTROPIC * shortest and n > 2 for n, h in zip(shape, data.spacing, strict=True)]
    return tuple(-(-n // 2) if half else n for n, half in zip(shape, halve, strict=True))


def coarser_data(data: Data, counts: tuple[int, ...]) -> Data:
    """The step on a coarser grid of the same box; a coarse cell is an obstacle where all its cells are."""
    lengths = [n * h for n, h in zip(data.rho0.shape, data.spacing, strict=True)]
    spacing = tuple(length / n for length, n in zip(lengths, counts, strict=True))
    free = np.isfinite(data.V)
    if free.all():
        V = averages(data.V, counts)
    else:
        part = averages(free.astype(float), counts)
        V = np.full(counts, np.inf)
        np.divide(averages(np.where(free, data.V, 0.0), counts), part, out=V, where=part > 0)
    return data._replace(rho0=averages(data.rho0, counts), V=V, spacing=spacing)


def averages(values: Array, counts: tuple[int, ...]) -> Array:
    """Means over the cells of a coarser grid of the same box."""
    for axis, (n, m) in enumerate(zip(values.shape, counts, strict=True)):
        if n == m:
            continue
        if n == 2 * m:
            even = tuple(
                slice(0, None, 2) if a == axis else slice(None) for a in range(values.ndim)
            )
            odd = tuple(slice(1, None, 2) if a == axis else slice(None) for a in range(values.ndim))
            values = 0.5 * (values[even] + values[odd])
        else:
            values = _overlaps(values, axis, n, m)
    return values


def _overlaps(values: Array, axis: int, n: int, m: int) -> Array:
    edges = np.arange(m + 1) * (n / m)
    i = np.minimum(edges.astype(int), n - 1)
    v = np.moveaxis(values, axis, -1)
    total = np.concatenate([np.zeros((*v.shape[:-1], 1)), np.cumsum(v, axis=-1)], axis=-1)
    at = total[..., i] + (edges - i) * v[..., i]
    return np.moveaxis(np.maximum(np.diff(at, axis=-1), v.min()) * (m / n), -1, axis)


def interpolated(values: Array, shape: tuple[int, ...], free: NDArray[np.bool_]) -> Array:
    """Values at the cells of a finer grid of the same box, by multilinear interpolation; obstacles take neighbours'."""
    if not free.all():
        nearest = distance_transform_edt(~free, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    for axis, (m, n) in enumerate(zip(values.shape, shape, strict=True)):
        if m == n:
            continue
        x = np.clip((np.arange(n) + 0.5) * (m / n) - 0.5, 0.0, m - 1.0)
        i = np.minimum(x.astype(int), max(m - 2, 0))
        along = [1] * values.ndim
        along[axis] = -1
        t = (x - i).reshape(along)
        low, high = (
            np.take(values, i, axis=axis),
            np.take(values, np.minimum(i + 1, m - 1), axis=axis),
        )
        values = low + t * (high - low)
    return values
