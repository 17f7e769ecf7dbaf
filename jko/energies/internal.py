"""Internal energies ``int U(rho)`` of a density: heat (4.1), porous medium (4.6) and fast diffusion.

Cells and normal laws have a density.  Atoms have none, so on particles they are +inf; they say so instead of returning
it.  :class:`jko.KernelEntropy` and :class:`jko.energies.KernelPorousMedium` are their smooth relatives on particles.

To add one: subclass :class:`Internal`, write U, its slope, and the density that has a given slope.  Powers are in
:mod:`jko.energies.powers`, sums in :mod:`jko.energies.mixture`, the limit of powers in :mod:`jko.energies.congestion`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jko.energies.base import Energy
from jko.measures import ChargedSpan, NormalLaws, OnCells, State


class Conjugate(NamedTuple):
    """``U*(p) = max over rho >= 0 of p rho - U(rho)``, the maximiser ``(U*)'(p)``, and ``(U*)''(p)``.

    Examples
    --------
    >>> import jko, torch
    >>> found = jko.PorousMedium(2).conjugate(torch.tensor([2.0]))
    >>> found.density.tolist()  # U = rho^2 / 2, so U*(p) = p^2 / 2 and its slope is p
    [2.0]
    """

    value: Tensor
    density: Tensor
    slope: Tensor


class Internal(Energy):
    """``int U(rho) dx`` for a convex U with U(0) = 0.

    Contract: ``U`` and ``slope`` take densities; ``density`` and ``density_slope`` are the first two derivatives of
    the convex conjugate U*, functions of a pressure-like number p.  All are tensor in, tensor out, of one shape.
    The rest follows from these four; override it where a closed form has more digits.

    U may end: above the density ``ceiling`` it is +inf.  U may be flat or have a kink, where U* has a kink or is flat;
    then ``slope`` and ``density`` are the least of those that there are, and ``density_slope`` is 0.

    Attributes
    ----------
    ceiling : float
        The largest density where U is finite; +inf where there is none.

    Examples
    --------
    >>> import jko
    >>> flat = jko.GridDensity.from_function(jko.Grid((0.0, 2.0), 10), lambda x: 1 + 0 * x[:, 0])
    >>> [round(float(E(flat)), 6) for E in (jko.Entropy(), jko.PorousMedium(2))]  # rho = 1/2
    [-0.693147, 0.25]
    """

    convex = True
    ceiling = math.inf

    @abstractmethod
    def U(self, rho: Tensor) -> Tensor:
        """Energy per unit volume."""

    @abstractmethod
    def slope(self, rho: Tensor) -> Tensor:
        """U'(rho); -inf is allowed at rho = 0."""

    @abstractmethod
    def density(self, p: Tensor) -> Tensor:
        """(U*)'(p): the rho >= 0 with U'(rho) = p, and 0 for p below U'(0)."""

    @abstractmethod
    def density_slope(self, p: Tensor) -> Tensor:
        """(U*)''(p) = 1 / U''(rho) at that rho, and 0 for p below U'(0)."""

    @property
    def positive(self) -> bool:
        """Whether ``U'(0) = -inf``, so that minimisers are positive everywhere: an entropy, fast diffusion."""
        return bool(self.slope(torch.zeros(())) == -torch.inf)

    def suits(self, dim: int) -> None:
        """Raise ValueError where the energy has no flow in so many dimensions."""

    def pressure(self, rho: Tensor) -> Tensor:
        """``P(rho) = rho U'(rho) - U(rho)``, 0 at 0: the flux is ``-grad P``."""
        return torch.where(rho > 0, rho * self.slope(rho), 0) - self.U(rho)

    def stiffness(self, rho: Tensor) -> Tensor:
        """``U''(rho)``; +inf is allowed at rho = 0."""
        return 1 / self.density_slope(self.slope(rho))

    def conjugate(self, p: Tensor) -> Conjugate:
        """``U*(p)`` with its first two derivatives."""
        rho = self.density(p)
        value = torch.where(rho > 0, p * rho, 0) - self.U(rho)
        return Conjugate(value, rho, self.density_slope(p))

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``U'(rho)`` at ``rho = e^s``, and its derivative in s, ``rho U''(rho)``."""
        rho = s.exp()
        slope = self.slope(rho)
        flat = self.density_slope(slope)
        return slope, torch.where(flat > 0, rho / flat, 0)

    def log_density(self, p: Tensor) -> Tensor:
        """``log (U*)'(p)``, -inf where that is 0."""
        return self.density(p).log()

    def per_mass(self, s: Tensor) -> Tensor:
        """``U(rho) / rho`` at ``rho = e^s``."""
        rho = s.exp()
        return self.U(rho) / rho

    def __call__(self, state: State) -> Tensor:
        """``int U(rho) dx``: the sum over the cells of volume times U; of normal laws ``int U(rho) / rho dmu``."""
        if isinstance(state, NormalLaws):
            return state.integrate(self.per_mass(self._log_density(state)))
        rho = self._of_density(state)
        return (rho.volumes * self.U(rho.values.reshape(-1))).sum()

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """U'(rho) at the atoms of the state, shape (N,); a density on cells has no other points."""
        if isinstance(state, NormalLaws):
            return self.of_log(self._log_density(state, at))[0]
        rho = self._of_density(state)
        if at is not None:
            raise ValueError(
                f"the variation of {self!r} is known in the cells of the density alone; leave out at=..."
            )
        return rho.spread(self.slope(rho.values.reshape(-1)))

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """``grad U'(rho)`` of normal laws, (n, d); cells have none at a point: steps take it across faces."""
        if isinstance(state, NormalLaws):
            return super().gradient(state, at)
        self._of_density(state)
        raise TypeError(
            f"{self!r} has no pointwise gradient: a {type(state).__name__} is constant on its cells. "
            "The solvers of densities take differences across faces; use E.variation(state)"
        )

    def _log_density(self, state: NormalLaws, at: Tensor | None = None) -> Tensor:
        self.suits(state.dim)
        return state.log_density(state.support if at is None else at)

    def _of_density(self, state: State) -> OnCells:
        """The density of the state; of a pair (rho, H) it is rho."""
        if isinstance(state, ChargedSpan):
            state = state.rho
        if isinstance(state, OnCells):
            self.suits(state.dim)
            return state
        name = type(self).__name__
        raise TypeError(
            f"{name} of {type(state).__name__} is +inf: atoms have no density. Use jko.GridDensity or jko.LineMesh "
            "(of pairs, jko.ChargedDensity or jko.ChargedMesh), jko.Gaussian in any dimension, "
            f"or Kernel{name}(bandwidth, ...) on particles"
        )


