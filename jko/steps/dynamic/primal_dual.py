"""The primal-dual Newton method for hard steps, with a risk or without one.

Newton's method for J fails where a step drives mass far against a weak internal energy: (U*)' of an entropy is an
exponential, that of a power has a kink, steep for m > 2.  So the densities r_c of the corners are unknowns too, and a
step solves the linearisation of ``U'(r_c) = p_c(phi)``, ``rho - rho_0 - tau div(M grad phi) = 0``, and with a risk
``lam + b = A m``, whose matrix is that of J with the weights w_c taken at r_c.  Full steps are taken.

A path of easier problems leads there.  Powers, whose densities may vanish, are met by an interior-point method: slacks
``r_c s_c = mu`` with mu falling (:mod:`jko.steps.dynamic.corners`).  Entropies keep densities positive by themselves
and begin at the step's own energy; where the first linearisation is too far off, at a multiple of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from jko.steps.dynamic.conjugates import Kind, Logarithmic, Mixed, entropic
from jko.steps.dynamic.corners import linearise, update
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.kernels import prices
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.stepper import GridStep, Stepper

FLOOR_ENTROPIC = 1e-6  # of the first corner densities / largest density, with an entropy
FLOOR = 1e-2  # and without: slacks must not begin too large
ENTER = 1e-9  # density up to which a corner may fill at once / largest density
MU = 0.1  # first mu / (density x price), both the largest
SMALLER = 0.1  # mu from one problem of the path to the next
FACTOR = 4.0  # and multiples of an entropy
WILD = 5.0  # what the first linearisation may leave out, relative to the mass
LOST = 1e3  # and a later one
FURTHEST = 1e4  # factor on the first problem of a longer path, at most
FAR = 0.05  # part of the mass that a last step does not move
SETTLED = 0.05  # residual at which the next problem of the path is tried
MARGIN = 0.3  # of the tolerance: residuals fall with mu, by a factor, not by their squares
FORCING = 1e-3  # reduction of the residual by one linear solve: full steps need good ones


@dataclass(eq=False)
class CornerPath:
    """Densities r and slacks s of the corners, and where the path is: at ``factor`` times the energy, and at mu.

    ``longer``: how many times as far away the path begins.
    """

    joint: Joint
    longer: float = 1.0
    factor: float = 1.0
    mu: float = 0.0

    def __post_init__(self) -> None:
        rho0 = self.joint.stepper.rho0
        self.largest, floor = float(rho0.max()), FLOOR
        if entropic(self.own):
            self.factor, floor = FACTOR ** math.ceil(math.log(self.longer, FACTOR)), FLOOR_ENTROPIC
        else:
            top = float(prices(self.own, np.array([self.largest]))[0])
            self.mu = self.longer * MU * self.largest * top
        lifted = np.maximum(rho0, floor * self.largest)
        self.r = np.repeat(lifted[None], len(self.joint.stepper.w), axis=0)
        self.s = self.mu / self.r

    @property
    def own(self) -> Kind:
        """The step's energy."""
        kind = self.joint.stepper.data.kind
        assert kind is not None
        return kind

    @property
    def kind(self) -> Kind:
        """The energy here."""
        own, k = self.own, self.factor
        if isinstance(own, Logarithmic):
            return Logarithmic(k * own.sigma)
        if isinstance(own, Mixed):
            return Mixed(k * own.sigma, tuple(k * c for c in own.c), own.m)
        return own

    def linearised(self, phi: Array) -> float:
        """Linearise at phi, whose V and g the stepper holds, and assemble; the residual."""
        step = self.joint.stepper
        safe = step.M0.copy()
        step.M[:] = step.M0
        fields = (phi, step.V, step.g, self.r, self.s, self.mu, step.w, step.rho, step.M, safe)
        linearise(self.kind, *self.joint.grid, step.data.tau, *fields)
        step.prepare(mobility=safe)
        return self.joint.imbalance()

    def moved(self, phi: Array, dphi: Array, dlam: Array) -> tuple[float, float]:
        """Follow a step; the mass that changed and what the linear model left out, relative to the mass."""
        step = self.joint.stepper
        mesh = (*self.joint.grid, step.data.tau, step.layout.inverse)
        fields = (phi, step.V, step.g, self.r, self.s, self.mu, dphi, self.joint.pull(dlam))
        return update(self.kind, *mesh, *fields, ENTER * self.largest)

    def closer(self) -> bool:
        """Go on to the next problem of the path; False at its end."""
        if self.mu == 0 and self.factor == 1:
            return False
        self.mu *= SMALLER
        self.factor = max(self.factor / FACTOR, 1.0)
        return True

    def further(self, by: float, floor: float) -> CornerPath:
        """The start of a longer path, with the vacuum's mobility ``floor`` at least."""
        data, joint = self.joint.stepper.data, self.joint
        if data.eps < floor:
            joint = Joint(Stepper(data._replace(eps=floor)), joint.features)
        return CornerPath(joint, min(by, FURTHEST))


