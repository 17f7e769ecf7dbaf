"""What an entropic problem asks of its first marginal: a proximal map in the Kullback-Leibler sense.

For sums z, what the kernel made of the second scaling, it is the minimiser rho of ``F(rho) + KL(rho | z)`` over the
points, F convex: :class:`Given` where rho itself is given, an energy in an entropic step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Marginal:
    """The first marginal ``v rho`` for given sums z.

    Attributes
    ----------
    log : (N,)
        log rho; -inf where there is no mass.
    alpha : (N,)
        ``log rho - log z``: the logarithm of the first scaling.
    elasticity : (N,)
        d log rho / d log z at fixed ``lam``, in [0, 1].
    lam : (r,)
        What couples the cells, for instance the residual of a risk; r = 0 if nothing does.
    conjugate : float
        Whose derivative in log z is the mass v rho.
    """

    log: Tensor
    alpha: Tensor
    elasticity: Tensor
    lam: Tensor
    conjugate: float

    @property
    def value(self) -> float:
        """The conjugate: what a search for lam lowers."""
        return self.conjugate


class MarginalMap(Protocol):
    """The proximal map ``log z -> rho`` of what is asked of the first marginal."""

    @property
    def volumes(self) -> Tensor:
        """V, (N,)."""

    @property
    def rigid(self) -> bool:
        """Whether the total mass is given, so that D does not change with a constant in beta."""

    def __call__(self, s: Tensor, near: Marginal | None = None) -> Marginal:
        """The marginal at s = log z (N,), from one that may be ``near``."""

    def coupling(self, found: Marginal) -> Tensor:
        """B (r, N): with e the elasticity and mu the masses, ``C = diag(1 - e) + diag(e) B^T B diag(mu e)``."""


@dataclass(frozen=True, eq=False)
class Given:
    """The first marginal is ``masses`` (N,), whatever z is."""

    masses: Tensor
    rigid = True

    @cached_property
    def volumes(self) -> Tensor:
        """One each."""
        return torch.ones_like(self.masses)

    @cached_property
    def log(self) -> Tensor:
        """``log a``."""
        return self.masses.log()

    @cached_property
    def still(self) -> Tensor:
        """Zeros: no mass changes with z."""
        return torch.zeros_like(self.masses)

    def __call__(self, s: Tensor, near: Marginal | None = None) -> Marginal:
        """``log rho = log a`` and the conjugate ``sum_i a_i s_i``."""
        value = float(self.masses @ torch.where(self.masses > 0, s, 0))
        return Marginal(self.log, self.log - s, self.still, self.still[:0], value)

    def coupling(self, found: Marginal) -> Tensor:
        """None."""
        return self.masses.new_zeros(0, len(self.masses))
