"""Moving cells: each is carried along by a displacement, one axis after another, and cut up by the cells below it.

A cell of mass m that holds x_i moves to ``x_i + u_i``, is stretched by ``1 + du/dx``, and hands each cell that it comes
to lie on the mass above it.  Mass, displacements and charges are straight lines inside a cell, with slopes limited
as in van Leer's monotonised central scheme (MC), so the order is two where they are smooth.  Every portion is positive,
and a new charge is the mean of portions: rho >= 0, mass is kept, and H stays in its range, also in vacuum and where
cells overlap.  There is no bound on the displacement.

The axes take turns.  The displacement along a later axis is carried by the sweeps before it like a charge, so the
moves compose to the map itself.  In a box nothing crosses a wall: what would come to lie beyond it stays in the last
cell.

Source: Zerroukat, Wood and Staniforth, Quart. J. R. Met. Soc. 128 (2002), for such sweeps; van Leer, J. Comput. Phys.
23 (1977).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jko.numerics.compiled import njit

Array = NDArray[np.float64]

NARROW = 1e-12  # of a cell: a cell squeezed to less than that is a point


def moved_cells(masses: Array, moves: Sequence[Array], charges: Array) -> tuple[Array, Array]:
    """Masses and charges after every cell has moved.

    The mean over all orders of the axes, so that none is preferred.

    Parameters
    ----------
    masses : (n_1, ..., n_d)
        Not negative.
    moves : d arrays (n_1, ..., n_d)
        Displacements of the centres, in cells; read where there is mass.
    charges : (n_1, ..., n_d)
        H, read where there is mass.

    Returns
    -------
    masses, charges : (n_1, ..., n_d)
        Charges are zero where there is no mass.
    """
    total, mean = np.zeros_like(masses), np.zeros_like(masses)
    orders = list(itertools.permutations(range(masses.ndim)))
    for order in orders:
        portion, H = _in_order(masses / len(orders), moves, charges, order)
        total += portion
        mean += np.divide(portion, total, out=np.zeros_like(total), where=total > 0) * (H - mean)
    return total, mean


def _in_order(
    masses: Array, moves: Sequence[Array], charges: Array, order: tuple[int, ...]
) -> tuple[Array, Array]:
    """One sweep along each axis, in the given order."""
    carried = np.stack([charges, *(moves[k] for k in order)])
    for axis in order:
        u, rest = carried[1], np.concatenate([carried[:1], carried[2:]])
        masses, carried = _along(masses, u, rest, axis)
    return masses, carried[0]


def _along(masses: Array, u: Array, carried: Array, axis: int) -> tuple[Array, Array]:
    """A sweep along one axis."""

    def lines(a: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(a, axis - masses.ndim, -1))

    turned, rest = lines(masses), lines(carried)
    shape, n = turned.shape, turned.shape[-1]
    rows = math.prod(shape[:-1])
    new, mean = sweep(turned.reshape(rows, n), lines(u).reshape(rows, n), rest.reshape(-1, rows, n))
    back = np.moveaxis(mean.reshape(-1, *shape), -1, axis - masses.ndim)
    return np.moveaxis(new.reshape(shape), -1, axis - masses.ndim), back


@njit(cache=True)
def sweep(mass, u, carried):  # type: ignore[no-untyped-def]
    """Move the cells of each line by u, in cells; masses (L, n), u (L, n), carried (Q, L, n)."""
    new, mean = np.zeros_like(mass), np.zeros_like(carried)
    L, n = mass.shape
    for line in range(L):
        m = mass[line]
        for i in range(n):
            if m[i] > 0:
                _hand_out(i, m, u[line], carried[:, line], new[line], mean[:, line])
    return new, mean


@njit(cache=True)
def _hand_out(i, m, u, carried, new, mean):  # type: ignore[no-untyped-def]
    """The mass of cell i of a line to the cells that it comes to lie on."""
    n = len(m)
    stretch = 1 + _slope_between(u, m, i)
    way = 1.0 if stretch > 0 else -1.0
    steep = way * max(-2.0, min(2.0, _slope(m, i) / m[i]))
    width = abs(stretch)
    left = i + 0.5 + u[i] - 0.5 * width
    first = max(0, min(n - 1, math.floor(left)))
    last = max(0, min(n - 1, math.floor(left + width)))
    centroid = 0.5 + steep / 12
    below, first_moment = 0.0, 0.0
    for j in range(first, last + 1):
        part = 1.0
        if j < last and width > NARROW:
            part = max(0.0, min(1.0, (j + 1 - left) / width))
        upto = part + 0.5 * steep * (part - 1) * part
        moment = 0.5 * part**2 + steep * part**2 * (part / 3 - 0.25) - centroid * upto
        portion = m[i] * (upto - below)
        if portion > 0:
            place = (moment - first_moment) / (upto - below)
            new[j] += portion
            for k in range(len(carried)):
                slope = way * _slope_inside(carried[k], m, i, steep)
                value = carried[k, i] + slope * place
                mean[k, j] += portion / new[j] * (value - mean[k, j])
        below, first_moment = upto, moment


@njit(cache=True)
def _median(a, b, most):  # type: ignore[no-untyped-def]
    """The mean of two one-sided differences, at most ``most`` times either; 0 where they differ in sign."""
    if a * b <= 0:
        return 0.0
    size = min(0.5 * abs(a + b), most * min(abs(a), abs(b)))
    return size if a > 0 else -size


@njit(cache=True)
def _slope(a, i):  # type: ignore[no-untyped-def]
    """The slope of masses in cell i; at a wall the one difference there is."""
    n = len(a)
    if n == 1:
        return 0.0
    if i == 0:
        return a[1] - a[0]
    if i == n - 1:
        return a[i] - a[i - 1]
    return _median(a[i] - a[i - 1], a[i + 1] - a[i], 2.0)


@njit(cache=True)
def _slope_between(a, m, i):  # type: ignore[no-untyped-def]
    """The slope in cell i of what lives on mass; next to a wall or an empty cell the one difference there is."""
    n = len(a)
    lower, upper = i > 0 and m[i - 1] > 0, i < n - 1 and m[i + 1] > 0
    if lower and upper:
        return _median(a[i] - a[i - 1], a[i + 1] - a[i], 2.0)
    if lower:
        return a[i] - a[i - 1]
    return a[i + 1] - a[i] if upper else 0.0


@njit(cache=True)
def _slope_inside(a, m, i, steep):  # type: ignore[no-untyped-def]
    """The slope in cell i of what shall not leave its range: no portion's mean passes a neighbour's value."""
    n = len(a)
    if i == 0 or i == n - 1 or m[i - 1] == 0 or m[i + 1] == 0:
        return 0.0
    return _median(a[i] - a[i - 1], a[i + 1] - a[i], 2 / (1 + abs(steep) / 6))
