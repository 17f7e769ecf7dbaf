"""Nested iteration: a step is solved on coarser grids first, each solution the start on the next finer one.

A front that moves many cells in a step moves one cell a Newton iteration, so that a start from the previous potential
costs as many iterations as cells; on a grid whose cells it does not leave it costs one or two.

Where Newton's method for J needs many trials on one of the grids, the step is hard, and :mod:`primal_dual` solves it,
on the same grids.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from jko.steps.dynamic.congested import congested
from jko.steps.dynamic.conjugates import Congested, entropic, flat
from jko.steps.dynamic.guess import first_guess
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.levels import ISOTROPIC
from jko.steps.dynamic.newton import DualOutcome, newton
from jko.steps.dynamic.primal_dual import JointPoint, Near, primal_dual
from jko.steps.dynamic.stepper import GridStep, StepDual, Stepper

SMALLEST = 24  # cells along the longest axis, below which a grid is not made coarser
LOOSER = 10.0  # the tolerance on a coarser grid, relative to the one on the finer grid ...
FINEST, FINEST_NEAR = (
    1e-4,
    1e-3,
)  # ... but at least this, since between two grids lies the error of discretisation,
ROUGHEST = 1e-2  # and at most this
PATIENCE = 50  # evaluations of J on one grid after which a step is hard


@dataclass(frozen=True)
class Solved:
    """The outcome on the grid, its stepper, the work on all grids, and the joint dual's point, where that was solved.

    ``last``: there is no other method to try.
    """

    stepper: StepDual
    outcome: DualOutcome
    newton: int
    cg: int
    point: JointPoint | None = None
    last: bool = True

    @property
    def joint(self) -> Joint | None:
        """The joint dual."""
        return None if self.point is None else self.point.joint

    @property
    def level(self) -> float:
        """What is to be added to the outcome's potential."""
        return self.point.level if isinstance(self.point, JointPoint) else 0.0

    @property
    def corners(self) -> Array | None:
        """The densities of the corners, where they are not those of the potential."""
        return None if self.point is None else self.point.r

    def again(self, tol: float, limit: int) -> Solved:
        """A smaller residual from here, if there is one, and the work that it took."""
        if self.point is not None:
            return _pointed(self.point.again(tol, limit))
        at = newton(self.stepper, self.outcome.phi, tol, limit)
        if not at.residual <= self.outcome.residual:
            J, residual = self.stepper.evaluate(self.outcome.phi), self.stepper.imbalance()
            at = DualOutcome(self.outcome.phi, J, residual, *at[3:])
        return _solved(self.stepper, at)


def solve(
    data: GridStep,
    features: Features | None,
    phi: Array | None,
    tol: float,
    limit: int,
    levels: int | None,
    floor: float,
    make: Callable[[GridStep], StepDual] = Stepper,
) -> Solved:
    """Minimise the dual of a step: by ``newton`` on a cascade of grids where that is easy, else by ``primal_dual``.

    Parameters
    ----------
    data, features
        The step, and its risk; None where there is none.  Steps with a risk are primal-dual from the start.
    phi
        The previous step's potential (grid shape), or None.
    tol
        Largest residual, relative to the mass.
    limit
        Newton iterations on one grid, of either method.
    levels
        How many coarser grids are used; None: as many as it takes until the mass moves less than one cell.
    floor
        The least mobility of the vacuum in a primal-dual solution that asks for a longer path.
    make
        Gives the stepper of a grid.
    """
    if isinstance(data.kind, Congested):
        given = Features.none(data.rho0.shape) if features is None else features
        return _pointed(congested(data, given, tol, limit))
    if features is not None:
        return _pointed(primal_dual(data, features, tol, limit, floor))
    if levels is None:
        levels = _levels(data, phi)
    if data.kind is None or not flat(data.kind):
        mild = cascade(data, phi, tol, limit, levels, make)
        if mild is not None and (mild.last or mild.outcome.residual <= tol):
            return mild
        if data.kind is not None and entropic(data.kind):
            levels, phi = 0, None  # no start was found to be nearer than the base point
    return nested(data, phi, tol, limit, floor, levels)


