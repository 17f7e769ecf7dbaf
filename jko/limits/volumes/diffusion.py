"""Internal energies ``sum_i c_i int U_i(rho)`` on cells.

They move rho by the flux ``-rho grad sum_i c_i U_i'(rho) = -grad P``, with the pressure
``P = sum_i c_i (rho U_i' - U_i)``.  For the entropy P = c rho, so an empty cell needs no logarithm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.energies import (
    Congestion,
    Energy,
    Entropy,
    Internal,
    Mixture,
    joined,
    negative,
    refuse,
    sorted_terms,
)
from jko.limits.rule import CARRIES, Noise, Rule
from jko.spaces import FacesAcross, Grid

EMPTY = 1e-12  # of the largest density: below it U'' may be past what numbers can hold
FLAT = 1e-6  # relative difference of two cells below which a secant is rounding


def split(energy: Energy) -> tuple[Mixture, Energy | None]:
    """The internal terms as one, and the rest of an energy or None.

    Raises
    ------
    ValueError
        An internal energy with a negative coefficient; congestion.
    """
    terms = sorted_terms(energy)
    refuse(
        negative(terms.internal),
        "{energy} has the coefficient {c:g}; a negative one is diffusion backwards in time, which has no "
        "solution: use a coefficient >= 0",
    )
    refuse(
        terms.of(Congestion),
        "{energy} in the energy: its pressure is no function of the density, so that it has no diffusion to integrate; "
        "take steps of jko.Dynamic(), or m * jko.PorousMedium(m) of densities in units of the limit, m = 20 to 80",
    )
    return terms.mixture, joined(terms.without(Internal))


def check_noise(rule: Rule, noise: Noise, internal: Mixture) -> None:
    """Refuse a mean over noise that is none: of another system, or of diffusion that is no Brownian motion.

    Raises
    ------
    ValueError
        ``noise="averaged"`` of (3.19) or (3.21), or with an internal energy besides entropy.
    """
    if noise not in CARRIES:
        raise ValueError(f"noise must be one of {', '.join(map(repr, CARRIES))}, not {noise!r}")
    if noise != "averaged":
        return
    if rule.total or not rule.carried:
        raise ValueError(
            f'noise="averaged" is the mean of H over atoms that carry it, as in (3.23); {rule.equation} is no system '
            "of atoms: leave it out"
        )
    refuse(
        ((c, E) for c, E in internal.summands if not isinstance(E, Entropy)),
        'noise="averaged" with {energy} in the energy: Brownian motion is the noise of jko.Entropy alone',
    )


def diffusivity(U: Mixture, rho: Tensor) -> Tensor:
    """``P'(rho) = rho U''(rho)``, zero where that is no number."""
    rate = rho * U.stiffness(rho)
    return torch.where(rate.isfinite(), rate, 0.0)


def largest(U: Mixture, rho: Tensor) -> Tensor:
    """The largest :func:`diffusivity` of a cell that is not empty, a 0-d tensor: what explicit steps must resolve."""
    inside = diffusivity(U, rho[rho > EMPTY * rho.amax()])
    return inside.amax() if inside.numel() else rho.amax()  # rho is NaN then


def steepest(U: Mixture, grid: Grid, rho: Tensor, P: Tensor) -> Tensor:
    """The largest diffusivity of cells and secant of P between neighbours, a 0-d tensor."""
    if not U.summands:
        return rho.new_zeros(())
    smallest, found = torch.finfo(rho.dtype).tiny / FLAT, largest(U, rho)
    for face in grid.across:
        step, sizes = face.diff(rho), face.mean(rho)
        apart = (step.abs() > FLAT * sizes) & (sizes > smallest)
        secants = torch.where(apart, face.diff(P) / step, 0.0).abs()
        found = torch.maximum(found, secants.amax()) if secants.numel() else found
    return found


def fluxes(P: Tensor, grid: Grid) -> list[Tensor]:
    """``-dP/dtheta_k`` on the faces across each axis k."""
    return [-face.diff(P) / face.width for face in grid.across]


def velocity(flux: Tensor, rho: Tensor, across: FacesAcross) -> Tensor:
    """The flux over the mean density at the faces, never more than twice the diffusivity over the spacing."""
    mean = across.mean(rho)
    return torch.where(mean > 0, flux / mean, 0.0)
