"""Sums of internal energies: the density that has a given pressure, and the convex conjugate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies import Internal

SWEEPS = 200  # of the safeguarded Newton method; it takes about ten


@dataclass(frozen=True)
class Mixture:
    """``U = sum_i c_i U_i`` with c_i > 0, on arrays of densities or of pressures p = U'(rho).

    For one term all of it is the term's own; for several, ``rho = (U*)'(p)`` solves ``sum_i c_i U_i'(rho) = p``.
    """

    terms: tuple[tuple[float, Internal], ...]

    def U(self, rho: Tensor) -> Tensor:
        """Energy per unit volume."""
        return sum((c * E.U(rho) for c, E in self.terms), torch.zeros_like(rho))

    def slope(self, rho: Tensor) -> Tensor:
        """U'(rho)."""
        return sum((c * E.slope(rho) for c, E in self.terms), torch.zeros_like(rho))

    def density(self, p: Tensor) -> Tensor:
        """(U*)'(p): the rho >= 0 with U'(rho) = p, 0 for p below U'(0)."""
        if len(self.terms) == 1:
            ((c, E),) = self.terms
            return E.density(p / c)
        rho = torch.zeros_like(p)
        full = p > self.slope(rho)
        rho[full] = self._root(p[full])
        return rho

    def density_slope(self, p: Tensor, rho: Tensor) -> Tensor:
        """(U*)''(p) = 1 / U''(rho) at ``rho = density(p)``, 0 where that is 0."""
        stiffness = sum((c / E.density_slope(E.slope(rho)) for c, E in self.terms), 0 * rho)
        if len(self.terms) == 1:
            ((c, E),) = self.terms
            return E.density_slope(p / c) / c
        return torch.where(rho > 0, 1 / stiffness, torch.zeros_like(rho))

    def conjugate(self, p: Tensor, rho: Tensor) -> Tensor:
        """``U*(p) = p rho - U(rho)`` at ``rho = density(p)``."""
        return p * rho - self.U(rho)

    def _root(self, p: Tensor) -> Tensor:
        """Newton in log rho, between bounds.

        At the root some U_i' is at most, another at least ``p / sum c_i``, so that the densities which have this slope
        enclose it.
        """
        share = p / sum(c for c, _ in self.terms)
        guesses = torch.stack([E.density(share) for _, E in self.terms])
        high = guesses.amax(0).log()
        low, drop = guesses.amin(0).log(), torch.ones_like(high)
        low = torch.where(low.isfinite(), low, high - 1)
        while bool((above := self.slope(low.exp()) > p).any()):
            low, drop = torch.where(above, low - drop, low), 2 * drop
        s = high
        for _ in range(SWEEPS):
            rho = s.exp()
            excess = self.slope(rho) - p
            low, high = torch.where(excess < 0, s, low), torch.where(excess < 0, high, s)
            stiffness = sum((c / E.density_slope(E.slope(rho)) for c, E in self.terms), 0 * rho)
            new = s - excess / (rho * stiffness)
            new = torch.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            if bool((new == s).all()) or bool(((new - s).abs() <= 1e-16 * (1 + s.abs())).all()):
                break
            s = new
        return s.exp()
