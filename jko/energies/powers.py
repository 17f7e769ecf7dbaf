"""Powers of a density: the porous medium (4.6), and fast diffusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.energies.internal import Conjugate, Internal


@dataclass(frozen=True)
class PorousMedium(Internal):
    """``1/(m (m - 1)) int rho^m``; m = 2 is the ``1/2 int mu^2`` of (4.6), m < 1 fast diffusion. Source: survey (4.6).

    Its flow is ``d_t rho = (1/m) Lap rho^m``, (4.7); so ``Lap rho^m`` is that of ``m * PorousMedium(m)``.
    Here ``U' = rho^(m - 1) / (m - 1)`` and ``(U*)'(p) = ((m - 1) p)_+^(1 / (m - 1))``.

    With m > 1 a density has a front.  With m < 1 it is positive everywhere with tails that fall like a power,
    ``|x|^(-2 / (1 - m))``, U is negative, ``U'(0) = -inf``, and U* is finite for p < 0 alone.  In d dimensions the
    energy is convex along geodesics, and its flow that of a gradient, for ``m >= 1 - 1/d`` (McCann): for all m > 0 on
    the line, from 1/2 in the plane, from 2/3 in space.  On the whole of R^d, tails have a second moment for
    ``m > d / (d + 2)``; in a box all do.  The limit m = 1 is :class:`jko.Entropy`, the limit m = inf
    :class:`jko.energies.Congestion`.

    Raises
    ------
    ValueError
        For m <= 0 and m = 1, and of a density in d dimensions for ``m < 1 - 1/d``.

    Examples
    --------
    >>> import jko
    >>> rho = jko.GridDensity(jko.Grid((0.0, 2.0), 4), [0.5, 0.5, 0.5, 0.5])
    >>> float(jko.PorousMedium(2)(rho)), round(float(jko.PorousMedium(0.5)(rho)), 6)
    (0.25, -5.656854)
    """

    _bare = 1
    m: float = 2.0

    def __post_init__(self) -> None:
        if checks.number("m", self.m, above=0) == 1:
            raise ValueError(
                f"m = {float(self.m)} divides by zero; its limit, up to a constant, is jko.Entropy(): take that, or "
                "another m"
            )

    def suits(self, dim: int) -> None:
        """Refuse ``m < 1 - 1/d``."""
        if self.m < (least := 1 - 1 / dim):
            raise ValueError(
                f"PorousMedium({self.m:g}) in dimension {dim}: for m < 1 - 1/{dim} = {least:.6g} the energy is not "
                "convex along geodesics and its diffusion no gradient flow that a step could follow; take a larger m"
            )

    def U(self, rho: Tensor) -> Tensor:
        """rho^m / (m (m - 1))."""
        return rho**self.m / (self.m * (self.m - 1))

    def slope(self, rho: Tensor) -> Tensor:
        """rho^(m - 1) / (m - 1)."""
        return rho ** (self.m - 1) / (self.m - 1)

    def density(self, p: Tensor) -> Tensor:
        """((m - 1) p)_+^(1 / (m - 1)); for m < 1 it is +inf for p >= 0."""
        return ((self.m - 1) * p).clamp(min=0) ** (1 / (self.m - 1))

    def density_slope(self, p: Tensor) -> Tensor:
        """((m - 1) p)^((2 - m) / (m - 1)); for m > 1 it is 0 for p <= 0."""
        s = ((self.m - 1) * p).clamp(min=0)
        power = s ** ((2 - self.m) / (self.m - 1))
        return power if self.m < 1 else torch.where(p > 0, power, torch.zeros_like(power))

    def pressure(self, rho: Tensor) -> Tensor:
        """``P = rho^m / m``."""
        return rho**self.m / self.m

    def stiffness(self, rho: Tensor) -> Tensor:
        """rho^(m - 2)."""
        return rho ** (self.m - 2)

    def conjugate(self, p: Tensor) -> Conjugate:
        """``U* = rho s / m`` with ``s = ((m - 1) p)_+`` and ``rho = s^(1 / (m - 1))``, from one power."""
        s = ((self.m - 1) * p).clamp(min=0)
        rho = s ** (1 / (self.m - 1))
        if self.m < 1:  # all three are +inf for p >= 0; where p = -inf, rho is 0 and U*(p) too
            value = torch.where(rho > 0, rho * s.clamp(min=torch.finfo(s.dtype).tiny), 0) / self.m
            return Conjugate(value, rho, torch.where(rho > 0, rho / s, 0))
        return Conjugate(rho * s / self.m, rho, torch.where(s > 0, rho / s, 0))

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``e^((m - 1) s) / (m - 1)`` and (m - 1) times that."""
        power = ((self.m - 1) * s).exp()
        return power / (self.m - 1), power

    def per_mass(self, s: Tensor) -> Tensor:
        """``e^((m - 1) s) / (m (m - 1))``."""
        return self.of_log(s)[0] / self.m
