"""The risk of a network inside a step: its prices lam join the potential in one convex dual.

``1/2 |A m - b|^2 = max over lam of lam . (A m - b) - |lam|^2 / 2`` is linear in the masses m = |K| rho, so that the
dual of the step is that of a potential ``V + A^T lam``, and

``J(phi, lam) = J(phi; V + A^T lam) + lam . b + |lam|^2 / 2``,    ``dJ/dlam = lam + b - A m``

(survey (2.6), (4.1)), minimised jointly.  Newton's method for J fails where the risk drives mass far in one step: (U*)'
of an entropy is an exponential, that of a power has a kink.  So the densities r_c of the corners are unknowns too, and
a step solves the linearisation of ``r_c = (U*)'(p_c)``, ``rho - rho_0 - tau div(M grad phi) = 0``, ``lam + b = A m``,
whose matrix is that of J with the weights w_c taken at r_c (a primal-dual method).  Densities that fall follow (U*)',
those that rise its tangent; full steps are taken.  Where the first step shows a linearisation that is too far off,
larger internal energies come first, and powers are reached through small entropies.  Without an entropy
:mod:`risk_reduced` is tried first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jko.duality import Gap
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.cascade import Solved
from jko.steps.dynamic.conjugates import Kind, entropic
from jko.steps.dynamic.gap import gap
from jko.steps.dynamic.kernels import prices
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import Outcome
from jko.steps.dynamic.risk_dual import Features, Joint, on_grid
from jko.steps.dynamic.risk_kernels import carry, linearise, update
from jko.steps.dynamic.risk_path import Path
from jko.steps.dynamic.risk_reduced import minimise_reduced
from jko.steps.dynamic.stepper import Data, Stepper

FLOOR = 1e-6  # of the first corner densities / largest density
ENTER = 1e-9  # density up to which a corner may fill at once / largest density
LOWEST = np.array([1e-200])  # of all, absolute
WILD = 5.0  # what the first linearisation may leave out, relative to the mass
FAR = 0.05  # mass that a last step does not move
SETTLED = 0.01  # residual at which the next energy of a path is tried
FORCING = 1e-3  # reduction of the residual by one linear solve: full steps need good ones


@dataclass(frozen=True)
class SolvedRisk(Solved):
    """The outcome with the joint dual, whose lam are the prices of the data."""

    joint: Joint | None = None

    @property
    def lam(self) -> Array:
        """The prices of the data."""
        assert self.joint is not None
        return self.joint.lam


def solve(
    data: Data, features: Features, phi: Array | None, tol: float, limit: int, floor: float
) -> SolvedRisk:
    """Minimise the joint dual of a step: with an entropy by the primal-dual method, else over lam; by the other one
    where the first fails.

    ``phi`` (grid shape) is the previous step's potential, of use to the second alone; ``floor`` is the least mobility
    of the vacuum in a primal-dual step that asks for a longer path.
    """
    assert data.kind is not None
    best: SolvedRisk | None = None
    for jointly in (True, False) if entropic(data.kind) else (False, True):
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # of a run that fails; the residual says so
            if jointly:
                joint, at = minimise(Joint(Stepper(data), features), tol, limit, floor)
            else:
                joint, at = minimise_reduced(data, features, phi, tol, limit)
        if best is None or not best.outcome.finite or at.residual < best.outcome.residual:
            best = SolvedRisk(joint.stepper, at, None, joint)
        if at.residual <= tol:
            break
    assert best is not None
    return best


def minimise(joint: Joint, tol: float, limit: int, floor: float) -> tuple[Joint, Outcome]:
    """The primal-dual method along a path of energies; a longer path where the first linearisation is far off.

    It starts from phi = 0, lam = 0 and the densities of the base point: the first Newton step is a semi-implicit step
    of the flow, which no earlier potential and no coarser grid was found to improve upon.
    """
    step, tried = joint.stepper, False
    assert step.data.kind is not None
    path = Path.of(step.data.kind, float(step.rho0.max()))
    corner, enter = _first_prices(step, path.kind), ENTER * float(step.rho0.max())
    at = joint.arrived(np.zeros_like(step.rho0), np.zeros_like(joint.b))
    while not at.residual <= tol and at.newton < limit:
        left = _linearised(joint, path.kind, at.phi, corner)
        if left <= SETTLED and path.factor != path.end:
            old, path = path.kind, path.shorter()
            carry(old, path.kind, corner)
            left = _linearised(joint, path.kind, at.phi, corner)
        found = joint.newton(max(FORCING * left, 0.1 * tol))
        if found is None:
            break
        dphi, dlam, cg = found
        mesh = (*joint.grid, step.data.tau, step.layout.inverse)
        fields = (at.phi, step.V, step.g, corner, dphi, dlam @ joint.A)
        lowest = float(prices(path.kind, LOWEST)[0])
        moved, left_out, mass = update(path.kind, *mesh, *fields, lowest, enter)
        work = (at.newton + 1, at.cg + cg, at.evaluations + 1)
        if not tried and left_out > WILD * mass:
            path = path.longer(2 * left_out / (WILD * mass))
            if step.data.eps < floor:
                joint = Joint(Stepper(step.data._replace(eps=floor)), joint.features)
                step = joint.stepper
            corner, dphi, dlam = _first_prices(step, path.kind), 0.0 * dphi, 0.0 * dlam
            joint.move(dlam)
        tried = True
        reach = joint.outcome if moved <= FAR * mass else joint.arrived
        there = reach(at.phi - dphi, joint.lam - dlam)
        at = Outcome(there.phi, there.J, there.residual, *work)
    return joint, at


def polished(solved: SolvedRisk, tol: float, limit: int) -> SolvedRisk:
    """Newton's method for J from a solution, with full steps as long as they help."""
    joint, at = solved.joint, solved.outcome._replace(newton=0, cg=0)
    assert joint is not None
    while at.finite and at.residual > tol and at.newton < limit:
        joint.stepper.prepare()
        lam, found = joint.lam, joint.newton(max(FORCING * at.residual, 0.1 * tol))
        if found is None:
            break
        dphi, dlam, cg = found
        after = joint.outcome(at.phi - dphi, lam - dlam)
        if not after.residual < at.residual:
            joint.outcome(at.phi, lam)
            break
        work = (at.newton + 1, at.cg + cg, at.evaluations + 1)
        at = Outcome(after.phi, after.J, after.residual, *work)
    return replace(solved, outcome=at)


