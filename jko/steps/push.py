"""The push of a density on a grid along the geodesic that a step has found.

A step with the potential phi moves mass with the velocity ``-grad phi`` for time tau, measured where the mass ends.
Going on for time s is transport by the frozen velocity at the middle of that time,

``p = phi + tau/4 |grad phi|^2``,   ``v = -grad(p + s/4 |grad p|^2)``   (Hamilton-Jacobi, d_t p = |grad p|^2 / 2),

with upwind fluxes of van Leer's slopes and the two-stage method of Shu and Osher.  Mass is exact, and as at most
half of a cell flows out in a substep, densities stay positive.  No flux crosses the box or a closed cell.

Arrays are flat, one number for each cell in C order; an axis is (cells before it, cells along it, stride).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

OUTFLOW = 0.499  # of a cell in a substep
SUBSTEPS = 5000


def push(
    density: Array,
    potential: Array,
    spacing: tuple[float, ...],
    *,
    tau: float,
    time: float,
    closed: NDArray[np.bool_] | None = None,
) -> Array | None:
    """The density after going on along the geodesic for ``time``.

    Parameters
    ----------
    density, potential : (n_1, ..., n_d)
        The state that a step of length ``tau`` ended in, and its potential.
    spacing
        Widths of a cell.
    closed : (n_1, ..., n_d), optional
        Cells that take no mass.

    Returns
    -------
    (n_1, ..., n_d) array, or None
        None where it would take more than 5000 substeps: then the velocity is of no use.
    """
    shape = density.shape
    axes = np.array(
        [(math.prod(shape[:k]), n, math.prod(shape[k + 1 :])) for k, n in enumerate(shape)]
    )
    h = np.array(spacing, dtype=np.float64)
    taken = np.zeros(density.size, np.bool_) if closed is None else np.ravel(closed).copy()
    phi = np.where(taken, 0.0, np.ravel(potential).astype(np.float64))
    p = phi + tau / 4 * squares(slopes(phi, axes, h, taken), axes, taken)
    p += time / 4 * squares(slopes(p, axes, h, taken), axes, taken)
    velocity = -slopes(p, axes, h, taken)
    fastest = time * outflow(velocity, axes, h)
    if not fastest < OUTFLOW * SUBSTEPS:
        return None
    substeps = max(1, math.ceil(fastest / OUTFLOW))
    start = np.ravel(density).astype(np.float64)
    return transport(start, velocity, axes, h, time / substeps, substeps).reshape(shape)


@njit(cache=True)
def slopes(p, axes, h, closed):  # type: ignore[no-untyped-def]
    """Differences across the face behind each cell, (d, N); zero at the box and at closed cells."""
    g = np.zeros((len(axes), p.size))
    for k in range(len(axes)):
        before, n, stride = axes[k]
        for a in range(before):
            for c in range(a * n * stride, ((a + 1) * n - 1) * stride):
                if not (closed[c] or closed[c + stride]):
                    g[k, c] = (p[c + stride] - p[c]) / h[k]
    return g


@njit(cache=True)
def squares(g, axes, closed):  # type: ignore[no-untyped-def]
    """``|grad p|^2`` in the cells: for each axis the mean of the squares on the faces that are open."""
    q = np.zeros(g.shape[1])
    for k in range(len(axes)):
        before, n, stride = axes[k]
        for a in range(before):
            first = a * n * stride
            last = first + (n - 1) * stride
            for c in range(first, last + stride):
                lower = c - stride >= first and not (closed[c] or closed[c - stride])
                upper = c < last and not (closed[c] or closed[c + stride])
                if lower and upper:
                    q[c] += 0.5 * (g[k, c - stride] ** 2 + g[k, c] ** 2)
                elif lower:
                    q[c] += g[k, c - stride] ** 2
                elif upper:
                    q[c] += g[k, c] ** 2
    return q


@njit(cache=True)
def outflow(v, axes, h):  # type: ignore[no-untyped-def]
    """The largest part of a cell that flows out in unit time."""
    rate = np.zeros(v.shape[1])
    for k in range(len(axes)):
        before, n, stride = axes[k]
        for a in range(before):
            for c in range(a * n * stride, ((a + 1) * n - 1) * stride):
                if v[k, c] > 0:
                    rate[c] += v[k, c] / h[k]
                else:
                    rate[c + stride] -= v[k, c] / h[k]
    return rate.max()


@njit(cache=True)
def transport(rho, v, axes, h, dt, substeps):  # type: ignore[no-untyped-def]
    """``d_t rho + div(rho v) = 0`` by the two-stage method of Shu and Osher."""
    for _ in range(substeps):
        first = rho + dt * change(rho, v, axes, h)
        rho = 0.5 * (rho + first + dt * change(first, v, axes, h))
    return rho


@njit(cache=True)
def change(rho, v, axes, h):  # type: ignore[no-untyped-def]
    """``-div(rho v)``, upwind."""
    total = np.zeros_like(rho)
    for k in range(len(axes)):
        before, n, stride = axes[k]
        for a in range(before):
            first = a * n * stride
            last = first + (n - 1) * stride
            for c in range(first, last):
                speed = v[k, c]
                if speed > 0:
                    slope = 0.0
                    if c - stride >= first:
                        slope = harmonic(rho[c] - rho[c - stride], rho[c + stride] - rho[c])
                    flux = speed * (rho[c] + 0.5 * slope) / h[k]
                else:
                    d, slope = c + stride, 0.0
                    if d < last:
                        slope = harmonic(rho[d] - rho[c], rho[d + stride] - rho[d])
                    flux = speed * (rho[d] - 0.5 * slope) / h[k]
                total[c] -= flux
                total[c + stride] += flux
    return total


@njit(cache=True)
def harmonic(a, b):  # type: ignore[no-untyped-def]
    """Van Leer's slope: the harmonic mean, 0 at an extremum."""
    return 2 * a * b / (a + b) if a * b > 0 else 0.0
