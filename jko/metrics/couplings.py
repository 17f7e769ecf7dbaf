"""Plans: couplings of two weighted clouds, as sparse matrices of mass.

``Gamma(mu, nu)`` for atoms: mass[k] goes from ``x[rows[k]]`` to ``y[cols[k]]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from jko.shown import Shown

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SQUARES = 1e-280, 1e280  # between them the squares of coordinates have all their digits
BLOCK = 2**19  # entries of a block of pairs: what fits in the cache


def as_array(tensor: Tensor) -> Array:
    """The numbers of a tensor as a contiguous float64 array.

    Examples
    --------
    >>> import torch
    >>> from jko import metrics
    >>> metrics.as_array(torch.ones(2))
    array([1., 1.])
    """
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Plan(Shown):
    """A coupling of N atoms with M atoms.

    Parameters
    ----------
    rows, cols : (K,)
        Indices of the atoms that exchange mass.
    mass : (K,)
        Mass that goes from ``rows[k]`` to ``cols[k]``, positive.
    shape : (N, M)
        Numbers of atoms on both sides.

    Examples
    --------
    >>> import numpy as np
    >>> plan = Plan.identity(np.array([0.25, 0.75]))
    >>> plan.cost(np.array([[0.0], [0.0]]), np.array([[2.0], [0.0]]))
    1.0
    """

    rows: Index
    cols: Index
    mass: Array
    shape: tuple[int, int]

    @classmethod
    def identity(cls, weights: Array) -> Plan:
        """The index coupling: the mass ``weights[i]`` goes from atom i to atom i."""
        index = np.arange(len(weights))
        return cls(index, index, np.asarray(weights, dtype=np.float64), (len(index), len(index)))

    def _facts(self) -> dict[str, object]:
        kind = "permutation" if self.is_permutation else self._size
        return {"shape": "x".join(map(str, self.shape)), "kind": kind}

    @property
    def _size(self) -> str:
        return f"{len(self.mass)} entries"

    @cached_property
    def is_permutation(self) -> bool:
        """Whether every atom exchanges mass with exactly one atom of the other side."""
        N, M = self.shape
        return bool(
            N == M == len(self.mass)
            and (np.bincount(self.rows, minlength=N) == 1).all()
            and (np.bincount(self.cols, minlength=M) == 1).all()
        )

    @property
    def transposed(self) -> Plan:
        """The same coupling, read from the other side."""
        return Plan(self.cols, self.rows, self.mass, self.shape[::-1])

    def to_dense(self) -> Array:
        """The matrix of masses, shape (N, M)."""
        dense = np.zeros(self.shape)
        np.add.at(dense, (self.rows, self.cols), self.mass)
        return dense

    def marginals(self) -> tuple[Array, Array]:
        """The masses of the atoms, shapes (N,) and (M,)."""
        N, M = self.shape
        return sums(self.rows, self.mass, N), sums(self.cols, self.mass, M)

    def cost(self, x: Array, y: Array) -> float:
        """``sum_k mass[k] |x[rows[k]] - y[cols[k]]|^2``, from coordinate differences."""
        with np.errstate(over="ignore", under="ignore"):
            return float(self.mass @ pair_costs(x, y, self.rows, self.cols))

    def length(self, x: Array, y: Array) -> float:
        """The root of the cost, also where squares are too large or too small to be numbers."""
        return norm(self.mass, x[self.rows] - y[self.cols], self.cost(x, y))

    def barycentres(self, y: Array) -> Array:
        """The conditional means ``E[y | x_i]``, shape (N, dim); of x given y_j: ``plan.transposed.barycentres(x)``.

        A row with one entry has its partner, without rounding.
        """
        N = self.shape[0]
        total = sums(self.rows, self.mass, N)
        heaviest = np.zeros(N, dtype=np.int64)
        order = np.argsort(self.mass, kind="stable")
        heaviest[self.rows[order]] = self.cols[order]
        anchor = y[heaviest]  # means of differences: translations and permutations stay exact
        shift = self.mass[:, None] * (y[self.cols] - anchor[self.rows])
        mean = [sums(self.rows, column, N) / total for column in shift.T]
        return np.asarray(anchor + np.stack(mean, axis=1))


class LatePlan(Plan):
    """A plan that is found when it is first looked at: between large grids it takes longer than the distance."""

    def __init__(self, find: Callable[[], Plan], shape: tuple[int, int]) -> None:
        object.__setattr__(self, "_find", find)
        object.__setattr__(self, "shape", shape)

    @cached_property
    def _found(self) -> Plan:
        return self._find()  # type: ignore[attr-defined]

    rows = property(lambda self: self._found.rows)
    cols = property(lambda self: self._found.cols)
    mass = property(lambda self: self._found.mass)

    def _facts(self) -> dict[str, object]:
        if "_found" in vars(self):
            return super()._facts()
        return {"shape": "x".join(map(str, self.shape)), "kind": self._size}

    @property
    def _size(self) -> str:
        return super()._size if "_found" in vars(self) else "entries to be found"


def norm(mass: Array, vectors: Array, square: float) -> float:
    """``(sum_k mass_k |v_k|^2)^(1/2)``, where ``square`` is the sum or, if that is no number, scaled by the largest."""
    if SQUARES[0] < square < SQUARES[1]:
        return math.sqrt(square)
    largest = float(np.abs(vectors).max(initial=0.0))
    if largest == 0:
        return 0.0
    return largest * math.sqrt(mass @ squares(vectors / largest))


def sums(label: Index, values: Array, count: int) -> Array:
    """Sum of ``values`` over the entries with each label 0 ... count - 1."""
    return np.bincount(label, values, count).astype(np.float64)


def pair_costs(x: Array, y: Array, rows: Index, cols: Index) -> Array:
    """``|x[rows[k]] - y[cols[k]]|^2``, shape (K,)."""
    return squares(x[rows] - y[cols])


def all_costs(x: Array, y: Array) -> Array:
    """``|x_i - y_j|^2`` from differences of coordinates, shape (N, M)."""
    return cdist(x, y, "sqeuclidean")


def squares(vectors: Array) -> Array:
    """``|v_k|^2`` of the rows of (K, dim), shape (K,)."""
    return np.asarray(np.einsum("kd,kd->k", vectors, vectors))