def risk_gap(
    solved: SolvedRisk, data: Data, phi: Array, scale: Array, state: GridDensity, constant: float
) -> Gap:
    """The duality gap with the risk: that of the potential V + A^T lam, and ``1/2 |A m - b - lam|^2``."""
    assert solved.joint is not None
    lam, features = solved.lam, solved.joint.features
    pull = np.tensordot(lam, features.A, 1)
    own = float(lam @ (features.b + 0.5 * lam))
    linear = gap(data._replace(V=data.V + pull), phi, scale, constant - own)
    m = as_array(state.weights).reshape(data.rho0.shape)
    miss = np.tensordot(features.A, m, m.ndim) - features.b - lam
    more = 0.5 * float(miss @ miss)
    return replace(linear, value=linear.value + more, reachable=linear.reachable + more)


def _linearised(joint: Joint, kind: Kind, phi: Array, corner: Array) -> float:
    """Linearise at (phi, lam, corner prices), whose V and g the stepper holds, and assemble; the residual."""
    step = joint.stepper
    safe = step.M0.copy()
    step.M[:] = step.M0
    fields = (phi, step.V, step.g, corner, step.w, step.rho, step.M, safe)
    linearise(kind, *joint.grid, step.data.tau, *fields)
    step.prepare(mobility=safe)
    return joint.imbalance()


def _first_prices(step: Stepper, kind: Kind) -> Array:
    """U' of the density of the base point, lifted off zero, at all corners."""
    lifted = np.maximum(step.rho0, FLOOR * step.rho0.max())
    return np.repeat(prices(kind, lifted)[None], len(step.w), axis=0)


__all__ = ["Features", "Joint", "Path", "SolvedRisk", "on_grid", "polished", "risk_gap", "solve"]
