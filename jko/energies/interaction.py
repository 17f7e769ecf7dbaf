"""The interaction energy ``1/2 int int W(x - y) mu(dx) mu(dy)``."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko.derivatives import Differentiable, probes
from jko.energies.base import Energy
from jko.measures import State

BLOCK = 2**20  # differences at a time


@dataclass(frozen=True, init=False)
class Interaction(Energy):
    """``1/2 int int W(x - y) mu(dx) mu(dy)`` for a callable W: (n, dim) -> (n,) of differences.

    Parameters
    ----------
    W
        The kernel, in torch operations.  Only its even part ``(W(z) + W(-z)) / 2`` matters; it must have one.
    convex
        Set True if W is positive definite, so that the energy is convex in mu; a promise, not a check.
    gradient
        The derivative of a W that is not written in torch, (n, dim) -> (n, dim), as in :class:`jko.Potential`.

    Raises
    ------
    ValueError
        When it is evaluated: W is odd, ``W(-z) = -W(z)``, so that the double integral is zero whatever the measure; as
        in :class:`jko.Potential`.

    Notes
    -----
    The variation is ``int W_even(x - y) mu(dy)``.  The diagonal x = y is part of the double integral.

    Examples
    --------
    >>> import jko
    >>> E = jko.Interaction(lambda z: (z * z).sum(-1))
    >>> float(E(jko.Particles([[0.0], [2.0]])))
    1.0
    """

    W: Callable[[Tensor], Any]
    convex: bool
    slope: Callable[[Tensor], Any] | None

    def __init__(
        self,
        W: Callable[[Tensor], Any],
        convex: bool = False,
        gradient: Callable[[Tensor], Any] | None = None,
    ) -> None:
        for name, value in (("W", W), ("convex", convex), ("slope", gradient)):
            object.__setattr__(self, name, value)
        self._W  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _W(self) -> Differentiable:
        return Differentiable("the kernel W", self.W, self.slope)

    @cached_property
    def _even_in(self) -> set[int]:
        """Dimensions in which W was seen to have an even part."""
        return set()

    def __call__(self, state: State) -> Tensor:
        """The double integral."""
        mu = state.atoms
        return 0.5 * mu.integrate(self._potential(mu.points, state))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``int W_even(x - y) mu(dy)``, shape (n,)."""
        return self._potential(state.atoms.points if at is None else at, state)

    def _potential(self, at: Tensor, state: State) -> Tensor:
        mu = state.atoms
        mu.refuse_part("a sum over pairs of atoms")
        rows = max(1, BLOCK // (mu.N * mu.dim))
        return torch.cat([mu.integrate(self.between(mu.points, x)) for x in at.split(rows)])

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        """``(W(x - y) + W(y - x)) / 2`` for all pairs, shape (len(y), len(x))."""
        difference = (x[None, :, :] - y[:, None, :]).reshape(-1, x.shape[1])
        return self.kernel(difference).reshape(len(y), len(x))

    def kernel(self, z: Tensor) -> Tensor:
        """The even part ``(W(z) + W(-z)) / 2`` of the kernel, shape (n,)."""
        if z.shape[1] not in self._even_in:
            self._refuse_odd(z)
            self._even_in.add(z.shape[1])
        return 0.5 * (self._W(z) + self._W(-z))

    def _refuse_odd(self, z: Tensor) -> None:
        """A kernel without an even part is a mistake: the double integral of an odd one is zero."""
        with torch.no_grad():
            try:
                points = probes(z.detach())[0]
                W, mirrored = self._W(points), self._W(-points)
            except Exception:  # not defined at these points, which are ours and not the user's
                return
        size = W.abs().max()
        if bool(size > 0) and bool(((W + mirrored).abs() <= 1e-6 * size).all()):
            raise ValueError(
                "the kernel W is odd, W(-z) = -W(z), so its double integral is zero whatever the measure; W is the "
                "energy of a pair, even in the difference of its atoms. If this is its derivative, give it as gradient="
            )
