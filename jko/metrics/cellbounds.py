"""Lower bounds of W2^2 between densities that are constant on the cells of two grids, proved up to rounding.

Potentials ``phi = |x|^2 - 2 u`` and ``psi = |y|^2 - 2 v`` with ``u(x) + v(y) >= <x, y>`` for all x and y give
``W2^2 >= int phi da + int psi db``.
"""

from __future__ import annotations

import numpy as np

from jko.metrics.backandforth import power
from jko.metrics.c_transform import on_grid
from jko.metrics.couplings import Array
from jko.metrics.masses import Masses

NODES = {1: 2**21, 2: 2**20, 3: 2**21}  # at most, on a refined grid
FINEST = 4  # parts of a cell along each axis


def by_moments(a: Masses, b: Masses) -> float:
    """``|m - n|^2 + tr S + tr R - 2 tr (S^1/2 R S^1/2)^1/2``: equal where the optimal map is affine (Gelbrich 1990)."""
    (m, S), (n, R) = a.moments, b.moments
    root = power(S, 0.5)
    cross = np.trace(power(root @ R @ root, 0.5))
    return float(((m - n) ** 2).sum() + np.trace(S) + np.trace(R) - 2 * cross)


def by_potentials(a: Masses, b: Masses, beta: Array) -> float:
    """The bound of a potential at the centres of b, which is interpolated to the nodes of finer cells.

    With ``v`` linear between these nodes, and ``u(x) = max <x, y> - v(y)`` over the nodes, so convex, the integral of
    either over a box is at most the mean over its corners.
    """
    parts = _parts(a, b)
    x, y = a.nodes(parts), b.nodes(parts)
    psi = b.interpolated(beta, y)
    phi = on_grid(x, y, psi)
    lost = sum(h**2 for side in (a, b) for h in side.spacing) / (6 * parts**2)  # of |x|^2
    return float(
        (a.masses * _means(phi, parts)).sum() + (b.masses * _means(psi, parts)).sum() - lost
    )


def _parts(a: Masses, b: Masses) -> int:
    dim = a.masses.ndim
    room = NODES[dim] / max(a.masses.size, b.masses.size)
    return max(1, min(FINEST, int(room ** (1 / dim))))


def _means(values: Array, parts: int) -> Array:
    """Means over cells of the means over the corners of their parts; values at the nodes."""
    for axis in range(values.ndim):
        values = np.moveaxis(values, axis, -1)
        middle = 0.5 * (values[..., 1:] + values[..., :-1])
        values = middle.reshape(*middle.shape[:-1], -1, parts).mean(-1)
        values = np.moveaxis(values, -1, axis)
    return values
