"""The corner form of the one-step dynamic action on a grid: geometry, and the dual function.

Each cell K has 2^d corners c; corner c uses one face of K along every axis and carries a density r_c >= 0 of its own.
With ``rho_K = mean_c r_c``, rho_0 the base point, fluxes F on faces and eps >= 0 a mobility of the vacuum:

``min over r, F  sum_K |K| mean_c [U(r_c) + V_K r_c] + tau/2 sum_f |K| F_f^2 / M_f``
``subject to     rho - rho_0 + tau div F = 0``                                                         (P)
``M_f = 1/4 (r_Kf + r_Lf + rho_0K + rho_0L) + eps``

with r_Kf the mean over the 2^(d-1) corners of K that touch the face f between K and L.  So the mobility is the mean of
the density in time and space, for which the action agrees with W2^2 to third order in tau.

Duality: let phi be the multiplier of the constraint and ``g = grad phi`` on faces (0 on closed ones).  The Lagrangian
is convex in (r, F) and linear in phi.  F is eliminated by ``F = -M g``, which leaves ``- tau/2 sum_f |K| M_f g_f^2``;
M is linear in r, so every corner keeps ``U(r_c) - p_c r_c`` with its own price, whose minimum is ``-U*(p_c)``:

``min (P) = max over phi of -J(phi)``,   ``p_c = phi_K - V_K + tau/4 sum_axes g_{f(c)}^2``,
``J = sum_K |K| [mean_c U*(p_c) - rho_0 phi] + tau/2 sum_f |K| (1/4 (rho_0K + rho_0L) + eps) g_f^2``

A risk 1/2 |A m - b|^2 is ``max over lam of lam . (A m - b) - |lam|^2 / 2``: it adds ``A^T lam`` to V and
``|lam|^2 / 2 + lam . b`` to J.  So *any* phi and lam bound the minimum from below.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Corners:
    """Cells, corners and faces of the free part of a grid.

    Attributes
    ----------
    n, dim : int
        Free cells; axes.
    width : (F,)
        Spacing across each open face.
    difference : (F, n)
        ``phi_L - phi_K`` for the face between K and L.
    between : (F, n)
        The mean of the two cells of a face.
    touch : (F, n 2^d)
        The mean over both cells of the means over their corners that touch the face.
    mean : (n, n 2^d)
        The mean over the corners of a cell.
    """

    n: int
    dim: int
    width: Array
    difference: sparse.csr_array
    between: sparse.csr_array
    touch: sparse.csr_array
    mean: sparse.csr_array

    @classmethod
    def of(cls, free: NDArray[np.bool_], spacing: tuple[float, ...]) -> Corners:
        """The geometry of the cells where ``free`` (of the grid's shape) is true."""
        n, d = int(free.sum()), free.ndim
        number = np.full(free.shape, -1)
        number[free] = np.arange(n)
        corner = np.arange(n * 2**d).reshape(n, 2**d)
        upper = np.array(list(product((False, True), repeat=d)))
        widths, cells, touching = [], [], []
        for a in range(d):
            K = np.take(number, np.arange(free.shape[a] - 1), axis=a).ravel()
            L = np.take(number, np.arange(1, free.shape[a]), axis=a).ravel()
            open_ = (K >= 0) & (L >= 0)
            K, L = K[open_], L[open_]
            cells.append(np.stack([K, L], axis=1))
            widths.append(np.full(len(K), spacing[a]))
            touching.append(
                np.concatenate([corner[K][:, upper[:, a]], corner[L][:, ~upper[:, a]]], 1)
            )
        pairs = np.concatenate(cells)
        return cls(
            n,
            d,
            np.concatenate(widths),
            _rows(pairs, np.array([-1.0, 1.0]), n),
            _rows(pairs, np.array([0.5, 0.5]), n),
            _rows(np.concatenate(touching), np.full(2**d, 0.5**d), n * 2**d),
            _rows(corner, np.full(2**d, 0.5**d), n * 2**d),
        )

    def price(self, phi: Array, V: Array, tau: float) -> tuple[Array, Array]:
        """The prices p_c (n 2^d,), and grad phi on faces (F,)."""
        g = (self.difference @ phi) / self.width
        kinetic = 2**self.dim * (self.touch.T @ (g * g))
        return np.repeat(phi - V, 2**self.dim) + tau / 4 * kinetic, g


def _rows(columns: NDArray[np.int64], values: Array, width: int) -> sparse.csr_array:
    """A matrix whose row i has ``values`` in ``columns[i]``."""
    count, entries = columns.shape
    pointer = np.arange(count + 1) * entries
    return sparse.csr_array(
        (np.tile(values, count), columns.ravel(), pointer), shape=(count, width)
    )
