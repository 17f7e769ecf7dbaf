"""The interaction energy ``1/2 int int W(x - y) mu(dx) mu(dy)``."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Energy
from jko.measures import State, lifted

BLOCK = 2**20  # differences at a time


@dataclass(frozen=True)
class Interaction(Energy):
    """``1/2 int int W(x - y) mu(dx) mu(dy)`` for a torch callable W: (n, dim) -> (n,) of differences.

    Parameters
    ----------
    W
        The kernel; only its even part matters.
    convex
        Set True if W is positive definite, so that the energy is convex in mu; a promise, not a check.

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

    W: Callable[[Tensor], Tensor]
    convex: bool = False

    def __call__(self, state: State) -> Tensor:
        """The double integral."""
        mu = lifted(state)
        return 0.5 * mu.integrate(self._potential(mu.points, state))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """Int W_even(x - y) mu(dy), shape (n,)."""
        return self._potential(lifted(state).points if at is None else at, state)

    def _potential(self, at: Tensor, state: State) -> Tensor:
        mu = lifted(state)
        rows = max(1, BLOCK // (mu.N * mu.dim))
        return torch.cat([mu.integrate(self._even(x, mu.points)) for x in at.split(rows)])

    def _even(self, x: Tensor, y: Tensor) -> Tensor:
        """(W(x - y) + W(y - x)) / 2 for all pairs, shape (len(y), len(x))."""
        difference = (x[None, :, :] - y[:, None, :]).reshape(-1, x.shape[1])
        both = [
            checks.returned("the kernel W", self.W(z), (len(z),), z)
            for z in (difference, -difference)
        ]
        return 0.5 * (both[0] + both[1]).reshape(len(y), len(x))
