"""The c-transform on grids: ``min_j |x_i - y_j|^2 - beta_j`` for all centres x of one grid and y of another.

The cost is a sum over axes, so the minimum is taken one axis at a time; along a line it is the lower envelope of
parabolas, found in linear time (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from jko.metrics.couplings import Array


def c_transform(x: Sequence[Array], y: Sequence[Array], beta: Array) -> Array:
    """``alpha_i = min_j |x_i - y_j|^2 - beta_j``: the largest potential that ``beta`` allows, up to rounding.

    Parameters
    ----------
    x, y
        Centres along the axes of the two grids, increasing.
    beta : (len(y[0]), len(y[1]), ...)
        A potential on the second grid; ``-inf`` leaves a centre out, some must be finite.

    Returns
    -------
    Array (len(x[0]), len(x[1]), ...)
        In O(N + M) operations for N and M centres.
    """
    values = -beta
    for axis in range(beta.ndim):
        lines = np.ascontiguousarray(np.moveaxis(values, axis, -1))
        shape = (*lines.shape[:-1], len(x[axis]))
        result = np.empty((int(np.prod(shape[:-1], dtype=int)), shape[-1]))
        _envelopes(lines.reshape(-1, lines.shape[-1]), y[axis], x[axis], result)
        values = np.moveaxis(result.reshape(shape), -1, axis)
    return np.ascontiguousarray(values)


@njit(cache=True)
def _envelopes(lines: Array, y: Array, x: Array, result: Array) -> None:  # pragma: no cover
    """``result[l, i] = min_j (x_i - y_j)^2 + lines[l, j]``, by the lower envelope of each line."""
    M, N = len(y), len(x)
    vertex, border = np.empty(M, np.int64), np.empty(M)
    for line in range(len(lines)):
        f, k = lines[line], -1
        for j in range(M):
            if f[j] == np.inf:
                continue
            start = -np.inf
            while k >= 0:  # where parabola j comes to lie below the last one
                v = vertex[k]
                start = 0.5 * ((f[j] - f[v]) / (y[j] - y[v]) + y[j] + y[v])
                if start > border[k]:
                    break
                k -= 1
                start = -np.inf
            k += 1
            vertex[k], border[k] = j, start
        if k < 0:
            result[line] = np.inf
            continue
        last, k = k, 0
        for i in range(N):
            while k < last and border[k + 1] < x[i]:
                k += 1
            v = vertex[k]
            result[line, i] = (x[i] - y[v]) ** 2 + f[v]
