"""The push of a density on a grid along the geodesic that a step has found.

A step with the potential phi moves mass with the velocity ``-grad phi`` for time tau, measured where the mass ends.
Going on for time s is transport by the frozen velocity at the middle of that time,

``p = phi + tau/4 |grad phi|^2``,   ``v = -grad(p + s/4 |grad p|^2)``   (Hamilton-Jacobi, d_t p = |grad p|^2 / 2),

with upwind fluxes of van Leer's slopes and the two-stage method of Shu and Osher.  Mass is exact, and as at most
half of a cell flows out in a substep, densities stay positive.  No flux crosses a wall or a closed cell.

Arrays are flat, one number for each cell in C order; an axis is the :func:`runs` of cells along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jko.numerics.compiled import njit

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
    periodic: Sequence[bool] = (),
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
    periodic
        Which axes come round; (): none.

    Returns
    -------
    (n_1, ..., n_d) array, or None
        None where it would take more than 5000 substeps: then the velocity is of no use.
    """
    shape = density.shape
    axes = runs(shape, periodic)
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


def runs(shape: Sequence[int], periodic: Sequence[bool] = ()) -> NDArray[np.int64]:
    """Cells along each axis whose neighbours are equally far away in memory, (d, 4, 7).

    A run is (lines along the axis, memory of a line, first place in it, the one after the last, and how far away the
    cell before, the cell after, and the cell after that one are from one to the next); 0 where there is none.
    """
    found = np.zeros((len(shape), 4, 7), np.int64)
    for k, n in enumerate(shape):
        stride = math.prod(shape[k + 1 :])
        turn = (n - 1) * stride if any(periodic) and periodic[k] else 0
        ends = [0, 1, max(n - 2, 1), max(n - 1, 1), n]
        for run, (first, last) in enumerate(pairwise(ends)):
            back = turn if first == 0 else -stride
            ahead = -turn if last == n else stride
            further = -turn if last == n - 1 else stride
            place = math.prod(shape[:k]), n * stride, first * stride, last * stride
            found[k, run] = (*place, back, ahead, further)
    return found


@njit(cache=True)
def slopes(p, axes, h, closed):  # type: ignore[no-untyped-def]
    """Differences across the face behind each cell, (d, N); zero at walls and at closed cells."""
    g = np.zeros((len(axes), p.size))
    for k in range(len(axes)):
        for lines, long, first, last, _, ahead, _ in axes[k]:
            for line in range(lines if ahead else 0):
                for c in range(line * long + first, line * long + last):
                    if not (closed[c] or closed[c + ahead]):
                        g[k, c] = (p[c + ahead] - p[c]) / h[k]
    return g


@njit(cache=True)
def squares(g, axes, closed):  # type: ignore[no-untyped-def]
    """``|grad p|^2`` in the cells: for each axis the mean of the squares on the faces that are open."""
    q = np.zeros(g.shape[1])
    for k in range(len(axes)):
        for lines, long, first, last, back, ahead, _ in axes[k]:
            for line in range(lines):
                for c in range(line * long + first, line * long + last):
                    lower = back != 0 and not (closed[c] or closed[c + back])
                    upper = ahead != 0 and not (closed[c] or closed[c + ahead])
                    if lower and upper:
                        q[c] += 0.5 * (g[k, c + back] ** 2 + g[k, c] ** 2)
                    elif lower:
                        q[c] += g[k, c + back] ** 2
                    elif upper:
                        q[c] += g[k, c] ** 2
    return q


@njit(cache=True)
def outflow(v, axes, h):  # type: ignore[no-untyped-def]
    """The largest part of a cell that flows out in unit time."""
    rate = np.zeros(v.shape[1])
    for k in range(len(axes)):
        for lines, long, first, last, _, ahead, _ in axes[k]:
            for line in range(lines if ahead else 0):
                for c in range(line * long + first, line * long + last):
                    if v[k, c] > 0:
                        rate[c] += v[k, c] / h[k]
                    else:
                        rate[c + ahead] -= v[k, c] / h[k]
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
        for lines, long, first, last, back, ahead, further in axes[k]:
            for line in range(lines if ahead else 0):
                for c in range(line * long + first, line * long + last):
                    speed, d, slope = v[k, c], c + ahead, 0.0
                    if speed > 0:
                        if back:
                            slope = harmonic(rho[c] - rho[c + back], rho[d] - rho[c])
                        flux = speed * (rho[c] + 0.5 * slope) / h[k]
                    else:
                        if further:
                            slope = harmonic(rho[d] - rho[c], rho[d + further] - rho[d])
                        flux = speed * (rho[d] - 0.5 * slope) / h[k]
                    total[c] -= flux
                    total[d] += flux
    return total


@njit(cache=True)
def harmonic(a, b):  # type: ignore[no-untyped-def]
    """Van Leer's slope: the harmonic mean, 0 at an extremum."""
    return 2 * a * b / (a + b) if a * b > 0 else 0.0
