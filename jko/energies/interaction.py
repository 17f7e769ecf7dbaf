"""The interaction energy ``1/2 int int W(x - y) mu(dx) mu(dy)``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, leaf, probes, recording, slope
from jko.energies.base import Energy
from jko.measures import State

BLOCK = 2**20  # differences at a time
DIAGONAL = (
    "and the pairs x = y count, so that every atom meets itself; leave them out by "
    "jko.Interaction(W, diagonal=False)"
)


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
    diagonal
        Whether the pairs x = y count.  False for a W that is singular or has a kink at 0, such as ``-log|z|``: then the
        integral is over x != y, and no atom acts on itself, nor on others in the very same place.

    Raises
    ------
    ValueError
        When it is evaluated: W is odd, ``W(-z) = -W(z)``, so that the double integral is zero whatever the measure; the
        diagonal counts and W(0), or where it is needed its slope there, is not finite; as in :class:`jko.Potential`.

    Notes
    -----
    The variation is ``int W_even(x - y) mu(dy)``.  Without its diagonal the energy of N atoms of one mass, which repel
    each other by ``-log|z|``, is that of a density up to ``O(log N / N)``, and that of the cells of a grid up to the
    energy of each cell in itself.  It is convex in mu only where W(0) = 0.

    Examples
    --------
    >>> import jko
    >>> E = jko.Interaction(lambda z: (z * z).sum(-1))
    >>> mu = jko.Particles([[0.0], [2.0]])
    >>> float(E(mu))
    1.0
    >>> round(float(jko.Interaction(lambda z: -z.norm(dim=1).log(), diagonal=False)(mu)), 6)
    -0.173287
    """

    _bare = 1
    W: Callable[[Tensor], Any]
    convex: bool
    slope: Callable[[Tensor], Any] | None
    diagonal: bool

    def __init__(
        self,
        W: Callable[[Tensor], Any],
        convex: bool = False,
        gradient: Callable[[Tensor], Any] | None = None,
        *,
        diagonal: bool = True,
    ) -> None:
        checks.kind("diagonal", diagonal, bool)
        fields = {"W": W, "convex": convex, "slope": gradient, "diagonal": diagonal}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._W  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _W(self) -> Differentiable:
        return Differentiable("the kernel W", self.W, self.slope)

    @cached_property
    def _sound_in(self) -> set[int]:
        """Dimensions in which W was seen to have an even part, and a value at 0 where it needs one."""
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
        """The even part ``(W(z) + W(-z)) / 2`` of the kernel, shape (n,); without its diagonal 0 at 0."""
        if z.shape[1] not in self._sound_in:
            self._refuse_odd(z)
            self._refuse_pole(z)
            self._sound_in.add(z.shape[1])
        if self.diagonal:
            return self._even(z)
        apart = (z != 0).any(dim=1)
        return torch.where(apart, self._even(torch.where(apart[:, None], z, 1.0)), 0.0)

    def _even(self, z: Tensor) -> Tensor:
        return 0.5 * (self._W(z) + self._W(-z))

    def _first_order(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As of any energy, some points at a time: memory is bounded; a kernel with a kink at 0 is named."""
        mu = state.atoms
        at = mu.points if at is None else at
        rows = at.split(max(1, BLOCK // (mu.N * mu.dim)))
        parts = [super(Interaction, self)._first_order(state, some) for some in rows]
        variation, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
        if self.diagonal and not bool(torch.isfinite(gradient).all()):
            self._refuse_kink(mu.points)
        return variation, gradient

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

    def _refuse_pole(self, z: Tensor) -> None:
        """A kernel that is infinite at 0 gives every measure with an atom an infinite energy."""
        if not self.diagonal:
            return
        with torch.no_grad(), np.errstate(all="ignore"):
            at_zero = float(self._W(torch.zeros_like(z[:1].detach())))
        if not math.isfinite(at_zero):
            raise ValueError(f"the kernel W is {at_zero:g} at 0, {DIAGONAL}")

    def _refuse_kink(self, z: Tensor) -> None:
        """The same of its slope."""
        with recording(), np.errstate(all="ignore"):
            zero = leaf(torch.zeros_like(z[:1]))
            found = slope(self._W(zero).sum(), zero)
        if not bool(torch.isfinite(found).all()):
            raise ValueError(
                f"the kernel W has the slope {found.flatten().tolist()} at 0, {DIAGONAL}"
            )
