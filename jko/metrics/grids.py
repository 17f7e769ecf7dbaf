"""W2 between densities on grids, read as atoms at the centres of their cells.

``W2^2 = min over plans of sum_ij plan_ij |x_i - y_j|^2``, i and j cells.  The densities that are constant on the cells
are at most ``|spacing| / sqrt(12)`` in W2 from those atoms, each.
"""

from __future__ import annotations

import numpy as np
import torch

from jko.measures import GridDensity
from jko.metrics.base import Distance
from jko.metrics.c_transform import on_grid
from jko.metrics.couplings import Array, as_array
from jko.metrics.lifted import lifted_distance
from jko.metrics.transport import among, transport
from jko.spaces import wraps

EXACT = 5000  # atoms on either side up to which the simplex is used; on the line there is no limit


def grid_distance(a: GridDensity, b: GridDensity) -> Distance:
    """W2 of the atoms at the centres; the grids may differ.

    Exact by sorting on the line, and by the simplex up to EXACT cells that hold mass.  Beyond, the plan is a feasible
    one near the optimum and ``gap`` says how near: ``squared - gap <= W2^2 <= squared``, both sides proved up to
    rounding.  It is about a square of the spacing, so it is small where W2 is many cells.

    On grids with periodic axes mass goes the shortest way: exact on the circle, and by the simplex up to 3.6e7 pairs of
    cells that hold mass; beyond there are no bounds.
    """
    mu, nu = _masses(a), _masses(b)
    if wraps(a.domain):
        return lifted_distance(a.atoms, b.atoms)
    largest = max(np.count_nonzero(mu), np.count_nonzero(nu))
    if a.dim == 1 or largest <= EXACT:
        return _by_simplex(a, b, mu, nu)
    return _by_ascent(a, b, mu, nu)


def deposit(like: GridDensity, points: Array, masses: Array) -> GridDensity:
    """Atoms as a density on the grid of ``like``: each mass is shared linearly between the centres around it.

    Mass and mean stay; each axis' variance grows by at most a quarter of the squared spacing.
    """
    from jko.metrics.masses import deposited

    grid = like.grid
    total = deposited(points, masses, _axes(like), grid.periodic) / grid.cell
    return GridDensity.of(grid, torch.from_numpy(total).to(like.values))


def _by_simplex(a: GridDensity, b: GridDensity, mu: Array, nu: Array) -> Distance:
    """Exact, on the cells that hold mass; the potentials are extended to the others."""
    rows, cols = np.flatnonzero(mu), np.flatnonzero(nu)
    x, y = _centres(a)[rows], _centres(b)[cols]
    return among(
        transport(x, mu.ravel()[rows], y, nu.ravel()[cols]),
        (rows, cols),
        (mu.size, nu.size),
        lambda i, beta: on_grid(_axes(a), _axes(b), beta.reshape(nu.shape)).ravel()[i],
        lambda j, alpha: on_grid(_axes(b), _axes(a), alpha.reshape(mu.shape)).ravel()[j],
    )


def _by_ascent(a: GridDensity, b: GridDensity, mu: Array, nu: Array) -> Distance:
    """Bounds from both sides."""
    from jko.metrics.backandforth import ascend
    from jko.metrics.masses import Masses
    from jko.metrics.pushforward import cheapest

    left, right = Masses(_axes(a), mu), Masses(_axes(b), nu)
    alpha, beta, _ = ascend(left, right)
    plan, cost = cheapest(left, right, alpha, beta)
    # only cells with mass constrain: the potentials may rise
    alpha = on_grid(left.axes, right.axes, np.where(nu > 0, beta, -np.inf))
    beta = on_grid(right.axes, left.axes, alpha)
    bound = float((mu * alpha).sum() + (nu * beta).sum())
    return Distance(cost, plan, (alpha.ravel(), beta.ravel()), max(0.0, cost - bound))


def _masses(density: GridDensity) -> Array:
    masses = as_array(density.values) * density.grid.cell
    return np.asarray(masses / masses.sum())


def _axes(density: GridDensity) -> tuple[Array, ...]:
    return tuple(axis.numpy() for axis in density.grid.axes)


def _centres(density: GridDensity) -> Array:
    return np.ascontiguousarray(density.grid.centres.numpy())
