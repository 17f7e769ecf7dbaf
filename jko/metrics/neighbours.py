"""Pairs that an optimal plan is likely to use, and potentials that are likely, from a plan between cells.

The plan between barycentres of cells gives a rough transport map; the pairs tried first join each atom, carried by that
map, with its nearest neighbours.  This is a guess: pricing makes the answer exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from jko.metrics.couplings import Array, Index, Plan
from jko.metrics.supplies import Supplies, staircase

NEAREST = 8
SMOOTH = 6  # cells that are averaged at an atom


class Coarse(NamedTuple):
    """Barycentres of the cells of two clouds, an optimal plan between them, and its potentials."""

    X: Array
    Y: Array
    plan: Plan
    alpha: Array
    beta: Array


def candidates(x: Array, y: Array, masses: Supplies, coarse: Coarse) -> tuple[Index, Array]:
    """Keys i M + j of likely pairs, among them a feasible plan's, sorted; and a likely ``beta`` (M,).

    The gradient of ``beta`` is ``2 (y - S(y))`` with S the map from y to x, so it is known to first order.

    Parameters
    ----------
    x, y : (N, dim), (M, dim)
        Atoms, with whole-number ``masses``.
    coarse
        The solved problem between cells of both clouds.
    """
    N, M, (X, Y, plan, _, values) = len(x), len(y), coarse
    (near_x, weight_x), (near_y, weight_y) = _weights(x, X), _weights(y, Y)
    shift = plan.barycentres(Y) - X
    slope = plan.transposed.barycentres(X) - Y
    forth = x + np.einsum("ik,ikd->id", weight_x, shift[near_x])
    back = y + np.einsum("ik,ikd->id", weight_y, slope[near_y])
    rise = np.einsum("ikd,ikd->ik", slope[near_y], y[:, None] - Y[near_y])
    beta = np.einsum("ik,ik->i", weight_y, values[near_y] - 2 * rise)
    axis = int(np.ptp(x, axis=0).argmax())
    order_x, order_y = np.argsort(x[:, axis], kind="stable"), np.argsort(y[:, axis], kind="stable")
    rows, cols, _ = staircase(masses.a[order_x], masses.b[order_y])
    parts = [
        (np.arange(N)[:, None] * M + _nearest(y, forth, NEAREST)).ravel(),
        (_nearest(x, back, NEAREST) * M + np.arange(M)[:, None]).ravel(),
        order_x[rows] * M + order_y[cols],
    ]
    return distinct(np.concatenate(parts)), beta


def distinct(keys: Index) -> Index:
    """The keys in order, each once (``np.unique`` of so many takes ten times as long)."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])]


def _nearest(cloud: Array, points: Array, count: int) -> Index:
    """Indices (K, count) of the atoms of ``cloud`` nearest to each of the K points."""
    _, index = cKDTree(cloud).query(points, range(1, min(count, len(cloud)) + 1))
    return np.asarray(index, dtype=np.int64)


def _weights(points: Array, X: Array) -> tuple[Index, Array]:
    """The nearest of X to each of the points, (K, SMOOTH), and the weights of a mean over them, by inverse squares."""
    distance, index = cKDTree(X).query(points, range(1, min(SMOOTH, len(X)) + 1))
    square = distance**2
    last = square[:, -1:] + np.finfo(float).tiny
    weight = last / (square + 0.1 * last)
    return index, weight / weight.sum(1, keepdims=True)
