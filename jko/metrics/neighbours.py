"""Pairs that an optimal plan is likely to use.

A coarse problem between a few hundred barycentres on each side gives a rough transport map; the pairs tried first join
each atom, carried by that map, with its nearest neighbours.  This is a guess: pricing makes the answer exact.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from jko.metrics.couplings import Array, Index, Plan, sums
from jko.metrics.supplies import Supplies, staircase

CELLS = 512  # of the coarse problem
NEAREST = 8
SMOOTH = 6  # coarse displacements averaged at an atom


def candidates(x: Array, y: Array, masses: Supplies, X: Array, Y: Array, coarse: Plan) -> Index:
    """Keys i M + j of likely pairs, among them a feasible plan's, sorted.

    Parameters
    ----------
    x, y : (N, dim), (M, dim)
        Atoms, with whole-number ``masses``.
    X, Y : (CELLS, dim)
        Barycentres of the two clouds; ``coarse`` is an optimal plan between them.
    """
    N, M = len(x), len(y)
    forth = x + _smoothed(x, X, coarse.barycentres(Y) - X)
    back = y + _smoothed(y, Y, coarse.transposed.barycentres(X) - Y)
    axis = int(np.ptp(x, axis=0).argmax())
    order_x, order_y = np.argsort(x[:, axis], kind="stable"), np.argsort(y[:, axis], kind="stable")
    rows, cols, _ = staircase(masses.a[order_x], masses.b[order_y])
    parts = [
        (np.arange(N)[:, None] * M + _nearest(y, forth)).ravel(),
        (_nearest(x, back) * M + np.arange(M)[:, None]).ravel(),
        order_x[rows] * M + order_y[cols],
    ]
    if N == M:
        parts.append(np.arange(N) * (M + 1))
    return np.unique(np.concatenate(parts))


def _nearest(cloud: Array, points: Array) -> Index:
    """Indices (K, k) of the atoms of ``cloud`` nearest to each of the K points."""
    _, index = cKDTree(cloud).query(points, range(1, min(NEAREST, len(cloud)) + 1))
    return np.asarray(index, dtype=np.int64)


def quantised(x: Array, a: Array) -> tuple[Array, Array]:
    """At most CELLS barycentres with their masses: the cloud is halved at medians of the widest coordinate."""
    parts = [np.arange(len(x))]
    while len(parts) < CELLS and len(parts) < len(x):
        parts = [half for part in parts for half in _halves(x, part)]
    label = np.empty(len(x), dtype=np.int64)
    for number, part in enumerate(parts):
        label[part] = number
    mass = sums(label, a, len(parts))
    points = (
        np.stack([sums(label, a * column, len(parts)) for column in x.T], axis=1) / mass[:, None]
    )
    return points, mass


def _halves(x: Array, part: Index) -> list[Index]:
    if len(part) < 2:
        return [part]
    axis = int(np.ptp(x[part], axis=0).argmax())
    order = part[np.argsort(x[part, axis], kind="stable")]
    return [order[: len(part) // 2], order[len(part) // 2 :]]


def _smoothed(points: Array, X: Array, displacement: Array) -> Array:
    """A displacement field known on X, at other points: the mean over the nearest, weighted by inverse squares."""
    distance, index = cKDTree(X).query(points, range(1, min(SMOOTH, len(X)) + 1))
    square = distance**2
    last = square[:, -1:] + np.finfo(float).tiny
    weight = last / (square + 0.1 * last)
    weight /= weight.sum(1, keepdims=True)
    return np.asarray(np.einsum("ik,ikd->id", weight, displacement[index]))
