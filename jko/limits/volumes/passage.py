"""The flux of a density through the faces across an axis, and its derivatives in the two cells beside each face.

On a face ``lift`` is the difference of all potentials but internal energies, minus the way that a drift helps along,
and ``z = lift + [U']`` with [ ] differences across the face and U the powers; P = rho U' - U is their pressure.

:class:`Spreading` has linear diffusion, of strength c: an entropy's, or one that depends on the place.
:class:`Pressing` has none.  Both have the same answers:

- ``flux``;
- ``leaving``: the shares of the two cells that would leave per time and length;
- ``slopes``: ``dF/drho_before`` and ``-dF/drho_after``, both >= 0, and ``along``: ``dF/dlift``.  They are for Newton's
  method: of limited upwind values they are those of the first order, and U'' is bounded where U''(0) = inf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.energies import Mixture
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import EMPTY, FLAT, diffusivity
from jko.spaces import FacesAcross

SECOND = (
    0.5  # of the longest step, for upwind values of second order, which may be twice the cell's
)
Sides = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class CellPressures:
    """A density with what its powers make of it, each computed once for all faces."""

    rho: Tensor
    powers: Mixture

    @cached_property
    def slope(self) -> Tensor:
        """U'(rho), that of a nearly empty cell where U'(0) = -inf; 0 without powers."""
        if not self.powers.summands:
            return torch.zeros_like(self.rho)
        slope = self.powers.slope(self.rho)
        if bool(slope.isfinite().all()):
            return slope
        return torch.where(slope.isfinite(), slope, self.powers.slope(self.filled))

    @cached_property
    def pressure(self) -> Tensor:
        """P(rho)."""
        return self.powers.pressure(self.rho)

    @cached_property
    def filled(self) -> Tensor:
        """rho, where it is not nearly empty."""
        return self.rho.clamp(min=EMPTY * float(self.rho.detach().amax()))

    @cached_property
    def stiffness(self) -> Tensor:
        """U''(rho), of nearly empty cells where it may be infinite; 0 without powers."""
        if not self.powers.summands:
            return torch.zeros_like(self.rho)
        return self.powers.stiffness(self.filled).nan_to_num(0.0, 0.0, 0.0)

    @cached_property
    def diffusivity(self) -> Tensor:
        """``P'(rho) = rho U''(rho)``, 0 in empty cells of powers with P'(0) = 0."""
        D = self.rho * self.powers.stiffness(self.rho)
        if bool(D.isfinite().all()):
            return D
        return torch.where(D.isfinite(), D, self.filled * self.stiffness)


@dataclass(frozen=True, eq=False)
class Spreading:
    """Scharfetter and Gummel's flux ``(c/h) (B(z/c) rho_- - B(-z/c) rho_+)``, ``B(s) = s / (e^s - 1)``.

    It vanishes exactly at ``rho ~ e^{-z/c}``, so that the Gibbs measure of the cells rests.  Where c is 0 it is the
    upwind flux of first order.
    """

    cells: CellPressures
    face: FacesAcross
    lift: Tensor
    c: Tensor | float

    @cached_property
    def z(self) -> Tensor:
        """lift + [U']."""
        powers = self.cells.powers.summands
        return self.lift + self.face.diff(self.cells.slope) if powers else self.lift

    @cached_property
    def leaving(self) -> Sides:
        """``(c/h) B(z/c)`` and ``(c/h) B(-z/c)``."""
        c, h = self.c, self.face.width
        if isinstance(c, Tensor):
            spreads = c > 0
            full = torch.where(spreads, c, 1.0)
            up = torch.where(spreads, full * bernoulli(self.z / full), (-self.z).clamp(min=0)) / h
        else:
            up = c * bernoulli(self.z / c) / h
        return up, (up + self.z / h).clamp(min=0)

    @cached_property
    def flux(self) -> Tensor:
        """F, from the lower to the upper cell."""
        up, down = self.leaving
        return up * self.face.before(self.cells.rho) - down * self.face.after(self.cells.rho)

    @property
    def slopes(self) -> Sides:
        """The derivatives of F in the two cells."""
        up, down = self.leaving
        if not self.cells.powers.summands:
            return up, down
        U2, along = self.cells.stiffness, self.along
        return up - along * self.face.before(U2), down - along * self.face.after(U2)

    @cached_property
    def along(self) -> Tensor:
        """The derivative of F in the lift."""
        rho = self.cells.rho
        c = self.c.clamp(min=torch.finfo(rho.dtype).tiny) if isinstance(self.c, Tensor) else self.c
        bend = bernoulli_slope(self.z / c)
        return (bend * self.face.before(rho) - (1 + bend) * self.face.after(rho)) / self.face.width


@dataclass(frozen=True, eq=False)
class Pressing:
    """A density on the face times ``-z/h``: it vanishes where z = 0.

    Where diffusion rules the cell, the density is the mean with ``mean [U'] = [P]``: without a lift the flux is
    ``-[P]/h``, as smooth as P, also at a front, where U'' may be infinite.  Where the lift rules, it is an upwind value
    of second order.  The measure is the number of Peclet, ``|lift| / (rho U'')``.  It is at most twice that of the cell
    it comes from.
    """

    cells: CellPressures
    face: FacesAcross
    lift: Tensor

    @cached_property
    def lifted(self) -> bool:
        """Whether there is any."""
        return bool(self.lift.any())

    @cached_property
    def v(self) -> Tensor:
        """``-z/h``."""
        return -(self.lift + self.face.diff(self.cells.slope)) / self.face.width

    @property
    def leaving(self) -> Sides:
        """The velocity out of either cell, twice."""
        return self.v.clamp(min=0) / SECOND, (-self.v).clamp(min=0) / SECOND

    @cached_property
    def flux(self) -> Tensor:
        """F, from the lower to the upper cell."""
        if not self.lifted:
            return -self.face.diff(self.cells.pressure) / self.face.width
        return self.v * self.carried

    @cached_property
    def carried(self) -> Tensor:
        """The density on the faces."""
        if not self.cells.powers.summands:
            return self.upwind
        mean = torch.minimum(self.between, 2 * self.donor)
        return self.share * mean + (1 - self.share) * self.upwind

    @cached_property
    def upwind(self) -> Tensor:
        """The upwind value of second order; the clamp bites at walls alone."""
        rho = self.cells.rho
        slopes = faces.slopes(rho, self.face).clamp(-2 * rho, 2 * rho)
        return faces.upwind(rho, slopes, self.v, self.face)

    @cached_property
    def donor(self) -> Tensor:
        """The density of the cell that the flux comes from."""
        rho = self.cells.rho
        return torch.where(self.v > 0, self.face.before(rho), self.face.after(rho))

    @cached_property
    def share(self) -> Tensor:
        """How far diffusion rules, in [0, 1]."""
        D = diffusivity(self.cells.powers, self.face.mean(self.cells.rho))
        return torch.where(D > 0, (2 - self.lift.abs() / D).clamp(0, 1), 0.0)

    @cached_property
    def between(self) -> Tensor:
        """The mean of two cells for which ``mean [U'] = [P]``: of ``1/2 int rho^2`` the arithmetic one."""
        rho, mean = self.cells.rho, self.face.mean(self.cells.rho)
        secant = self.face.diff(self.cells.pressure) / self.face.diff(self.cells.slope)
        low, high = (f(self.face.before(rho), self.face.after(rho)) for f in (torch.min, torch.max))
        return torch.where(self._apart & secant.isfinite(), secant, mean).clamp(low, high)

    @cached_property
    def _apart(self) -> Tensor:
        """Whether the two cells differ by more than rounding."""
        rho = self.cells.rho
        return self.face.diff(rho).abs() > FLAT * self.face.mean(rho)

    @property
    def slopes(self) -> Sides:
        """The derivatives of F in the two cells."""
        face, h, P1 = self.face, self.face.width, self.cells.diffusivity
        if not self.lifted:
            return face.before(P1) / h, face.after(P1) / h
        forth = self.v.clamp(min=0)
        return self._slope(face.before, 1.0, forth), self._slope(face.after, -1.0, forth - self.v)

    @property
    def along(self) -> Tensor:
        """The derivative of F in the lift."""
        return -self.carried / self.face.width

    def _slope(self, side: Callable[[Tensor], Tensor], sign: float, out: Tensor) -> Tensor:
        """The derivative in the cells on one side, by the three values that the face may carry."""
        h, P1, U2 = self.face.width, side(self.cells.diffusivity), side(self.cells.stiffness)
        weight = -sign * (P1 - self.between * U2) / self.face.diff(self.cells.slope)
        weight = torch.where(self._apart & weight.isfinite(), weight, 0.5).clamp(0, 1)
        smooth = ((P1 - sign * weight * self.lift) / h).clamp(min=0)
        clipped = 2 * (out + self.donor * U2 / h)
        mean = torch.where(self.between > 2 * self.donor, clipped, smooth)
        return self.share * mean + (1 - self.share) * (out + self.upwind * U2 / h)


def bernoulli(s: Tensor) -> Tensor:
    """``B(s) = s / (e^s - 1)``, 1 at 0."""
    small = s.abs() < 1e-5
    safe = torch.where(small, 1.0, s)
    return torch.where(small, 1 - 0.5 * s, safe / torch.expm1(safe))


def bernoulli_slope(s: Tensor) -> Tensor:
    """``B'(s)``, between -1 and 0; -1/2 at 0."""
    small = s.abs() < 1e-3
    safe = torch.where(small, 1.0, s)
    B = bernoulli(safe)
    return torch.where(small, s / 6 - 0.5, B * (1 - B - safe) / safe).clamp(-1, 0)


Passage = Spreading | Pressing
