"""Exact transport on a circle: the monotone couplings of the line, turned, of which one is the best.

Unrolled, a coupling of two measures on a circle of length P is optimal if and only if it is monotone and as good as
those turned a little further.  So the plan takes the quantile u of x to the quantile ``u - theta`` of y, where those
gain P when u gains 1, and its cost is convex in theta (Delon, Salomon and Sobolevskii, SIAM J. Appl. Math. 70, 2010).
Masses are whole numbers here, so the cost is linear between whole theta, and bisection of its slope ends.

The slope is the sum of ``alpha(x_{i+1}) - alpha(x_i)`` once around, with the steps that the potential takes between
atoms while its partner y stays: ``(x' - x)(x' + x - 2 y)``.  Where the partner changes with it, all between those of
the old and the new one will do: at the best theta some make the sum zero, and alpha comes round.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, sums
from jko.metrics.supplies import plan_of_flow, staircase, supplies


class Turned(NamedTuple):
    """Sorted atoms on the unrolled line, and the levels of their masses, whole numbers."""

    x: Array
    y: Array
    up: Array  # masses of x up to each atom and with it
    across: Array
    period: float

    def partners(self, theta: float, after: bool) -> Array:
        """Positions y before, or after, the level at which x leaves each atom, (N,)."""
        level, total = self.up - theta, self.up[-1]
        turn = np.floor(level / total) if after else np.ceil(level / total) - 1
        rest = level - turn * total
        index = np.searchsorted(self.across, rest, side="right" if after else "left")
        return np.asarray(self.y[np.minimum(index, len(self.y) - 1)] + turn * self.period)

    def steps(self, theta: float, after: bool) -> Array:
        """Those of alpha from each atom of x to the next, once around, (N,)."""
        x, further = self.x, np.append(self.x[1:], self.x[0] + self.period)
        y = self.partners(theta, after)
        return np.asarray((further - x) * ((further - y) + (x - y)))


def on_the_circle(
    x: Array, a: Array, y: Array, b: Array, period: float
) -> tuple[Plan, Array, Array]:
    """The optimal coupling of atoms at x (N,) and y (M,), all within one period, and its potentials."""
    exact = supplies(a, b)
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    masses = exact.b[order_y]
    turned = Turned(x[order_x], y[order_y], np.cumsum(exact.a[order_x]), np.cumsum(masses), period)
    theta = _best(turned)
    low, high = (turned.steps(theta, after) for after in (True, False))
    span = float(high.sum() - low.sum())
    share = min(1.0, max(0.0, -float(low.sum()) / span)) if span > 0 else 0.5
    alpha = np.empty(len(x))
    alpha[order_x] = np.append(0.0, np.cumsum(low + share * (high - low))[:-1])
    first, pieces = _begun(turned, masses, theta)
    rows, cols, flow = staircase(exact.a[order_x], pieces)
    i, j = order_x[rows], order_y[(first + cols) % len(y)]
    plan = plan_of_flow(*_joined(i, j, flow, len(y)), exact, a, b)
    beta = np.full(len(y), np.inf)
    z = x[i] - y[j]
    costs = np.square(z - period * np.rint(z / period))
    np.minimum.at(beta, j, costs - alpha[i])
    return plan, alpha, beta


def _best(turned: Turned) -> float:
    """The least whole theta from which the cost no longer falls."""
    total = float(turned.up[-1])
    low, high = -2 * total, 2 * total
    while high - low > 1:
        middle = float(np.floor(0.5 * (low + high)))
        if turned.steps(middle, after=False).sum() >= 0:
            high = middle
        else:
            low = middle
    return high


def _begun(turned: Turned, masses: Array, theta: float) -> tuple[int, Array]:
    """The atom y that the first x begins with, and the masses from there once around; its rest stands last."""
    total = turned.across[-1]
    level = -theta - np.floor(-theta / total) * total
    first = min(int(np.searchsorted(turned.across, level, side="right")), len(masses) - 1)
    pieces = np.append(np.roll(masses, -first), 0.0)
    pieces[0] = turned.across[first] - level
    pieces[-1] = masses[first] - pieces[0]
    return first, pieces


def _joined(i: Index, j: Index, flow: Array, M: int) -> tuple[Index, Index, Array]:
    """Flows between the same two atoms, one across the seam, as one."""
    label, inverse = np.unique(i * M + j, return_inverse=True)
    return label // M, label % M, sums(inverse.reshape(-1), flow, len(label))
