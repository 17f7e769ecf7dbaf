"""A path on coarser grids first, from the finest one on which mass moves no further than two cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jko.steps.dynamic.cascade import (
    Solved,
    averages,
    coarser_data,
    coarser_shape,
    interpolated,
    solve,
)
from jko.steps.dynamic.inner.path import SlabPath
from jko.steps.dynamic.inner.rounds import SETTLED, PathPoint, rounds
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import GridStep

STRENGTH = 0.2  # of the proximal term / deviation of the potential, and at least ...
SHORTEST = 0.05  # ... this / (n h^2 / tau), below which the linear systems become hard
NEAR = 2.0  # cells that mass may move on the first grid
ROUGH, ROUGHLY_SETTLED = 1e-3, 3e-3  # tolerances on coarser grids, at least


@dataclass(frozen=True, eq=False)
class FoundPath:
    """A path on one grid, where it is, and the work on all grids."""

    path: SlabPath
    at: PathPoint
    newton: int
    cg: int

    def on(self, path: SlabPath, phi: Array, tol: float, limit: int, settled: float) -> FoundPath:
        """The same after rounds on another path."""
        at = rounds(path, phi, tol, limit, settled)
        return FoundPath(path, at, self.newton + at.newton, self.cg + at.cg)


def nested(grids: list[GridStep], straight: Solved, n: int, tol: float, limit: int) -> FoundPath:
    """Solve a step in n slabs of time.

    Parameters
    ----------
    grids
        The step on its grid and on all coarser ones.
    straight
        Its solution with one slab, on one of them: where the path begins.
    n
        Slabs.
    tol
        Largest sum of the residuals of all slabs, relative to the mass.
    limit
        Newton iterations on one grid.
    """
    found = _begun(straight, n)
    for grid in reversed([g for g in grids if g.rho0.size >= found.path.data.rho0.size]):
        fine = grid is grids[0]
        goal = (tol, limit, SETTLED) if fine else (max(tol, ROUGH), limit, ROUGHLY_SETTLED)
        here = found.path.data.rho0.shape == grid.rho0.shape
        path, start = (found.path, found.at.phi) if here else _finer(found, grid)
        found = found.on(path, start, *goal)
    return found


def ladder(data: GridStep) -> list[GridStep]:
    """A step on its grid and on all coarser ones."""
    grids = [data]
    while (counts := coarser_shape(grids[-1])) != grids[-1].rho0.shape:
        grids.append(coarser_data(grids[-1], counts))
    return grids


def begin(
    grids: list[GridStep], phi: Array | None, tol: float, limit: int, floor: float
) -> tuple[Solved, float]:
    """The step with one slab on the finest grid on which mass moves little by it, and how far: root mean square.

    ``phi`` is the potential of the step before, in the middle of its time; the others as in
    :func:`jko.steps.dynamic.cascade.solve`.
    """
    last = len(grids) - 1

    def solved(k: int) -> tuple[Solved, float]:
        start = None if phi is None else averages(phi, grids[k].rho0.shape)
        one = solve(grids[k], None, start, tol if k == 0 else max(tol, ROUGH), limit, None, floor)
        return one, one.stepper.data.tau * math.sqrt(one.stepper.action() / one.stepper.mass)

    rough, distance = solved(last)
    k = next((k for k, g in enumerate(grids) if NEAR * min(g.spacing) >= distance), last)
    return (rough, distance) if k == last else solved(k)


def _begun(one: Solved, n: int) -> FoundPath:
    """Potentials that follow from the one in the middle of the step, densities on a straight line."""
    data, rho = one.stepper.data, one.stepper.crop(one.stepper.rho)
    middle = np.array(one.stepper.crop(one.outcome.phi))
    near = np.stack([(1 - s) * data.rho0 + s * rho for s in np.arange(1, n) / n])
    path = SlabPath(data, near, _strength(data, middle, n))
    phi = path.unrolled(path.layout.pad(middle))
    return FoundPath(path, PathPoint(phi, math.nan, math.inf), one.newton, one.cg)


def _finer(found: FoundPath, grid: GridStep) -> tuple[SlabPath, Array]:
    """The path on a finer grid, and its potentials there.

    Densities are interpolated by how far they are from the straight line between first and last, which itself is known
    on the finer grid.
    """
    coarse, n = found.path, found.path.n
    free, shape = np.isfinite(coarse.data.V), grid.rho0.shape

    def fine(values: Array) -> Array:
        return interpolated(values, shape, free, grid.periodic)

    phi = np.stack([fine(q) for q in coarse.crop(found.at.phi)])
    before, after = coarse.data.rho0, coarse.layout.crop(coarse.end.rho)
    path = SlabPath(grid, np.zeros((n - 1, *shape)), _strength(grid, phi[n // 2], n))
    start = path.pad(phi)
    path.evaluate(start)
    last, near = path.layout.crop(path.end.rho), []
    for s, r in zip(np.arange(1, n) / n, coarse.crop(coarse.r), strict=True):
        straight = (1 - s) * grid.rho0 + s * last
        near.append(straight + fine(r - (1 - s) * before - s * after))
    path.moved_to(path.pad(np.stack(near)))
    return path, start


def _strength(data: GridStep, phi: Array, n: int) -> float:
    """Of the proximal term, a price."""
    part = data.rho0 / data.rho0.sum()
    mean = float((part * phi).sum())
    deviation = math.sqrt(float((part * (phi - mean) ** 2).sum()))
    return max(STRENGTH * deviation, SHORTEST * n * min(data.spacing) ** 2 / data.tau)
