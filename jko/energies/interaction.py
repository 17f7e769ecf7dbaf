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
from jko.energies import sampled
from jko.energies.base import Energy
from jko.measures import GridDensity, State
from jko.numerics.convolution import Convolution, Recalling
from jko.spaces import Domain, Grid

BLOCK = 2**20  # differences at a time
DIAGONAL = (
    "and the pairs x = y count, so that every atom meets itself; leave them out by "
    "jko.Interaction(W, diagonal=False)"
)
ODD = (
    "the kernel W is odd, W(-z) = -W(z), so its double integral is zero whatever the measure; W is the energy of a "
    "pair, even in the difference of its atoms. If this is its derivative, give it as gradient="
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
        Whether the pairs x = y count.  False for atoms and a W that is singular or has a kink at 0, such as
        ``-log|z|``: then the integral is over x != y, and no atom acts on itself, nor on others in the very same place.
        The cells of a :class:`jko.GridDensity` need it not: each meets itself by the average of W over a cell.

    Raises
    ------
    ValueError
        When it is evaluated: W is odd, ``W(-z) = -W(z)``, so that the double integral is zero whatever the measure; the
        diagonal counts and W(0), or where it is needed its slope there, is not finite; as in :class:`jko.Potential`.
        On a grid: W is not finite elsewhere than at 0, or cannot be integrated there.

    Notes
    -----
    The variation is ``int W_even(x - y) mu(dy)``.  Without its diagonal the energy of N atoms of one mass, which repel
    each other by ``-log|z|``, is that of a density up to ``O(log N / N)``, and that of the cells of a grid up to the
    energy of each cell in itself.  It is convex in mu only where W(0) = 0.

    Of a :class:`jko.GridDensity` of N cells it is a convolution by FFT, in ``O(N log N)``.  Where an axis is periodic,
    W is taken at the shortest difference, in ``[-L/2, L/2]``; a W on the torus may be any function of that.  Of atoms,
    meshes and pairs (rho, H) it is a sum over pairs of atoms.

    Examples
    --------
    >>> import jko
    >>> E = jko.Interaction(lambda z: (z * z).sum(-1))
    >>> mu = jko.Particles([[0.0], [2.0]])
    >>> float(E(mu))
    1.0
    >>> round(float(jko.Interaction(lambda z: -z.norm(dim=1).log(), diagonal=False)(mu)), 6)
    -0.173287
    >>> flat = jko.GridDensity.from_function(jko.Grid((-1, 1), 512), lambda x: 1 + 0 * x[:, 0])
    >>> repulsion = jko.Interaction(lambda z: -z.norm(dim=1).log())
    >>> round(float(repulsion(flat)), 2), round(0.75 - 0.5 * math.log(2), 2)  # of the uniform law
    (0.4, 0.4)
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
        if isinstance(
            state, GridDensity
        ):  # numbers are finite, and differentiable where there is no mass
            return 0.5 * torch.dot(state.weights, self.variation(state))
        return 0.5 * state.atoms.integrate(self.variation(state))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``int W_even(x - y) mu(dy)``, shape (n,)."""
        if at is None and isinstance(state, GridDensity):
            masses = state.weights.reshape(state.grid.shape)
            return self.on_cells(state.grid, masses)(masses).reshape(-1)
        mu = state.atoms
        mu.refuse_part("a sum over pairs of atoms")
        rows = max(1, BLOCK // (mu.N * mu.dim))
        at = mu.points if at is None else at
        return torch.cat(
            [mu.integrate(self.between(mu.points, x, mu.domain)) for x in at.split(rows)]
        )

    def convolution(self, grid: Grid, like: Tensor) -> Convolution:
        """``m -> sum_L W_even(x_K - x_L) m_L`` for masses m on the cells, of the dtype and on the device of ``like``.

        Examples
        --------
        >>> import jko, torch
        >>> E = jko.Interaction(lambda z: z[:, 0] ** 2)
        >>> K = E.convolution(jko.Grid((0, 3), 3), torch.zeros(3, dtype=torch.float64))
        >>> [round(v, 12) for v in K(torch.tensor([1.0, 0.0, 0.0]).double()).tolist()]
        [0.0, 1.0, 4.0]
        """
        found = sampled.tabulated(self._W, grid, like, self.diagonal)
        if found is None:
            raise ValueError(ODD)
        return found

    def on_cells(self, grid: Grid, like: Tensor) -> "Convolution | Recalling":
        """:meth:`convolution`, as :meth:`tabulated` has kept it if it did so for this grid.

        Examples
        --------
        >>> import jko, torch
        >>> E = jko.Interaction(lambda z: z[:, 0] ** 2)
        >>> K = E.on_cells(jko.Grid((0, 2), 2), torch.zeros(2, dtype=torch.float64))
        >>> [round(v, 12) for v in K(torch.tensor([1.0, 0.0]).double()).tolist()]
        [0.0, 1.0]
        """
        table: tuple[Grid, Recalling] | None = self.__dict__.get("_table")
        if table is not None and table[0] == grid and table[1].kernel.like(like):
            return table[1]
        return self.convolution(grid, like)

    def tabulated(self, grid: Grid, like: Tensor) -> "Interaction":
        """The same energy, with the transform of its kernel on a grid kept: for a loop that evaluates it often.

        Examples
        --------
        >>> import jko
        >>> rho = jko.GridDensity.from_function(jko.Grid((-1, 1), 50), lambda x: 1 + x[:, 0])
        >>> E = jko.Interaction(lambda z: (z * z).sum(-1))
        >>> bool(E.tabulated(rho.grid, rho.values)(rho) == E(rho))
        True
        """
        return self._with(_table=(grid, Recalling(self.convolution(grid, like))))

    def between(self, y: Tensor, x: Tensor, domain: Domain | None = None) -> Tensor:
        """``(W(x - y) + W(y - x)) / 2`` for all pairs, shape (len(y), len(x)); in a domain the shortest differences."""
        difference = (x[None, :, :] - y[:, None, :]).reshape(-1, x.shape[1])
        difference = difference if domain is None else domain.shortest(difference)
        return self.kernel(difference).reshape(len(y), len(x))

    def kernel(self, z: Tensor) -> Tensor:
        """The even part ``(W(z) + W(-z)) / 2`` of the kernel, shape (n,); without its diagonal 0 at 0."""
        if z.shape[1] not in self._sound_in:
            self._refuse_odd(z)
            self._refuse_pole(z)
            self._sound_in.add(z.shape[1])
        if self.diagonal:
            return self.even(z)
        apart = (z != 0).any(dim=1)
        return torch.where(apart, self.even(torch.where(apart[:, None], z, 1.0)), 0.0)

    def even(self, z: Tensor) -> Tensor:
        """``(W(z) + W(-z)) / 2`` as it is, shape (n,)."""
        return 0.5 * (self._W(z) + self._W(-z))

    def _first_order(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of the cells of a grid by FFT; else as of any energy."""
        if at is None and isinstance(state, GridDensity):
            variation, masses = (
                self.variation(state).detach(),
                state.values.detach() * state.grid.cell,
            )
            slopes = sampled.tabulated_slopes(self._W, state.grid, masses)
            return variation, torch.stack([K(masses).reshape(-1) for K in slopes], 1)
        return self._pairwise(state, at)

    def _pairwise(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Some points at a time: memory is bounded; a kernel with a kink at 0 is named."""
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
            raise ValueError(ODD)

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
