"""The duality gap of a path: a feasible primal point against the dual value of its potentials.

Primal: the densities, each brought to the mass of its chambers, and fluxes that a Poisson problem for each slab makes
meet the continuity equation, as in :mod:`jko.steps.dynamic.gap`.  Dual: the potentials, lowered by a constant in each
slab until the inequalities between the slabs hold; the proximal term has no part in it.
"""

from __future__ import annotations

import numpy as np

from jko.duality import Gap
from jko.steps.dynamic.corners import corner_energy, densities, deposit
from jko.steps.dynamic.gap import CG_LIMIT, EXACT, ROUNDS
from jko.steps.dynamic.inner.path import SlabPath
from jko.steps.dynamic.inner.rounds import rounds
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.setting import factors

LOWERED = 20  # rounds of the search for feasible potentials
REACH, FALL = 8, 0.6  # cells around a broken inequality that are lowered too, and by how much less
MORE, POLISHED = 30, 1e-7  # Newton iterations before it, and their tolerance


def path_gap(path: SlabPath, phi: Array, scale: Array, constant: float) -> Gap:
    """The gap at the potentials ``phi`` (n, size), with the last density multiplied by ``scale`` cell by cell.

    ``constant`` is added to both values: the energy's terms that the dual sees linearised.
    """
    cell = path.layout.cell
    energy, action, spread = _primal(path, phi, scale)
    dual = -_dual(path, phi)
    reason = (
        "weak duality on the grid, in all slabs of time: densities and fluxes that meet the continuity equation "
        "against potentials that meet the inequality of Hamilton and Jacobi"
    )
    lower, upper = constant + cell * dual, constant + cell * (energy + action + spread)
    return Gap(upper - lower, True, reason, lower, upper)


def _dual(path: SlabPath, phi: Array) -> float:
    """The least J of (P_n) met on the way to feasible potentials, per unit cell volume.

    Where an inequality is broken, the potentials until then are lowered there and around; what that breaks is less.
    At every point of the way a constant pays for the rest.  It begins after some more iterations, which bring the
    inequalities closer and leave the densities that were returned alone.
    """
    near, best = path.near, np.inf
    lowered = rounds(path, phi, POLISHED, MORE, 0.0).phi
    path.near = near
    for _ in range(LOWERED):
        path.evaluate(lowered)
        J = path.end.evaluate(lowered[-1]) - float(path.rho0 @ lowered[0])
        for step, M0 in zip(path.slabs, path.M0, strict=True):
            J += 0.5 * path.tau * float((M0 * step.g[:, : path.layout.size] ** 2).sum())
        broken = np.maximum(path.p, 0.0) * path.free
        best = min(best, J + path.mass * float(broken.max(1).sum()))
        lowered = lowered.copy()
        lowered[:-1] -= np.cumsum(_around(path, broken)[::-1], axis=0)[::-1]
    path.evaluate(phi)
    path.imbalance()
    return best


def _around(path: SlabPath, fields: Array) -> Array:
    """The least fields above these that fall by no more than a part from a cell to the next: spikes have slopes."""
    for _ in range(REACH):
        for s in path.steps:
            along = fields.copy()
            np.maximum(along[:, s:], FALL * fields[:, :-s], out=along[:, s:])
            np.maximum(along[:, :-s], FALL * fields[:, s:], out=along[:, :-s])
            fields = along
    return fields


def _primal(path: SlabPath, phi: Array, scale: Array) -> tuple[float, float, float]:
    """Energy, action, and what the Poisson solver left over at most."""
    L, V, end = path.layout, path.data.V, path.end
    path.evaluate(phi)
    corners, last, share = np.zeros_like(end.w), np.zeros_like(end.rho), np.zeros_like(end.M)
    mesh = (path.steps, path.rows)
    densities(path.data.kind, *mesh, path.tau, phi[-1], end.V, end.g, corners)
    corners *= L.pad(scale, 1.0)
    energy = corner_energy(path.data.kind, *mesh, end.V, corners)
    deposit(*mesh, corners, last, share)
    end.fold(share)
    rho0 = L.crop(path.rho0)
    inner = [L.pad(r * factors(V, r, rho0)) for r in path.crop(path.r)]
    known = [path.rho0, *inner, last]
    action, left = 0.0, 0.0
    for k, (step, M0) in enumerate(zip(path.slabs, path.M0, strict=True)):
        step.M[:] = M0
        if k > 0:
            path.mobile(known[k], step.M)
        if k < path.n - 1:
            path.mobile(known[k + 1], step.M)
        else:
            step.M += share
        step.rho0, step.rho = known[k], known[k + 1]
        flow, rest = _repaired(path, k, phi[k].copy())
        action += 0.5 * path.tau * float((step.M * step.g[:, : L.size] ** 2).sum())
        left += rest * path.mass * float(np.ptp(L.crop(flow)[L.free]))
    return energy, action, left


def _repaired(path: SlabPath, k: int, flow: Array) -> tuple[Array, float]:
    """A potential whose flux meets the continuity equation of slab k, and what is left of it."""
    step = path.slabs[k]
    left = step.imbalance()
    step.prepare(weights=np.zeros_like(step.w))
    for _ in range(ROUNDS):
        if left <= EXACT:
            break
        flow -= step.solve(step.F, 0.1 * EXACT, CG_LIMIT)[0]
        step.slopes(flow)
        after = step.imbalance()
        if not after < left:
            break
        left = after
    return flow, left