def nested(
    data: GridStep, phi: Array | None, tol: float, limit: int, floor: float, levels: int
) -> Solved:
    """The primal-dual method on ``levels`` coarser grids and then this one."""
    near = None if phi is None else Near(phi, data.rho0)
    if levels > 0 and (counts := coarser_shape(data)) != data.rho0.shape:
        looser = max(tol, min(max(LOOSER * tol, FINEST_NEAR), ROUGHEST))
        start = None if phi is None else averages(phi, counts)
        before = nested(coarser_data(data, counts), start, looser, limit, floor, levels - 1)
        if before.outcome.residual <= looser:
            step, free = before.stepper, np.isfinite(before.stepper.data.V)
            fields = (step.crop(before.outcome.phi), step.crop(step.rho))
            shape, wraps = data.rho0.shape, data.periodic
            there, rho = (interpolated(values, shape, free, wraps) for values in fields)
            near = Near(there, rho, level=before.level)
    return _pointed(primal_dual(data, Features.none(data.rho0.shape), tol, limit, floor, near))


def cascade(
    data: GridStep,
    phi: Array | None,
    tol: float,
    limit: int,
    levels: int,
    make: Callable[[GridStep], StepDual],
) -> Solved | None:
    """Newton's method on ``levels`` coarser grids and then this one; None where one of the coarser ones is hard."""
    stepper, before = make(data), None
    patience = _patience(stepper)
    if levels > 0 and (counts := coarser_shape(data)) != data.rho0.shape:
        looser = max(tol, min(max(LOOSER * tol, FINEST), ROUGHEST))
        start = None if phi is None else averages(phi, counts)
        before = cascade(coarser_data(data, counts), start, looser, limit, levels - 1, make)
        if before is None or not (before.last or before.outcome.residual <= looser):
            return None
        free = np.isfinite(before.stepper.data.V)
        phi = before.stepper.crop(before.outcome.phi)
        phi = interpolated(phi, data.rho0.shape, free, data.periodic)
    start = first_guess(stepper) if phi is None else stepper.pad(phi)
    at = newton(stepper, start, tol, limit, patience)
    return _solved(stepper, at, before, last=patience == math.inf)


def _patience(stepper: StepDual) -> float:
    # on tensors corners have no kernels of their own: there is no other method
    compiled = isinstance(stepper, Stepper) and stepper.data.kind is not None
    return PATIENCE if compiled else math.inf


def _pointed(point: JointPoint) -> Solved:
    at = point.outcome
    return Solved(point.joint.stepper, at, at.newton, at.cg, point)


def _solved(
    stepper: StepDual, at: DualOutcome, before: Solved | None = None, *, last: bool = True
) -> Solved:
    work = (0, 0) if before is None else (before.newton, before.cg)
    return Solved(stepper, at, work[0] + at.newton, work[1] + at.cg, last=last)


def _levels(data: GridStep, phi: Array | None) -> int:
    if phi is None:
        return 64
    here, moved = data.rho0 > 0, 0.0
    for axis, h in enumerate(data.spacing):
        front = tuple(slice(1, None) if a == axis else slice(None) for a in range(phi.ndim))
        slope = np.abs(np.diff(phi, axis=axis))[here[front]]
        moved = max(moved, data.tau * float(slope.max(initial=0.0)) / h**2)
    return math.ceil(math.log2(moved)) if moved > 1.0 else 0


def coarser_shape(data: GridStep) -> tuple[int, ...]:
    """Cells of the next coarser grid, the same where there is none: axes with the shortest cells are halved."""
    shape, shortest = data.rho0.shape, min(data.spacing)
    if max(shape) <= SMALLEST:
        return shape
    halve = [h <= ISOTROPIC * shortest and n > 2 for n, h in zip(shape, data.spacing, strict=True)]
    return tuple(-(-n // 2) if half else n for n, half in zip(shape, halve, strict=True))


def coarser_data(data: GridStep, counts: tuple[int, ...]) -> GridStep:
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


def interpolated(
    values: Array,
    shape: tuple[int, ...],
    free: NDArray[np.bool_],
    periodic: tuple[bool, ...] = (),
) -> Array:
    """Values at the cells of a finer grid of the same box, by multilinear interpolation; obstacles take neighbours'."""
    if not free.all():
        nearest = distance_transform_edt(~free, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    wraps = periodic or (False,) * len(shape)
    for axis, (m, n, round_) in enumerate(zip(values.shape, shape, wraps, strict=True)):
        if m == n:
            continue
        x = (np.arange(n) + 0.5) * (m / n) - 0.5
        if round_:
            i = np.floor(x).astype(int)
            after = (i + 1) % m
        else:
            x = np.clip(x, 0.0, m - 1.0)
            i = np.minimum(x.astype(int), max(m - 2, 0))
            after = np.minimum(i + 1, m - 1)
        along = [1] * values.ndim
        along[axis] = -1
        t = (x - i).reshape(along)
        low, high = (
            np.take(values, i % m, axis=axis),
            np.take(values, after, axis=axis),
        )
        values = low + t * (high - low)
    return values
