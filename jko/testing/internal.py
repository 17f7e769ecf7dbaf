"""The law of an internal energy, ``int U(rho)``: U, its slope and its conjugate against each other."""

from __future__ import annotations

import torch

from jko.energies import Internal
from jko.testing.promises import Difference, promise, same

DENSITIES = (0.05, 0.3, 0.7, 1.0, 1.6, 4.0)


def check_law(energy: Internal) -> None:
    """U is convex with U(0) = 0; ``slope`` is its derivative, ``density`` the inverse of that, and so on."""
    rho = torch.tensor(DENSITIES, dtype=torch.float64)
    zero = float(energy.U(torch.zeros(1, dtype=torch.float64)))
    promise(zero == 0, energy, "U", f"is {zero:g} at 0; where no mass is, no energy is")
    p = energy.slope(rho)
    rises = p.diff() > 0
    said = f"does not rise from rho = {DENSITIES[int((~rises).int().argmax())]}: U is not convex"
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


def _derivative(
    energy: Internal, method: str, found: Difference, claimed: torch.Tensor, of: str
) -> None:
    if wrong := found.apart(claimed):
        said = f"is not the derivative of {of}: a change of {wrong[0]:.6g}, and the values say {wrong[1]:.6g}"
        promise(False, energy, method, said)


def _follows(energy: Internal) -> None:
    """What follows from the four, where it was written anew, says what the formulas of the base class say."""
    rho = torch.tensor(DENSITIES, dtype=torch.float64)
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
