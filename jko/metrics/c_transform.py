"""The c-transform: the largest potential that another one allows, between all atoms of two clouds or two grids.

``alpha_i = min_j |x_i - y_j|^2 - beta_j``, so that ``alpha_i + beta_j <= |x_i - y_j|^2`` for all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jko.metrics.couplings import Array
from jko.metrics.pricing import RoughCosts


def on_atoms(x: Array, y: Array, beta: Array) -> Array:
    """``min_j |x_i - y_j|^2 - beta_j`` for x (N, dim), y (M, dim) and beta (M,); shape (N,), up to rounding."""
    reduced = RoughCosts(x, y, np.zeros(len(x)), beta)
    return np.concatenate([costs.min(1) for _, costs in reduced.blocks()])


def on_grid(x: Sequence[Array], y: Sequence[Array], beta: Array, between: bool = False) -> Array:
    """The same for all centres of two grids, one axis at a time, since the cost is a sum over axes.

    Parameters
    ----------
    x, y
        Centres along the axes of the two grids, increasing.
    beta : (len(y[0]), len(y[1]), ...)
        A potential on the second grid; ``-inf`` leaves a centre out, some must be finite.
    between
        Whether the minimum is over the cells of the second grid rather than their centres, with beta smooth between
        these: an estimate to fourth order in the spacing, and no bound.

    Returns
    -------
    Array (len(x[0]), len(x[1]), ...)
        In O(N + M) operations for N and M centres.
    """
    values = -beta
    for axis in range(beta.ndim):
        values = along(x[axis], y[axis], values, axis, between)
    return np.ascontiguousarray(values)


def along(x: Array, y: Array, values: Array, axis: int, between: bool = False) -> Array:
    """``min_j (x_i - y_j)^2 + values_j`` along one axis of a grid: the cost of moving along it is said here alone."""
    from jko.metrics.envelopes import envelopes  # numba loads here

    lines = np.ascontiguousarray(np.moveaxis(values, axis, -1))
    shape = (*lines.shape[:-1], len(x))
    result = np.empty((int(np.prod(shape[:-1], dtype=int)), shape[-1]))
    envelopes(lines.reshape(-1, lines.shape[-1]), y, x, result, between)
    return np.moveaxis(result.reshape(shape), -1, axis)
