"""Lower envelopes of parabolas, in linear time (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012)."""

import numpy as np

from jko.metrics.couplings import Array
from jko.numerics.compiled import njit


@njit(cache=True)
def envelopes(
    lines: Array, y: Array, x: Array, result: Array, between: bool
) -> None:  # pragma: no cover
    """``result[l, i] = min_j (x_i - y_j)^2 + lines[l, j]``, by the lower envelope of each line.

    ``between``: the minimum over all y in the cells around the y_j, with lines a parabola through three neighbours.
    """
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
            if between and M > 2:
                result[line, i] += _beside(f, y, x[i], v)


@njit(cache=True)
def _beside(f: Array, y: Array, x: float, v: int) -> float:  # pragma: no cover
    """What ``(x - y)^2 + f`` falls by within half a cell of its least value on the centres, y_v; not positive."""
    M = len(y)
    w = min(max(v, 1), M - 2)
    below, here, above = f[w - 1], f[w], f[w + 1]
    if not (below < np.inf and above < np.inf and here < np.inf):
        return 0.0
    h = y[w] - y[w - 1]
    bend = below + above - 2 * here + 2 * h * h  # of the sum, by a cell
    if bend <= 0:
        return 0.0
    slope = 0.5 * (above - below) - 2 * h * (x - y[w]) + (v - w) * bend  # at y_v
    t = min(0.5, max(-0.5, -slope / bend))
    return min(0.0, t * (slope + 0.5 * bend * t))
