"""Transport between two densities on grids with too many cells for the simplex: the ascent of the dual.

The back-and-forth method (Jacobs and Leger, Numer. Math. 146, 2020) ascends Kantorovich's dual

``J(alpha) = int alpha da + int alpha^c db,    alpha^c(y) = min_x |x - y|^2 - alpha(x)``

in H^{-1}, in turn from both sides.  Every J is a lower bound of W2^2 of the atoms at the centres, exactly, because the
c-transform is.
"""

from __future__ import annotations

import numpy as np

from jko.metrics.c_transform import on_grid
from jko.metrics.couplings import Array
from jko.metrics.masses import Masses, deposited

ITERATIONS = 200  # of the ascent, back and forth
WINDOW, FLAT = 20, 1e-6  # stop when WINDOW iterations raised the bound by less than FLAT of it
UPPER, LOWER, FASTER, SLOWER = 0.75, 0.25, 1.1, 0.9  # Armijo's rule for the length of a step


def ascend(a: Masses, b: Masses) -> tuple[Array, Array, float]:
    """Potentials on both grids and their value J, a lower bound of W2^2."""
    alpha = affine(a, b)
    beta = on_grid(b.axes, a.axes, alpha)
    alpha = on_grid(a.axes, b.axes, beta)
    value = _value(a, b, alpha, beta)
    best, values = (alpha, beta, value), [value]
    length = 2.0 / max((s.masses / np.prod(s.spacing)).max() for s in (a, b))
    for _ in range(ITERATIONS):
        alpha, beta, length = _climb(a, b, alpha, beta, length)
        beta, alpha, length = _climb(b, a, beta, alpha, length)
        value = _value(a, b, alpha, beta)
        if value > best[2]:
            best = (alpha, beta, value)
        values.append(best[2])
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
    beta = on_grid(b.axes, a.axes, alpha + length * move)
    alpha = on_grid(a.axes, b.axes, beta)
    gain = _value(a, b, alpha, beta) - before
    if gain > UPPER * length * slope:
        length *= FASTER
    elif gain < LOWER * length * slope:
        length *= SLOWER
    return alpha, beta, length


def _value(a: Masses, b: Masses, alpha: Array, beta: Array) -> float:
    return float((a.masses * alpha).sum() + (b.masses * beta).sum())


def affine(a: Masses, b: Masses) -> Array:
    """The potential of the affine map between the means and covariances: exact for translations."""
    (m, S), (n, R) = _moments(a), _moments(b)
    root = _power(S, 0.5)
    A = _power(S, -0.5) @ _power(root @ R @ root, 0.5) @ _power(S, -0.5)
    x = a.points
    potential = ((x - n) ** 2).sum(1) - np.einsum("ia,ab,ib->i", x - m, A, x - m)
    return np.asarray(potential.reshape(a.masses.shape))


def _moments(a: Masses) -> tuple[Array, Array]:
    """Mean, and covariance of the density that is constant on the cells."""
    mean = a.masses.ravel() @ a.points
    z = a.points - mean
    return mean, (a.masses.ravel()[:, None] * z).T @ z + np.diag(np.square(a.spacing)) / 12


def _power(S: Array, p: float) -> Array:
    values, vectors = np.linalg.eigh(S)
    return np.asarray((vectors * np.maximum(values, 0) ** p) @ vectors.T)
