"""Newton's method for entropies where that of the dual fails: small ones, in strong potentials.

(U*)' is an exponential then, and the dual's quadratic model is worth little: a price that is wrong by many times the
entropy's strength empties or floods a cell.  The primal-dual method keeps a price q_c for every corner beside
``p_c(phi)``, and each step solves the linearisation of ``r_c = (U*)'(q_c)``, ``q_c = p_c(phi)`` and ``rho - rho_0 - tau
div(M grad phi) = 0``: densities that fall follow the exponential, those that rise its tangent.  Full steps are taken,
and where the first one shows that the linearisation is too far off, the entropy is enlarged and brought back by
factors.
"""

from __future__ import annotations

import math

import numpy as np

from jko.steps.dynamic.kernels import prices
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import Outcome, minimise
from jko.steps.dynamic.risk_kernels import linearise, update
from jko.steps.dynamic.risk_path import FACTOR, Path
from jko.steps.dynamic.stepper import Stepper

TRIED = 12  # iterations of the dual's Newton method before this one
FLOOR, LOWEST = 1e-6, 1e-200  # of the first densities / the largest; of all, absolute
WILD, SETTLED = (
    40.0,
    0.2,
)  # what a step may leave out / mass; mass that moves when the next factor comes
PRECISE = 1e-4  # of the linear systems


def minimise_entropic(stepper: Stepper, phi: Array, tol: float, limit: int) -> Outcome:
    """Like :func:`jko.steps.dynamic.newton.minimise`, which is tried first and polishes what this finds."""
    at = minimise(stepper, phi, tol, min(TRIED, limit))
    if at.residual <= tol or limit <= TRIED:
        return at
    found = _primal_dual(stepper, np.zeros_like(phi), tol, limit)
    near = found if found.finite else at
    after = minimise(stepper, near.phi, tol, limit)
    newton, cg = at.newton + found.newton + after.newton, at.cg + found.cg + after.cg
    return after._replace(newton=newton, cg=cg, evaluations=after.evaluations + newton)


def _primal_dual(stepper: Stepper, phi: Array, tol: float, limit: int) -> Outcome:
    kind, lift = stepper.data.kind, np.zeros_like(phi)
    assert kind is not None
    start = np.maximum(stepper.rho0, FLOOR * stepper.rho0.max())
    first = np.repeat(prices(kind, start)[None], len(stepper.w), axis=0)
    corner, factor, M = first.copy(), 1.0, np.empty_like(stepper.M)
    grid = (stepper.strides[0], stepper.layout.rows[0], stepper.data.tau)
    at = Outcome(phi, stepper.evaluate(phi), stepper.imbalance())
    while at.finite and at.newton < limit and not (factor == 1.0 and at.residual <= tol):
        now = Path(kind, factor, 1.0).kind
        stepper.M[:], M[:] = stepper.M0, stepper.M0
        fields = (at.phi, stepper.V, stepper.g)
        linearise(now, *grid, *fields, corner, stepper.w, stepper.rho, stepper.M, M)
        left = stepper.imbalance()
        stepper.prepare(mobility=M)
        step, cg = stepper.solve(stepper.F, PRECISE * left)
        lowest = float(prices(now, np.array([LOWEST]))[0])
        inverse = stepper.layout.inverse
        moved, missed, mass = update(now, *grid, inverse, *fields, corner, step, lift, lowest)
        work = (at.newton + 1, at.cg + cg)
        if at.newton == 0 and missed > WILD * mass:
            factor = FACTOR ** math.ceil(math.log(2 * missed / (WILD * mass), FACTOR))
            corner = factor * first
            stepper.evaluate(phi)
            at = at._replace(newton=work[0], cg=work[1])
            continue
        new = at.phi - step
        at = Outcome(new, stepper.evaluate(new), stepper.imbalance(), *work)
        if factor > 1.0 and moved <= SETTLED * mass:
            corner /= min(FACTOR, factor)
            factor = max(factor / FACTOR, 1.0)
    return at
