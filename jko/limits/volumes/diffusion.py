"""Internal energies ``sum_i c_i int U_i(rho)`` on cells.

They move rho by the flux ``-rho grad sum_i c_i U_i'(rho) = -grad P``, with the pressure
``P = sum_i c_i (rho U_i' - U_i)``.  For the entropy P = c rho, so an empty cell needs no logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies import Energy, Internal, Sum
from jko.limits.volumes import faces

EMPTY = 1e-12  # of the largest density: below it U'' may be past what numbers can hold
FLAT = 1e-6  # relative difference of two cells below which a secant is rounding


@dataclass(frozen=True)
class Diffusion:
    """The internal terms of an energy, with their coefficients."""

    terms: tuple[tuple[float, Internal], ...]

    def pressure(self, rho: Tensor) -> Tensor:
        """P(rho), zero in empty cells."""
        total = torch.zeros_like(rho)
        for c, E in self.terms:
            total += c * (torch.where(rho > 0, rho * E.slope(rho), 0) - E.U(rho))
        return total

    def diffusivity(self, rho: Tensor, P: Tensor) -> Tensor:
        """The largest ``P'(rho) = sum c rho U''(rho)`` in cells and secant of P between neighbours, a 0-d tensor."""
        if not self.terms:
            return rho.new_zeros(())
        inside = rho[rho > EMPTY * rho.amax()]
        found = [torch.zeros_like(inside)]
        for c, E in self.terms:
            found[0] += c * _over(inside, E.density_slope(E.slope(inside)))
        smallest = torch.finfo(rho.dtype).tiny / FLAT
        for k in range(rho.ndim):
            step, sizes = rho.diff(dim=k), faces.mean(rho, k)
            apart = (step.abs() > FLAT * sizes) & (sizes > smallest)
            found.append((P.diff(dim=k)[apart] / step[apart]).abs())
        numbers = torch.cat(found)
        return numbers.amax() if numbers.numel() else rho.amax()  # rho is NaN then


def fluxes(P: Tensor, spacing: tuple[float, ...]) -> list[Tensor]:
    """``-dP/dtheta_k`` on the faces across each axis k."""
    return [-P.diff(dim=k) / h for k, h in enumerate(spacing)]


def velocity(flux: Tensor, rho: Tensor, axis: int) -> Tensor:
    """The flux over the mean density at the faces, never more than twice the diffusivity over the spacing."""
    return _over(flux, faces.mean(rho, axis))


def _over(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and zero where b is."""
    return torch.where(b > 0, a / b, 0)


def split(energy: Energy) -> tuple[Diffusion, Energy | None]:
    """The internal terms, and the rest of an energy or None.

    Raises
    ------
    ValueError
        An internal energy with a negative coefficient.
    """
    internal: list[tuple[float, Internal]] = []
    rest: list[Energy] = []
    for c, E in energy.terms:
        if not isinstance(E, Internal):
            rest.append(c * E)
        elif c < 0:
            raise ValueError(
                f"{E!r} has the coefficient {c:g}; a negative one is diffusion backwards in time, which has no "
                "solution: use a coefficient >= 0"
            )
        elif c > 0:
            internal.append((c, E))
    return Diffusion(tuple(internal)), Sum(tuple(rest)) if rest else None