@dataclass(frozen=True)
class Entropy(Internal):
    """``int rho log rho``. Source: survey (4.1).

    Its flow is the heat equation: with coefficient c it adds ``c Lap rho`` to the right side, (4.2).
    Here ``U' = log rho + 1`` and ``(U*)'(p) = exp(p - 1)``.

    Examples
    --------
    >>> import jko
    >>> rho = jko.GridDensity(jko.Grid((0.0, 2.0), 4), [0.5, 0.5, 0.5, 0.5])
    >>> round(float(jko.Entropy()(rho)), 6)
    -0.693147
    """

    def U(self, rho: Tensor) -> Tensor:
        """``rho log rho``, 0 at 0."""
        return torch.xlogy(rho, rho)

    def slope(self, rho: Tensor) -> Tensor:
        """log rho + 1."""
        return rho.log() + 1

    def density(self, p: Tensor) -> Tensor:
        """exp(p - 1)."""
        return (p - 1).exp()

    def density_slope(self, p: Tensor) -> Tensor:
        """exp(p - 1)."""
        return (p - 1).exp()

    def pressure(self, rho: Tensor) -> Tensor:
        """``P = rho``."""
        return rho

    def stiffness(self, rho: Tensor) -> Tensor:
        """1 / rho."""
        return 1 / rho

    def conjugate(self, p: Tensor) -> Conjugate:
        """``exp(p - 1)``, three times."""
        rho = self.density(p)
        return Conjugate(rho, rho, rho)

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """s + 1 and 1."""
        return s + 1, torch.ones_like(s)

    def per_mass(self, s: Tensor) -> Tensor:
        """s itself."""
        return s

    def log_density(self, p: Tensor) -> Tensor:
        """p - 1, below all densities that are numbers."""
        return p - 1
