"""Transport between two densities on grids with too many cells for the simplex: the ascent of the dual.

The back-and-forth method (Jacobs and Leger, Numer. Math. 146, 2020) ascends Kantorovich's dual

``J(alpha) = int alpha da + int alpha^c db,    alpha^c(y) = min_x |x - y|^2 - alpha(x)``

in H^{-1}, in turn from both sides, on coarse grids first.  The minimum is over all x in the cells, with alpha smooth
between the centres, and the integrals are over the densities that are constant on the cells.  J is flat at its
maximum, so its value errs by the square of what the potentials err by.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.c_transform import on_grid
from jko.metrics.couplings import Array
from jko.metrics.masses import Masses, deposited

COARSEST = 2**10  # cells: up to here no coarser grid
ITERATIONS = 50  # of the ascent on one grid, back and forth
WINDOW, FLAT = 4, 1e-5  # stop when WINDOW iterations raised the value by less than FLAT of it
UPPER, LOWER, FASTER, SLOWER = 0.75, 0.25, 1.1, 0.9  # Armijo's rule for the length of a step


class Ascended(NamedTuple):
    """Potentials at the centres of both grids, and an estimate of W2^2 between the densities."""

    alpha: Array
    beta: Array
    value: float


def ascend(a: Masses, b: Masses) -> Ascended:
    """Potentials that are near the maximum of J, and J."""
    if max(a.masses.size, b.masses.size) <= COARSEST:
        return _ascend(a, b, affine(a, b))
    coarse = a.halved(), b.halved()
    return _ascend(a, b, coarse[0].interpolated(ascend(*coarse).alpha, a.axes))


def _ascend(a: Masses, b: Masses, alpha: Array) -> Ascended:
    """The ascent on one grid, from a given potential or the affine one, if that is better."""
    best = max((_conjugated(a, b, start) for start in (alpha, affine(a, b))), key=lambda p: p.value)
    alpha, beta, _ = best
    values = [best.value]
    length = 2.0 / max((s.masses / np.prod(s.spacing)).max() for s in (a, b))
    for _ in range(ITERATIONS):
        alpha, beta, length = _climb(a, b, alpha, beta, length)
        beta, alpha, length = _climb(b, a, beta, alpha, length)
        value = _value(a, b, alpha, beta)
        if value > best.value:
            best = Ascended(alpha, beta, value)
        values.append(best.value)
        if len(values) > WINDOW and values[-1] - values[-WINDOW] <= FLAT * abs(values[-1]):
            break
    return best


def _climb(
    a: Masses, b: Masses, alpha: Array, beta: Array, length: float
) -> tuple[Array, Array, float]:
    """One step in alpha from beta = alpha^c; both are c-concave afterwards."""
    lost = a.masses - deposited(b.image(beta, a), b.masses.ravel(), a.axes)
    move = a.smooth(lost)
    slope, before = float((move * lost).sum()), _value(a, b, alpha, beta)
    alpha, beta, value = _conjugated(a, b, alpha + length * move)
    gain = value - before
    if gain > UPPER * length * slope:
        length *= FASTER
    elif gain < LOWER * length * slope:
        length *= SLOWER
    return alpha, beta, length


def _conjugated(a: Masses, b: Masses, alpha: Array) -> Ascended:
    beta = on_grid(b.axes, a.axes, alpha, between=True)
    alpha = on_grid(a.axes, b.axes, beta, between=True)
    return Ascended(alpha, beta, _value(a, b, alpha, beta))


def _value(a: Masses, b: Masses, alpha: Array, beta: Array) -> float:
    return a.integral(alpha) + b.integral(beta)


def affine(a: Masses, b: Masses) -> Array:
    """The potential of the affine map between the means and covariances: exact for translations."""
    (m, S), (n, R) = a.moments, b.moments
    root = power(S, 0.5)
    A = power(S, -0.5) @ power(root @ R @ root, 0.5) @ power(S, -0.5)
    x = a.points
    potential = ((x - n) ** 2).sum(1) - np.einsum("ia,ab,ib->i", x - m, A, x - m)
    return np.asarray(potential.reshape(a.masses.shape))


def power(S: Array, p: float) -> Array:
    """A power of a symmetric matrix that is not negative."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray((vectors * np.maximum(values, 0) ** p) @ vectors.T)
