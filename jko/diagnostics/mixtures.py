"""Sums of internal energies: the density that has a given pressure, and the convex conjugate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies import Internal

SWEEPS = 200  # of the safeguarded Newton method; it takes about ten
ROUNDING = 1e-15  # relative, of slopes and of log rho


@dataclass(frozen=True)
class Mixture:
    """``U = sum_i c_i U_i`` with c_i > 0, on arrays of densities or of pressures p = U'(rho).

    Without a term U is 0, for p <= 0; for one, all of it is the term's own; for several, ``rho = (U*)'(p)`` solves
    ``sum_i c_i U_i'(rho) = p``.
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
        if not self.terms:
            return torch.zeros_like(p)
        if len(self.terms) == 1:
            ((c, E),) = self.terms
            return E.density(p / c)
        rho = torch.zeros_like(p)
        full = p > self.slope(rho)
        rho[full] = self._root(p[full])
        return rho

    def density_slope(self, p: Tensor, rho: Tensor) -> Tensor:
        """(U*)''(p) = 1 / U''(rho) at ``rho = density(p)``, 0 where that is 0."""
        if len(self.terms) == 1:
            ((c, E),) = self.terms
            return E.density_slope(p / c) / c
        return torch.where(rho > 0, 1 / self._stiffness(rho), torch.zeros_like(rho))

    def conjugate(self, p: Tensor, rho: Tensor) -> Tensor:
        """``U*(p) = p rho - U(rho)`` at ``rho = density(p)``."""
        return p * rho - self.U(rho)

    def _stiffness(self, rho: Tensor) -> Tensor:
        """U''(rho)."""
        return sum(
            (c / E.density_slope(E.slope(rho)) for c, E in self.terms), torch.zeros_like(rho)
        )

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
        s, last = high, high - low
        for _ in range(SWEEPS):
            rho = s.exp()
            slopes = torch.stack([c * E.slope(rho) for c, E in self.terms])
            excess = slopes.sum(0) - p
            low, high = torch.where(excess < 0, s, low), torch.where(excess < 0, high, s)
            step = excess / (rho * self._stiffness(rho))
            done = excess.abs() <= ROUNDING * slopes.abs().sum(0)
            done |= step.abs() <= ROUNDING * (1 + s.abs())
            if bool(done.all()):
                break
            new = s - step
            fast = (new >= low) & (new <= high) & (step.abs() <= 0.5 * last)
            new = torch.where(done, s, torch.where(fast, new, 0.5 * (low + high)))
            s, last = new, (new - s).abs()
        return s.exp()
