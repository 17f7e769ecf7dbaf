"""Masses at places, and the integral against them.

Every sum over atoms goes through :meth:`Quadrature.integrate`, :meth:`Quadrature.inner`, :meth:`Quadrature.inners`
and :meth:`Quadrature.products`: they *are* the integral.  Every decision that looks at all atoms asks
:meth:`Quadrature.every` or :meth:`Quadrature.largest`.  So a measure whose atoms lie in several processes
(:mod:`jko.distributed`) needs to know these few alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from jko.spaces.cached import cached


class Quadrature(ABC):
    """Masses ``weights`` (N,) at the places ``support`` (N, d).

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[0.0], [1.0]])
    >>> isinstance(mu, jko.measures.Quadrature), float(mu.integrate(mu.points[:, 0] ** 2))
    (True, 0.5)
    """

    weights: Tensor
    is_part = False  # whether some atoms are in other processes

    @property
    @abstractmethod
    def support(self) -> Tensor:
        """Where the atoms sit, shape (N, d)."""

    @property
    def frame(self) -> tuple[float, ...]:
        """What the coordinates are scaled by, where atoms stand for something else; atoms of one frame are compared."""
        return ()

    @property
    def N(self) -> int:
        """Number of atoms."""
        return self.weights.shape[0]

    @cached
    def has_equal_weights(self) -> bool:
        """Whether all weights are the same number."""
        return bool((self.weights == self.weights[0]).all())

    @cached
    def _first_weight(self) -> Tensor:
        return self.weights[0]

    @cached
    def has_empty_atoms(self) -> bool:
        """Whether some weight is zero; only densities on a grid have such."""
        return bool((self.weights == 0).any())

    @property
    def mass(self) -> Tensor:
        """Total mass, one up to rounding."""
        return self.weights.sum()

    def integrate(self, values: Tensor) -> Tensor:
        """The integral of a function given by its values on the atoms.

        Parameters
        ----------
        values : (N, ...)
            Values at the atoms.

        Returns
        -------
        Tensor (...)
            ``sum_i weights[i] values[i]``; where a weight is zero the value may be infinite.
        """
        if self.has_empty_atoms:
            empty = (self.weights == 0).reshape(-1, *[1] * (values.ndim - 1))
            values = values.masked_fill(empty, 0)
        return torch.tensordot(self.weights, values, dims=1)

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """The inner product ``int u . v`` of two vector fields on the atoms, both (N, dim)."""
        if self.has_equal_weights and not self.weights.requires_grad:
            flat = u.reshape(-1)
            return self._first_weight * torch.dot(flat, flat if v is u else v.reshape(-1))
        return torch.dot((self.weights[:, None] * u).reshape(-1), v.reshape(-1))

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> Tensor:
        """The inner product of each of k pairs of vector fields, (k,), in one sum."""
        return torch.stack([self.inner(u, v) for u, v in pairs])

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """The Gram matrix of vector fields on the atoms, in one sum: quickest where ``left`` has the fewer fields.

        Parameters
        ----------
        left : (k, N, dim)
            Vector fields.
        right : (l, N, dim)
            Vector fields.

        Returns
        -------
        Tensor (k, l)
            ``int left[i] . right[j]``, the :meth:`inner` product of each with each.

        Examples
        --------
        >>> import jko
        >>> mu = jko.Particles([[1.0, 0.0], [0.0, 1.0]])
        >>> mu.products(mu.points[None], mu.points[None]).tolist()
        [[1.0]]
        """
        if self.has_equal_weights and not self.weights.requires_grad:
            return self._first_weight * (left.flatten(1) @ right.flatten(1).T)
        return (self.weights[:, None] * left).flatten(1) @ right.flatten(1).T

    def every(self, true: Tensor | bool) -> bool:
        """Whether something that was asked of each atom, or of each process, holds for all of them."""
        return bool(true.all()) if isinstance(true, Tensor) else true

    def largest(self, values: Tensor) -> float:
        """The largest of numbers at the atoms, (N, ...); NaN if one is."""
        return float(values.max())

    def refuse_part(self, what: str) -> None:
        """TypeError for ``what`` needs all atoms at once, where only some of them are here."""
        if self.is_part:
            raise TypeError(
                f"{what} needs all atoms, and this process holds {self.N} of them; collect them by "
                "jko.distributed.gathered(state), which every process calls"
            )

    def reordered(self, values: Tensor, order: Tensor, axis: int = 0) -> Tensor:
        """Values at the atoms ``order[i]`` in place of those at the atoms i, along an axis of N numbers."""
        return values.index_select(axis, order)

    def mean(self) -> Tensor:
        """The mean of the atoms, shape (d,)."""
        return self.integrate(self.support)

    def covariance(self) -> Tensor:
        """The covariance matrix of the atoms, shape (d, d)."""
        centred = self.support - self.mean()
        return self.integrate(centred[:, :, None] * centred[:, None, :])
