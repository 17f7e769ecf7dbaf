"""``1/2 d/dt d^2(mu_t, nu)`` along the gradient flow through a state: by the optimal plan, or by its potentials."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.slope import meshes
from jko.energies import Energy
from jko.limits.densities import Volumes
from jko.limits.walls import tangent
from jko.measures import ChargedMesh, ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.metrics import Distance, as_array, distance
from jko.metrics.meshes import pieces
from jko.spaces import wraps

Array = NDArray[np.float64]
Approach = tuple[float, float]  # 1/2 d/dt d^2, and d^2


@singledispatch
def approach(state: State, nu: State, energy: Energy) -> Approach:
    """``1/2 d/dt d^2(mu_t, nu)`` at mu_0 = state, and ``d^2``.

    Of several optimal plans one counts, so that it is at least the derivative from the right, which is the least of
    all: d^2 is the least cost of many.
    """
    raise TypeError(
        f"how a {type(state).__name__} moves along the gradient flow is not known here; take jko.Particles, "
        "jko.ChargedParticles, jko.LineMesh, jko.ChargedMesh or jko.GridDensity"
    )


def _by_plan(state: State, nu: State, v: torch.Tensor) -> Approach:
    """``int v(x) . (x - y) dplan`` with the velocities v of the atoms."""
    found = distance(state, nu)
    plan, domain = found.plan, state.atoms.domain
    rows, cols, mass = (torch.from_numpy(part) for part in (plan.rows, plan.cols, plan.mass))
    apart = state.atoms.points[rows] - nu.atoms.points[cols]
    if wraps(domain):
        assert domain is not None
        apart = domain.shortest(apart)
    return float(mass.to(v) @ (v[rows] * apart).sum(-1)), found.squared


@approach.register(Particles)
@approach.register(ChargedParticles)
def _(state: State, nu: State, energy: Energy) -> Approach:
    mu = state.atoms
    return _by_plan(state, nu, tangent(mu.domain, mu.points, -energy.gradient(mu)))


@approach.register(ChargedMesh)
def _(state: ChargedMesh, nu: State, energy: Energy) -> Approach:
    v = torch.from_numpy(meshes.velocity(energy, state).reshape(-1, 2)).to(state.theta)
    return _by_plan(state, nu, v)


@approach.register(LineMesh)
def _(state: LineMesh, nu: State, energy: Energy) -> Approach:
    """By the monotone map, exactly: velocity and displacement are affine on each piece."""
    nu = checks.kind("the state to compare with", nu, LineMesh)
    p = pieces(state, nu)
    edges, v = as_array(state.edges), meshes.velocity(energy, state)
    slope = (np.diff(v) / np.diff(edges))[p.rows]
    speeds = [v[p.rows] + slope * (x - edges[p.rows]) for x in (p.left_a, p.right_a)]
    apart = [p.left_a - p.left_b, p.right_a - p.right_b]
    mixed = speeds[0] * apart[1] + speeds[1] * apart[0]
    whole = 2 * (speeds[0] * apart[0] + speeds[1] * apart[1]) + mixed
    return float(p.mass @ whole) / 6, distance(state, nu).squared


@approach.register(GridDensity)
def _(state: GridDensity, nu: State, energy: Energy) -> Approach:
    """By the potential of the density, ``1/2 sum_K alpha_K dm_K/dt``, along the finite volumes of the flow."""
    nu = checks.kind("the state to compare with", nu, GridDensity)
    found = checks.kind("the distance", distance(state, nu), Distance)
    with torch.no_grad():
        rate = Volumes.of(energy, state)(0.0, state.values).U.reshape(-1) * state.grid.cell
    alpha = np.where(np.isfinite(found.alpha), found.alpha, 0.0)
    return 0.5 * float(alpha @ as_array(rate)), found.squared
