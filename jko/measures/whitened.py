"""Nodes for the standard normal law N(0, I): an affine map takes them to any other.

In few dimensions Gauss-Hermite rules along each axis, exact for polynomials of degree 2 n - 1 in each coordinate.  In
more a scrambled Sobol sequence, mapped by the inverse of the distribution function, with the mirror image of each node
beside it, and then *whitened*: its covariance is made I.  So every rule has mass 1, mean 0 and covariance I up to
rounding, odd moments vanish, and quadratic functions are integrated exactly in any dimension.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEWEST, MOST = 5, 64  # nodes on an axis: with fewer a product is no rule, more have no mass
PER_AXIS = 4  # nodes that a sequence needs for each dimension
EDGE = 1e-12  # of the unit cube, where the distribution function has no inverse


def rule(nodes: int, dim: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """At most ``nodes`` points z (n, dim) with weights (n,), of the dtype and on the device of ``like``.

    A product of Gauss-Hermite rules where at least 5 nodes fall on each axis, else a whitened Sobol sequence.

    Raises
    ------
    ValueError
        Fewer than four nodes for each dimension.

    Examples
    --------
    >>> import torch
    >>> from jko.measures.whitened import rule
    >>> z, w = rule(1024, 6, torch.zeros(0, dtype=torch.float64))
    >>> len(z), round(float(w @ z[:, 0] ** 2), 12)
    (1024, 1.0)
    """
    if nodes < PER_AXIS * dim:
        raise ValueError(
            f"nodes = {nodes}; in dimension {dim} an integral needs at least {PER_AXIS * dim}"
        )
    z, w = _rule(nodes, dim)
    return torch.from_numpy(z).to(like), torch.from_numpy(w).to(like)


@lru_cache(maxsize=16)
def _rule(nodes: int, dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same as arrays, made once."""
    on_axis = min(MOST, int(nodes ** (1 / dim) + 1e-9))
    return _product(on_axis, dim) if on_axis >= FEWEST else _sequence(nodes // 2, dim)


def _product(n: int, dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n Gauss-Hermite nodes along each axis."""
    x, m = np.polynomial.hermite_e.hermegauss(n)
    places = np.meshgrid(*[x] * dim, indexing="ij")
    masses = np.meshgrid(*[m / m.sum()] * dim, indexing="ij")
    return np.stack(places, -1).reshape(-1, dim), np.prod(np.stack(masses), 0).ravel()


def _sequence(n: int, dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n nodes of a Sobol sequence and their mirror images, whitened."""
    sobol = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)
    uniform = sobol.draw(n, dtype=torch.float64).clamp(EDGE, 1 - EDGE)
    half = torch.special.ndtri(uniform).numpy()
    L = np.linalg.cholesky(half.T @ half / n)
    half = np.linalg.solve(L, half.T).T
    return np.concatenate([half, -half]), np.full(2 * n, 0.5 / n)
