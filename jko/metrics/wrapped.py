"""Exact transport where coordinates come round: the cost is the squared length of the shortest way.

``W2^2 = min over plans of sum_ij plan_ij |x_i - y_j|_P^2``, ``|z|_P^2 = min over whole k of |z + k P|^2``

On a circle by :mod:`jko.metrics.circle`, at any size.  Else by a network simplex on the matrix of all costs: this cost
is no polynomial, so the fast ways of :mod:`jko.metrics.multiscale` do not know it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.spatial import cKDTree

from jko.metrics.base import EXACT, Distance
from jko.metrics.circle import on_the_circle
from jko.metrics.couplings import BLOCK, Array, Index, Plan, squares
from jko.metrics.simplex import dense_simplex
from jko.metrics.supplies import plan_of_flow, settled, supplies
from jko.metrics.transport import transport
from jko.spaces import Domain

PAIRS = 36 * 10**6  # 6000 atoms on either side: 290 MB, half a minute
CHECKED = 4 * 10**8  # pairs up to which potentials on the circle are looked at one by one


@dataclass(frozen=True, eq=False)
class Seam:
    """Periods of the coordinates, (dim,), inf for those that do not come round."""

    periods: Array

    @classmethod
    def of(cls, domain: Domain | None) -> Seam:
        """That of a domain that comes round."""
        return cls(np.array(() if domain is None else domain.periods))

    @property
    def finite(self) -> Array:
        """The periods that there are."""
        return self.periods[np.isfinite(self.periods)]

    def shortest(self, moves: Array) -> Array:
        """The shortest moves (..., dim) between the same places."""
        round_ = np.isfinite(self.periods)
        length = np.where(round_, self.periods, 1.0)
        return np.where(round_, moves - length * np.rint(moves / length), moves)

    def costs(self, x: Array, y: Array, rows: Index, cols: Index) -> Array:
        """``|x[rows[k]] - y[cols[k]]|_P^2``, (K,)."""
        return squares(self.shortest(x[rows] - y[cols]))

    def matrix(self, x: Array, y: Array) -> Array:
        """All of them, (n, M)."""
        total = np.zeros((len(x), len(y)))
        for k, period in enumerate(self.periods):
            z = x[:, k, None] - y[:, k]
            if math.isfinite(period):
                z -= period * np.rint(z / period)
            total += z * z
        return total

    def tree(self, x: Array) -> tuple[cKDTree, Array]:
        """A tree of atoms, and where it begins."""
        round_ = np.isfinite(self.periods)
        low = np.where(round_, x.min(0), 0.0)
        return cKDTree(self._from(low, x), boxsize=np.where(round_, self.periods, 0.0)), low

    def _from(self, low: Array, points: Array) -> Array:
        """The same places, periodic coordinates in ``[0, period)`` from ``low`` on."""
        round_ = np.isfinite(self.periods)
        return np.where(round_, np.mod(points - low, np.where(round_, self.periods, 1.0)), points)

    def nearest(self, x: Array, points: Array, count: int) -> Index:
        """The nearest atoms of x to each point, (n, count)."""
        tree, low = self.tree(x)
        return np.asarray(
            tree.query(self._from(low, points), k=np.arange(1, count + 1))[1], dtype=np.int64
        )


def transport_in(domain: Domain | None) -> Callable[[Array, Array, Array, Array], Distance]:
    """The program that solves the transport problem (x, a, y, b) between atoms in a domain."""
    if domain is None or not domain.periods:
        return transport
    return partial(wrapped_transport, periods=np.array(domain.periods))


def wrapped_transport(x: Array, a: Array, y: Array, b: Array, periods: Array) -> Distance:
    """Solve the transport problem exactly, with its proof: as :func:`jko.metrics.transport` for these costs.

    Raises
    ------
    ValueError
        More than 3.6e7 pairs, but on a circle.
    """
    seam = Seam(np.asarray(periods, dtype=np.float64))
    if len(seam.periods) == 1 and math.isfinite(periods[0]):
        period = float(periods[0])
        inside = (np.mod(z[:, 0] - x.min(), period) for z in (x, y))
        (x1, y1) = inside
        return _proved(seam, x, a, y, b, *on_the_circle(x1, a, y1, b, period))
    if x.shape == y.shape and np.array_equal(a, b):
        index = np.arange(len(x))
        own = seam.costs(x, y, index, index)
        if (own <= seam.costs(x, y, seam.nearest(x, y, 1)[:, 0], index)).all():
            return _proved(seam, x, a, y, b, Plan.identity(a), np.zeros_like(own), own)
    return _proved(seam, x, a, y, b, *_by_simplex(seam, x, a, y, b))


def _by_simplex(seam: Seam, x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Array, Array]:
    """POT's network simplex on the matrix of all costs, for whole-number masses."""
    if len(x) * len(y) > PAIRS:
        raise ValueError(
            f"{len(x)} x {len(y)} pairs of atoms or cells are more than the {PAIRS:.2g} that transport on a domain "
            "with periodic axes takes, since it keeps the cost of every pair; take fewer, or one axis: a circle has no "
            "limit"
        )
    exact = supplies(a, b)
    costs = seam.matrix(x, y)
    scale = float(costs.max()) or 1.0
    dense, alpha, beta = dense_simplex(exact.a, exact.b, costs / scale)
    rows, cols = np.nonzero(dense)
    plan = plan_of_flow(rows, cols, dense[rows, cols], exact, a, b)
    return plan, scale * alpha, scale * beta


def _proved(
    seam: Seam, x: Array, a: Array, y: Array, b: Array, plan: Plan, alpha: Array, beta: Array
) -> Distance:
    """Shift the potentials until every pair allows them, and measure what they leave open.

    On a circle with more than 4e8 pairs they stay as they are.
    """
    costs = seam.costs(x, y, plan.rows, plan.cols)
    plan = settled(plan, a, b, costs)
    if len(x) * len(y) <= CHECKED:
        beta = np.minimum(beta, largest(seam, y, x, alpha))
    slack = costs - alpha[plan.rows] - beta[plan.cols]
    squared, gap = float(plan.mass @ costs), max(0.0, float(plan.mass @ slack))
    size = float(plan.mass @ (np.abs(alpha[plan.rows]) + np.abs(beta[plan.cols]) + costs))
    unsure = 8 * np.finfo(np.float64).eps * size
    circle = len(seam.periods) == len(seam.finite) == 1  # the order of the atoms is the proof
    exact = circle or gap + unsure <= EXACT * squared
    return Distance(squared, plan, (alpha, beta), gap, bool(exact or squared == 0))


def largest(seam: Seam, x: Array, y: Array, beta: Array) -> Array:
    """``min_j |x_i - y_j|_P^2 - beta_j``: the largest potential of each x that those of y allow."""
    blocks = np.array_split(x, max(1, len(x) * len(y) // BLOCK))
    return np.concatenate([(seam.matrix(some, y) - beta).min(1) for some in blocks])
