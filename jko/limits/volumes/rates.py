"""The time derivative of the energy along the three systems, by formula.

Let ``u_D = -(grad_theta phi)(H, theta) - c grad U'(rho)``, the velocity of the gradient flow in D, and let u be the
velocity of rho and a the one that carries H.  From ``d_t rho = -div(rho u)`` and ``d_t H = -a . grad H - p``

    d/dt G = int [ -u_D . u + p grad H . (u - a) - p^2 ] drho.

(3.19) has u = u_D - p grad H and a = 0, (3.21) the same u and a = u, (3.23) u = a = u_D; in Remark 4.1, read literally,
a lacks the part ``-c grad U'(rho)`` of u.  Averaged over noise H rises by ``Q = c (Lap H + grad log rho . grad H)``
too, and ``int p Q drho = -c int grad p . grad H drho``.  What this is for each: :meth:`jko.limits.systems.System.rate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.energies import Energy
from jko.limits.rule import Noise, Rule
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import check_noise, fluxes, split, velocity
from jko.measures import ChargedDensity


def rate(rule: Rule, energy: Energy, pair: ChargedDensity, noise: Noise) -> float:
    """dG/dt in the cells: gradients of phi exact, those of rho and H by differences of second order."""
    internal, rest = split(energy)
    check_noise(rule, noise, internal)
    with torch.no_grad():
        grid, P = pair.grid, internal.pressure(pair.values)
        q = _field(
            pair,
            [
                velocity(flux, pair.values, face)
                for face, flux in zip(grid.across, fluxes(P, grid), strict=True)
            ],
        )
        B = _field(pair, [face.diff(pair.H) / face.width for face in grid.across])
        gradient = torch.zeros_like(pair.atoms.points) if rest is None else rest.gradient(pair)
        p = gradient[:, :1]
        u_D = q - gradient[:, 1:]
        u = rule.velocity(u_D, p, B)
        a = torch.zeros_like(u) if not rule.carried else u - q if noise == "literal" else u
        spread = torch.zeros_like(p[:, 0])
        if noise == "averaged":
            P_H = p.reshape(pair.H.shape)
            bend = _field(pair, [face.diff(P_H) / face.width for face in grid.across])
            spread = sum(c for c, _ in internal.summands) * (bend * B).sum(1)
        return float(pair.integrate((-u_D * u + p * B * (u - a)).sum(1) - p[:, 0] ** 2 - spread))


def _field(pair: ChargedDensity, parts: list[Tensor]) -> Tensor:
    """Components on the faces across each axis as vectors in the cells, (N, d)."""
    sides = zip(parts, pair.grid.across, strict=True)
    cells = [faces.to_cells(part, pair.H, face).reshape(-1) for part, face in sides]
    return torch.stack(cells, dim=1)