@dataclass(frozen=True)
class JointPoint:
    """A point of the joint dual: the potential and the prices of the data."""

    joint: Joint
    outcome: DualOutcome
    lam: Array

    def again(self, last: DualOutcome) -> JointPoint:
        """The same, with the joint dual's fields those of the point, and the work until ``last``."""
        there = self.joint.outcome(self.outcome.phi, self.lam)
        at = DualOutcome(there.phi, there.J, there.residual, *last[3:])
        return replace(self, outcome=at)


def primal_dual(
    data: GridStep, features: Features, tol: float, limit: int, floor: float
) -> JointPoint:
    """Minimise the dual of a step, jointly with the prices of its data.

    It starts from phi = 0, lam = 0 and the densities of the base point: the first Newton step is a semi-implicit step
    of the flow, which no earlier potential and no coarser grid was found to improve upon.

    Parameters
    ----------
    data, features
        The step; no features where there is no risk.
    tol
        Largest residual, relative.
    limit
        Newton iterations.
    floor
        The least mobility of the vacuum where a longer path is asked for.
    """
    corners = CornerPath(Joint(Stepper(data), features))
    joint, enough = corners.joint, WILD
    aim = tol if corners.mu == 0 else MARGIN * tol
    at = joint.arrived(np.zeros_like(joint.stepper.rho0), np.zeros_like(joint.b))
    best = JointPoint(joint, at, joint.lam)
    while not at.residual <= aim and at.newton < limit:
        left = corners.linearised(at.phi)
        if left <= SETTLED and corners.closer():
            left = corners.linearised(at.phi)
        found = joint.newton(max(FORCING * left, 0.1 * aim))
        if found is None:
            break
        dphi, dlam, cg = found
        changed, left_out = corners.moved(at.phi, dphi, dlam)
        work = (at.newton + 1, at.cg + cg, at.evaluations + 1)
        if left_out > enough:
            corners = corners.further(2 * left_out / WILD, floor)
            joint = corners.joint
            there = joint.arrived(np.zeros_like(at.phi), np.zeros_like(joint.b))
        else:
            reach = joint.outcome if changed <= FAR else joint.arrived
            there = reach(at.phi - dphi, joint.lam - dlam)
        enough = LOST
        at = DualOutcome(there.phi, there.J, there.residual, *work)
        if at.residual < best.outcome.residual:
            best = JointPoint(joint, at, joint.lam)
        elif best.outcome.residual <= tol:
            break
    return best.again(at)


def polished(solved: JointPoint, tol: float, limit: int) -> JointPoint:
    """Newton's method for J from a solution, with full steps as long as they help."""
    joint, at = solved.joint, solved.outcome._replace(newton=0, cg=0)
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
        at = DualOutcome(after.phi, after.J, after.residual, *work)
    return JointPoint(joint, at, joint.lam)
