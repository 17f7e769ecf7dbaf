"""The law of an internal energy, ``int U(rho)``: U, its slope and its conjugate against each other."""

from __future__ import annotations

import torch

from jko.energies import Internal
from jko.testing.promises import Difference, promise, same

DENSITIES = (0.05, 0.3, 0.7, 1.0, 1.6, 4.0)


def check_law(energy: Internal) -> None:
    """U is convex with U(0) = 0; ``slope`` is its derivative, ``density`` the inverse of that, and so on."""
    rho = _densities(energy)
    zero = float(energy.U(torch.zeros(1, dtype=torch.float64)))
    promise(zero == 0, energy, "U", f"is {zero:g} at 0; where no mass is, no energy is")
    p = energy.slope(rho)
    if bool((p.diff() == 0).any()) and energy.ceiling < torch.inf:
        return _flat(energy, rho, p)
    rises = p.diff() > 0
    said = f"does not rise from rho = {float(rho[int((~rises).int().argmax())]):g}: U is not convex"
    promise(rises.all(), energy, "slope", said)
    _derivative(energy, "slope", Difference.of(lambda s: energy.U(rho * (1 + s))), rho * p, "U")
    back = energy.density(p)
    said = f"gives {back.tolist()} at the slopes of {rho.tolist()}; it is the inverse of slope"
    promise(same(back, rho, 1e-8), energy, "density", said)
    flat = energy.density_slope(p)
    by = Difference.of(lambda s: energy.density(p + s * p.abs().clamp(max=0.1)))
    _derivative(energy, "density_slope", by, flat * p.abs().clamp(max=0.1), "density")
    below = energy.density(torch.full((1,), -1e6, dtype=torch.float64))
    promise(float(below) >= 0, energy, "density", f"is {float(below):g}, negative, at p = -1e6")
    _follows(energy)


def _densities(energy: Internal) -> torch.Tensor:
    """Densities where U is finite."""
    rho = torch.tensor(DENSITIES, dtype=torch.float64)
    return rho if energy.ceiling == torch.inf else rho * (energy.ceiling / (2 * DENSITIES[-1]))


def _flat(energy: Internal, rho: torch.Tensor, p: torch.Tensor) -> None:
    """Of a U that is flat and ends: ``U(rho) + U*(p) = p rho`` at the slopes, and at densities of prices; else more."""
    for price in (p, p + 1, p - 1):
        value, best, _ = energy.conjugate(price)
        there = value + energy.U(best) - price * best
        promise(
            same(there, 0 * there, 1e-12), energy, "density", "is no maximiser of p rho - U(rho)"
        )
        more = value + energy.U(rho) - price * rho
        promise(
            (more >= -1e-12).all(), energy, "conjugate", "is less than p rho - U(rho) somewhere"
        )
    touching = energy.conjugate(p).value + energy.U(rho) - p * rho
    promise(same(touching, 0 * touching, 1e-12), energy, "slope", "is no slope of U")
    top = torch.tensor([energy.ceiling], dtype=torch.float64)
    promise(energy.U(top).isfinite().all(), energy, "U", "is infinite at the ceiling")
    promise(energy.U(1.01 * top).isinf().all(), energy, "U", "is finite above the ceiling")


def _derivative(
    energy: Internal, method: str, found: Difference, claimed: torch.Tensor, of: str
) -> None:
    if wrong := found.apart(claimed):
        said = f"is not the derivative of {of}: a change of {wrong[0]:.6g}, and the values say {wrong[1]:.6g}"
        promise(False, energy, method, said)


def _follows(energy: Internal) -> None:
    """What follows from the four, where it was written anew, says what the formulas of the base class say."""
    rho = _densities(energy)
    p = energy.slope(rho)
    base = {
        "pressure": (energy.pressure(rho), Internal.pressure(energy, rho)),
        "stiffness": (energy.stiffness(rho), Internal.stiffness(energy, rho)),
        "log_density": (energy.log_density(p), Internal.log_density(energy, p)),
        **{
            f"conjugate(p).{name}": (one, other)
            for name, one, other in zip(
                ("value", "density", "slope"),
                energy.conjugate(p),
                Internal.conjugate(energy, p),
                strict=True,
            )
        },
        **{
            f"of_log(s)[{k}]": (one, other)
            for k, (one, other) in enumerate(
                zip(energy.of_log(rho.log()), Internal.of_log(energy, rho.log()), strict=True)
            )
        },
    }
    for method, (own, wanted) in base.items():
        said = f"is {own.tolist()}, and by U, slope, density and density_slope {wanted.tolist()}"
        promise(same(own, wanted, 1e-7), energy, method, said)
