"""(3.23) with internal energies on the nodes of a line: characteristics of rho that diffuse against each other.

The cells between nodes keep their mass, so a node moves by ``u = w - (P(rho_right) - P(rho_left)) / M``, w without
diffusion, P the pressure of the internal energies, M its mass: the gradient of the energy of the mesh.  H at a node
follows from the reading of Remark 4.1, with q = u - w:

=========  =====================================
carried    ``H' = -p``
literal    ``H' = -p + q H_theta``
averaged   ``H' = -p + (c rho H_theta)_theta / rho``
=========  =====================================
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from jko import checks
from jko.energies import Energy, value_of
from jko.limits.course import Array, Times, kept_times, tolerance, travelled
from jko.limits.integration import integrate
from jko.limits.rule import Noise, Rule
from jko.limits.volumes.diffusion import check_noise, split
from jko.measures import ChargedMesh
from jko.trajectory import Trajectory


def integrate_mesh(
    rule: Rule,
    energy: Energy,
    start: ChargedMesh,
    t1: float,
    times: Times | None,
    rtol: float,
    noise: Noise,
    evaluations: int,
) -> Trajectory:
    """Solve (3.23) from a mesh.

    Raises
    ------
    ValueError
        Times out of order or range; a tolerance below rounding; an internal energy with a negative coefficient.
    LimitStopped
        If nodes meet, the gradient is not finite, or the evaluations are used up.
    """
    t1 = checks.number("t1", t1, above=0)
    wanted = None if times is None else kept_times(times, t1)
    rtol = tolerance(rtol, start.theta)
    internal, rest = split(energy)
    check_noise(rule, noise, internal)
    c, M, n = float(sum(c for c, _ in internal.summands)), start.weights, start.N

    def rates(t: float, y: Array) -> Array:
        theta, H = torch.from_numpy(y.copy()).to(start.theta).split(n)
        mesh = start.moved(theta, H)
        force = torch.zeros_like(mesh.atoms.points) if rest is None else rest.gradient(mesh.atoms)
        p, w = force[:, 0], -force[:, 1]
        q = -_between(internal.pressure(mesh.values)) / M
        rise = -p
        if noise == "literal":
            rise = rise + q * torch.gradient(H, spacing=(theta,))[0]
        if noise == "averaged":
            rise = rise + c * _between(mesh.values * H.diff() / mesh.volumes) / M
        return torch.cat([w + q, rise]).double().cpu().numpy()

    solution = integrate(
        rates,
        torch.cat([start.theta, start.H]).double().cpu().numpy(),
        t1,
        rtol,
        wanted,
        event=lambda y: float(np.diff(y[:n]).min()),
        evaluations=evaluations,
        rounding=torch.finfo(start.theta.dtype).eps,
    )
    if solution.stopped is not None:
        solution = solution._replace(
            failure=f"two nodes meet at t = {solution.stopped:g} of {t1:g}: rho has no density there. Take t1 below"
        )

    def state(t: float, row: Array) -> ChargedMesh:
        theta, H = torch.from_numpy(row.copy()).to(start.theta).split(n)
        return start.moved(theta, H)

    return travelled(lambda found: value_of(energy, found), start, solution, state)


def _between(cells: Tensor) -> Tensor:
    """Of numbers per cell (N - 1,) for each node the right one less the left one, zero beyond the ends."""
    return pad(cells, (0, 1)) - pad(cells, (1, 0))
