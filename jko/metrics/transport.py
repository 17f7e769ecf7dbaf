"""Exact transport between two weighted clouds for the cost |x - y|^2: which way is taken, and its result.

``W2^2 = min over plans of sum_ij plan_ij |x_i - y_j|^2 = max over potentials of sum a_i alpha_i + sum b_j beta_j``
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from jko.metrics.couplings import Array, Plan, pair_costs
from jko.metrics.pricing import price
from jko.metrics.simplex import sparse_simplex
from jko.metrics.supplies import plan_of_flow, staircase, supplies

TREE_DIM = 8  # nearest neighbours by a tree up to this dimension, by blocks of pairs above


@dataclass(frozen=True, eq=False)
class Transport:
    """An optimal plan with the potentials that prove it.

    ``cost - gap <= W2^2 <= cost`` up to rounding, since the potentials satisfy
    ``alpha[i] + beta[j] <= |x_i - y_j|^2`` for all pairs.
    """

    plan: Plan
    cost: float
    alpha: Array
    beta: Array
    gap: float


def transport(x: Array, a: Array, y: Array, b: Array) -> Transport:
    """Solve the transport problem exactly.

    Parameters
    ----------
    x, a : (N, dim), (N,)
        Atoms and their positive weights, float64.
    y, b : (M, dim), (M,)
        The other side; ``b`` has the total of ``a`` up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [0.0]])
    >>> transport(x, np.full(2, 0.5), y, np.full(2, 0.5)).cost
    0.5
    """
    if x.shape == y.shape and np.array_equal(a, b):
        found = nearest_partners(x, y)
        if found is not None:
            return _proved(x, a, y, b, Plan.identity(a), *found)
    solve = on_the_line if x.shape[1] == 1 else sparse_simplex
    return _proved(x, a, y, b, *solve(x, a, y, b))


def nearest_partners(x: Array, y: Array) -> tuple[Array, Array] | None:
    """Potentials of the index coupling if no atom has a partner nearer than its own, on one of the sides.

    Then ``alpha = 0, beta_j = |x_j - y_j|^2`` is feasible and leaves no gap, whatever the weights.  Displacements of
    at most half the smallest gap between atoms of x are a special case.
    """
    index = np.arange(len(x))
    own = pair_costs(x, y, index, index)
    for cloud, other, side in ((x, y, 1), (y, x, 0)):
        if (own <= _nearest_square(cloud, other, own)).all():
            return (np.zeros_like(own), own) if side else (own, np.zeros_like(own))
    return None


def _nearest_square(cloud: Array, points: Array, own: Array) -> Array:
    """Squared distances from the points to the nearest atom of the cloud; exact where they equal ``own``."""
    if cloud.shape[1] <= TREE_DIM:
        _, index = cKDTree(cloud).query(points)
        return pair_costs(cloud, points, np.asarray(index), np.arange(len(points)))
    return own - price(cloud, points, np.zeros(len(cloud)), own).deficit


def on_the_line(x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Array, Array]:
    """Monotone coupling of sorted atoms, and its potentials along the staircase.

    One step along the staircase changes one potential, by ``c(x', y) - c(x, y) = (x' - x)(x' + x - 2 y)``.
    """
    exact = supplies(a, b)
    order_x, order_y = np.argsort(x[:, 0], kind="stable"), np.argsort(y[:, 0], kind="stable")
    rows, cols, flow = staircase(exact.a[order_x], exact.b[order_y])
    xs, ys = x[order_x, 0], y[order_y, 0]
    down = np.diff(rows) == 1
    i, j = rows[:-1][down], cols[:-1][down]
    alpha, beta = np.zeros(len(x)), np.zeros(len(y))
    alpha[order_x[1:]] = np.cumsum((xs[i + 1] - xs[i]) * ((xs[i + 1] - ys[j]) + (xs[i] - ys[j])))
    i, j = rows[:-1][~down], cols[:-1][~down]
    first = (xs[0] - ys[0]) ** 2
    beta[order_y[0]] = first
    steps = (ys[j + 1] - ys[j]) * ((ys[j + 1] - xs[i]) + (ys[j] - xs[i]))
    beta[order_y[1:]] = first + np.cumsum(steps)
    plan = plan_of_flow(order_x[rows], order_y[cols], flow, exact, a)
    return plan, alpha, beta


def _proved(
    x: Array, a: Array, y: Array, b: Array, plan: Plan, alpha: Array, beta: Array
) -> Transport:
    """Shift the potentials to exact feasibility and measure what they leave open."""
    if x.shape[1] > 1 or len(x) * len(y) <= 2**22:
        beta = beta - price(x, y, alpha, beta).deficit
    slack = pair_costs(x, y, plan.rows, plan.cols) - alpha[plan.rows] - beta[plan.cols]
    return Transport(plan, plan.cost(x, y), alpha, beta, max(0.0, float(plan.mass @ slack)))
