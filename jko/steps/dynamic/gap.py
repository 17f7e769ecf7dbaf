"""The duality gap of a step on a grid: a feasible primal point against the dual value of the step's potential.

The densities of phi, brought to the exact mass, are kept; their fluxes ``-M grad phi`` miss the continuity equation by
F.  One Poisson problem ``-tau div(M grad psi) = F`` repairs that: the fluxes ``-M grad(phi - psi)`` meet it, and the
primal value there is an upper bound of the minimum.  What the Poisson solver leaves over is charged at the largest
difference of the potential.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jko.duality import Gap
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.corners import corner_energy, densities, deposit
from jko.steps.dynamic.joint import Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import GridStep, Stepper

EXACT = 1e-13  # of the continuity equation, |.|_1 relative to the mass
ROUNDS = 6
CG_LIMIT = 400


def gap(
    data: GridStep, phi: Array, scale: Array, constant: float, corners: Array | None = None
) -> Gap:
    """The gap of the potential ``phi`` (grid shape), with the densities multiplied by ``scale`` cell by cell.

    ``corners`` are the densities (2^d, size) where they are not those of phi.  ``constant`` is added to both values:
    the energy's terms that the dual sees linearised.
    """
    step = Stepper(data)
    L, tau, cell = step.layout, data.tau, step.layout.cell
    at, grid = L.pad(phi), (step.strides[0], L.rows[0])
    dual = -step.evaluate(at)
    r = np.zeros_like(step.w)
    if corners is None:
        densities(data.kind, *grid, tau, at, step.V, step.g, r)
    else:
        r[:] = corners
    r *= L.pad(scale, 1.0)
    energy = corner_energy(data.kind, *grid, step.V, r)
    step.M[:] = step.M0
    deposit(*grid, r, step.rho, step.M)
    step.fold(step.M)
    flow = at.copy()
    left = step.imbalance()
    nothing = np.zeros_like(step.w)
    step.prepare(nothing)
    for _ in range(ROUNDS):
        if left <= EXACT:
            break
        correction, _ = step.solve(step.F, 0.1 * EXACT, CG_LIMIT)
        flow -= correction
        step.slopes(flow)
        after = step.imbalance()
        if not after < left:
            break
        left = after
    n = L.size
    action = 0.5 * tau * float((step.M * step.g[:, :n] ** 2).sum())
    spread = float(np.ptp(L.crop(flow)[L.free]))
    primal = energy + action + left * step.mass * spread
    reason = "weak duality on the grid: densities and fluxes that meet the continuity equation against a potential"
    value = cell * (primal - dual)
    lower, upper = constant + cell * dual, constant + cell * primal
    return Gap(value, True, reason, lower, upper)


def risk_gap(
    joint: Joint,
    data: GridStep,
    phi: Array,
    scale: Array,
    state: GridDensity,
    constant: float,
    corners: Array | None = None,
) -> Gap:
    """The gap with a risk: that of the potential ``V + A^T lam``, and ``1/2 |A m - b - lam|^2``."""
    lam, features = joint.lam, joint.features
    pull = np.tensordot(lam, features.A, 1)
    own = float(lam @ (features.b + 0.5 * lam))
    linear = gap(data._replace(V=data.V + pull), phi, scale, constant - own, corners)
    m = as_array(state.weights).reshape(data.rho0.shape)
    miss = np.tensordot(features.A, m, m.ndim) - features.b - lam
    more = 0.5 * float(miss @ miss)
    return replace(linear, value=linear.value + more, reachable=linear.reachable + more)
