"""Exact transport between two weighted clouds for the cost |x - y|^2: which way is taken, and its result.

``W2^2 = min over plans of sum_ij plan_ij |x_i - y_j|^2 = max over potentials of sum a_i alpha_i + sum b_j beta_j``
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from jko.metrics.base import EXACT, Distance
from jko.metrics.constraints import price_beside
from jko.metrics.couplings import Array, Index, Plan, pair_costs, squares
from jko.metrics.expansions import EPS
from jko.metrics.pricing import price, rounding
from jko.metrics.refinement import centred_cost, refined, translation
from jko.metrics.simplex import ALL_PAIRS, all_pairs
from jko.metrics.supplies import astray, plan_of_flow, settled, staircase, supplies

TREE_DIM = 8  # nearest neighbours by a tree up to this dimension, by blocks of pairs above
PLAIN = 400  # coordinates between 2^-400 and 2^400 have squares, with all their digits


def transport(x: Array, a: Array, y: Array, b: Array) -> Distance:
    """Solve the transport problem exactly.

    The plan is optimal at the scale of the clouds, not only at that of their distance, where ``exact`` says so: its
    ``gap`` is small next to the cost that is left when the clouds are moved on top of each other.

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
    >>> transport(x, np.full(2, 0.5), y, np.full(2, 0.5)).squared
    0.5
    """
    unit = unit_of(x, y)
    if unit == 1.0:
        return _transport(x, a, y, b)
    found = _transport(x / unit, a, y / unit, b)
    with np.errstate(over="ignore", under="ignore"):
        squared, alpha, beta, gap = (
            np.multiply(p, unit) * unit for p in (found.squared, *found.potentials, found.gap)
        )
    return replace(
        found,
        squared=float(squared),
        potentials=(alpha, beta),
        gap=float(gap),
        length=found.value * unit,
    )


def among(
    found: Distance,
    held: tuple[Index, Index],
    shape: tuple[int, int],
    largest_a: Callable[[Index, Array], Array],
    largest_b: Callable[[Index, Array], Array],
) -> Distance:
    """A distance between those of more atoms that hold mass, as one between all: the others are in no pair of the plan.

    Parameters
    ----------
    held
        Which atoms these are, on each side; ``shape`` says of how many.
    largest_a, largest_b
        The largest potentials of some atoms that potentials on all of the other side allow, where -inf allows all.
    """
    (rows, cols), plan = held, found.plan
    alpha, beta = (np.full(count, -np.inf) for count in shape)
    alpha[rows], beta[cols] = found.potentials
    i, j = (np.delete(np.arange(count), kept) for count, kept in zip(shape, held, strict=True))
    if len(i):
        alpha[i] = largest_a(i, beta)
    if len(j):
        beta[j] = largest_b(j, alpha)
    plan = Plan(rows[plan.rows], cols[plan.cols], plan.mass, shape)
    return replace(found, plan=plan, potentials=(alpha, beta))


def unit_of(*clouds: Array) -> float:
    """The power of two that coordinates are measured in: one, unless their squares would leave the numbers."""
    largest = max(float(np.abs(x).max(initial=0.0)) for x in clouds)
    exponent = math.frexp(largest)[1]
    return 1.0 if largest == 0 or abs(exponent) <= PLAIN else math.ldexp(1.0, exponent - 1)


def _transport(x: Array, a: Array, y: Array, b: Array) -> Distance:
    if x.shape == y.shape and np.array_equal(a, b):
        potentials = nearest_partners(x, y)
        if potentials is not None:
            return _proved(x, a, y, b, Plan.identity(a), *potentials)
    if x.shape[1] == 1:
        found = on_the_line(x, a, y, b)
    elif len(x) * len(y) <= ALL_PAIRS:
        found = all_pairs(x, a, y, b)
    else:
        from jko.metrics.multiscale import multiscale  # numba loads here

        found = multiscale(x, a, y, b)
    return _proved(x, a, y, b, *found)


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


def in_order(x: Array, a: Array, y: Array, b: Array) -> Plan:
    """Monotone coupling of atoms at x (N,) and y (M,) on a line."""
    return _staircase(x, a, y, b)[0]


def _staircase(x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Index, Index, Index, Index]:
    """The coupling; the orders of x and y; and rows and columns of the staircase in them."""
    exact = supplies(a, b)
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    rows, cols, flow = staircase(exact.a[order_x], exact.b[order_y])
    plan = plan_of_flow(order_x[rows], order_y[cols], flow, exact, a, b)
    return plan, order_x, order_y, rows, cols


def on_the_line(x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Array, Array]:
    """Monotone coupling of atoms at x (N, 1) and y (M, 1), and its potentials along the staircase.

    One step along the staircase changes one potential, by ``c(x', y) - c(x, y) = (x' - x)(x' + x - 2 y)``.
    """
    plan, order_x, order_y, rows, cols = _staircase(x[:, 0], a, y[:, 0], b)
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
    return plan, alpha, beta


def _proved(
    x: Array, a: Array, y: Array, b: Array, plan: Plan, alpha: Array, beta: Array
) -> Distance:
    """Shift the potentials to feasibility and measure what they leave open; where that is too much, refine."""
    line, unsure = x.shape[1] == 1, 0.0
    if not line or len(x) * len(y) <= 2**22:
        priced = price_beside(x, y, alpha, beta, plan)
        beta, unsure = beta - priced.deficit, float(b @ priced.unsure)
    left, right = alpha[plan.rows], beta[plan.cols]
    costs = pair_costs(x, y, plan.rows, plan.cols)
    plan, slack = settled(plan, a, b, costs), costs - left - right
    gap = 0.0 if line else max(0.0, float(plan.mass @ slack))
    unsure += float(plan.mass @ rounding(x.shape[1], slack, left, right))
    exact = line or _proves(gap + unsure, x, y, plan)
    if not exact:
        plan, alpha, beta, gap = refined(x, a, y, b, plan, alpha, beta)
        plan = settled(plan, a, b, pair_costs(x, y, plan.rows, plan.cols))
        exact = _proves(gap, x, y, plan)
    exact = exact and astray(plan, a, b) * _square(x, y) <= EXACT * plan.cost(x, y)
    return Distance(plan.cost(x, y), plan, (alpha, beta), gap, exact, plan.length(x, y))


def _square(x: Array, y: Array) -> float:
    """Squared diagonal of the box around both clouds."""
    low, high = np.minimum(x.min(0), y.min(0)), np.maximum(x.max(0), y.max(0))
    return float(((high - low) ** 2).sum())


def _proves(gap: float, x: Array, y: Array, plan: Plan) -> bool:
    """Whether a gap is small next to the cost beyond a translation, or that cost is rounding of the coordinates."""
    t = translation(x, y, plan)
    centred = centred_cost(x, y, t, plan)
    size = np.abs(x[plan.rows]) + np.abs(y[plan.cols]) + np.abs(t)
    return gap <= EXACT * centred or centred <= float(plan.mass @ squares(EPS * size))
