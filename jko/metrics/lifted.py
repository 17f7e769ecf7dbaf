"""W2 between atoms of which some have no mass: those of lifts, and of cells."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jko.measures import Particles
from jko.metrics.base import EXACT, Distance
from jko.metrics.c_transform import on_atoms
from jko.metrics.couplings import Array, as_array
from jko.metrics.pricing import price
from jko.metrics.transport import among
from jko.metrics.wrapped import Seam, largest, transport_in
from jko.spaces import Domain

NEGLIGIBLE = 2.0**-53  # of the whole mass: what a weight is rounded by


def lifted_distance(mu: Particles, nu: Particles) -> Distance:
    """W2 between atoms of which some may have no mass; those are extended to, not transported.

    ``gap`` counts the masses below half a unit of rounding, which are left where they are.
    """
    (x, a), (y, b) = atoms(mu), atoms(nu)
    rows, cols = (np.flatnonzero(m > NEGLIGIBLE) for m in (a, b))
    found = transport_in(mu.domain)(x[rows], a[rows], y[cols], b[cols])
    if len(rows) == len(x) and len(cols) == len(y):
        return found
    with np.errstate(over="ignore", invalid="ignore"):  # squares of more than 1e154 are infinite
        found = among(
            found,
            (rows, cols),
            (len(x), len(y)),
            lambda i, beta: _largest(x[i], y[cols], beta[cols], mu.domain),
            lambda j, alpha: _largest(y[j], x, alpha, mu.domain),
        )
        left = sum(
            float(np.delete(m * abs(p), kept).sum())
            for m, p, kept in zip((a, b), found.potentials, (rows, cols), strict=True)
        )
    gap = found.gap + left
    exact = found.exact and left <= EXACT * found.squared
    return replace(found, gap=math.inf if math.isnan(gap) else gap, exact=exact)


def atoms(measure: Particles) -> tuple[Array, Array]:
    """Points (N, dim) and weights (N,) with sum one."""
    weights = as_array(measure.weights)
    return as_array(measure.points), weights / weights.sum()


def _largest(x: Array, y: Array, beta: Array, domain: Domain | None) -> Array:
    """``min_j |x_i - y_j|^2 - beta_j``, safe from rounding."""
    if domain is not None and domain.periods:
        return largest(Seam.of(domain), x, y, beta)
    alpha = on_atoms(x, y, beta)
    return np.asarray(alpha - price(y, x, beta, alpha).deficit)
