"""Lower envelopes of parabolas, in linear time (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012)."""

import numpy as np
from numba import njit

from jko.metrics.couplings import Array


@njit(cache=True)
def envelopes(lines: Array, y: Array, x: Array, result: Array) -> None:  # pragma: no cover
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
