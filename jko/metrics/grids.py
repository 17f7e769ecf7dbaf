"""W2 between densities on grids.

``W2^2 = min over plans of sum_ij plan_ij |x_i - y_j|^2``, i and j cells, where few cells hold mass: between atoms at
their centres.  Else it is between the densities that are constant on the cells, which are at most
``|spacing| / sqrt(12)`` in W2 from the atoms, each.
"""

from __future__ import annotations

import numpy as np
import torch

from jko.measures import GridDensity
from jko.metrics.base import Distance
from jko.metrics.c_transform import on_grid
from jko.metrics.couplings import Array, LatePlan, as_array
from jko.metrics.lifted import lifted_distance
from jko.metrics.transport import among, transport
from jko.spaces import wraps

EXACT = 2000  # atoms on either side up to which the simplex is used; on the line there is no limit
ROUGH = 0.01, 5000  # a part of the square: with a wider gap, up to that many atoms, too


def grid_distance(a: GridDensity, b: GridDensity) -> Distance:
    """W2 of two densities; the grids may differ.

    On the line, and up to EXACT cells that hold mass, of the atoms at the centres, and exact.  Beyond, ``squared`` is
    that of the densities, up to an error of fourth order in the spacing where they are smooth, and lies, as the exact
    one does, in ``[upper - gap, upper]``: both bounds are proved up to rounding.  Where they are apart since the
    densities are rough, up to 5000 cells the atoms are taken after all.

    On grids with periodic axes mass goes the shortest way: exact on the circle, and by the simplex up to 3.6e7 pairs of
    cells that hold mass; beyond there are no bounds.
    """
    mu, nu = _masses(a), _masses(b)
    if wraps(a.domain):
        return lifted_distance(a.atoms, b.atoms)
    largest = max(np.count_nonzero(mu), np.count_nonzero(nu))
    if a.dim == 1 or largest <= EXACT:
        return _by_simplex(a, b, mu, nu)
    found = _by_ascent(a, b, mu, nu)
    part, few = ROUGH
    rough = found.gap > part * found.squared and largest <= few
    return _by_simplex(a, b, mu, nu) if rough else found


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
    """An estimate between bounds from both sides."""
    from jko.metrics.backandforth import ascend
    from jko.metrics.byaxes import by_axes
    from jko.metrics.cellbounds import by_moments, by_potentials
    from jko.metrics.masses import Masses
    from jko.metrics.pushforward import cheapest

    left, right = (Masses(_axes(s), m, s.grid.spacing) for s, m in ((a, mu), (b, nu)))
    alpha, beta, value = ascend(left, right)
    upper = min(by_axes(left, right, beta), by_axes(right, left, alpha))
    lower = max(0.0, by_moments(left, right), by_potentials(left, right, beta))
    lower = min(lower, upper)
    plan = LatePlan(lambda: cheapest(left, right, alpha, beta), (mu.size, nu.size))
    # of atoms at the centres only those with mass constrain: the potentials may rise
    phi = on_grid(left.axes, right.axes, np.where(nu > 0, beta, -np.inf))
    psi = on_grid(right.axes, left.axes, phi)
    squared = min(upper, max(lower, value))
    potentials = phi.ravel(), psi.ravel()
    return Distance(squared, plan, potentials, upper - lower, above=upper - squared)


def _masses(density: GridDensity) -> Array:
    masses = as_array(density.values) * density.grid.cell
    return np.asarray(masses / masses.sum())


def _axes(density: GridDensity) -> tuple[Array, ...]:
    return tuple(axis.numpy() for axis in density.grid.axes)


def _centres(density: GridDensity) -> Array:
    return np.ascontiguousarray(density.grid.centres.numpy())
