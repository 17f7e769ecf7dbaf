"""The primal-dual Newton method: the densities of the corners are unknowns beside the potential.

Newton's method for J sees densities as functions of prices, ``r_c = (U*)'(p_c)``: an exponential for an entropy, a kink
for a power, a root that no rounded price determines for a large power.  Here a step solves the linearisation of
``U'(r_c) = p_c(phi)``, ``rho - rho_0 - tau div(M grad phi) = 0``, and with a risk ``lam + b = A m``, whose matrix is
that of J with the weights w_c taken at r_c.  Full steps are taken.

A path of easier problems leads there: :mod:`jko.steps.dynamic.path`.

How far a point is from a solution: by the L1 norm of ``rho - rho_0 - tau div(M grad phi)`` with the corners' own
densities, and by the mean of ``|U'(r) - p|`` over the mass, relative to the price of the largest density.  Where
(U*)' is no steeper than a square root, the densities of the potential are taken in the end instead, so that J's own
gradient is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from jko.steps.dynamic.conjugates import flat
from jko.steps.dynamic.corners import deposit
from jko.steps.dynamic.direct import Factor
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.path import CornerPath, Moved
from jko.steps.dynamic.stepper import GridStep, Stepper

WILD = 5.0  # what the first linearisation may leave out, relative to the mass
LOST = 1e3  # and a later one, or one from a start near a solution
BENT = 1.0  # what a full step may leave out
FURTHEST = 1e6  # factor on the first problem of a longer path, at most
PATHS = 5  # how many are tried
FAR = 0.05  # part of the mass that a last step does not move
LESS = 0.1  # of what densities may be off their prices, where those of the vacuum were too many to leave out
FORCING = 1e-2  # what a linear solve leaves of the step's residual
SHARPER = 0.1  # and of the continuity equation's
GAIN = 0.9  # of the least residual before is a gain
PATIENCE = 50  # steps without one that are made


class Near(NamedTuple):
    """A start near a solution: potential and density on the grid, prices of data, and what is to be added to phi."""

    phi: Array
    rho: Array
    lam: Array | None = None
    level: float = 0.0


@dataclass(frozen=True)
class JointPoint:
    """A point of the joint dual: the potential and the prices of the data; and the path's end, if it may go on.

    ``r`` are the densities of the corners where they are not those of the potential; ``lost`` is what the linear
    model left out, where that was too much to go on; ``level`` is to be added to the outcome's potential.
    """

    joint: Joint
    outcome: DualOutcome
    lam: Array
    corners: CornerPath | None = None
    r: Array | None = None
    lost: float = 0.0
    level: float = 0.0

    def written(self) -> JointPoint:
        """The same, with the joint dual's fields those of the point."""
        joint, at = self.joint, self.outcome
        joint.level = self.level
        if self.r is None:
            return replace(self, outcome=joint.outcome(at.phi, self.lam).after(*at[3:6]))
        step = joint.stepper
        joint.arrived(at.phi, self.lam)
        step.M[:] = step.M0
        deposit(*joint.grid, self.r, step.rho, step.M)
        step.fold(step.M)
        residual = joint.imbalance() + at.beside
        return replace(self, outcome=at._replace(residual=residual, J=0.0))

    def again(self, tol: float, limit: int) -> JointPoint:
        """A smaller residual from here, if there is one; its work is counted from zero."""
        assert self.corners is not None
        self.joint.level = self.level
        self.joint.arrived(self.outcome.phi, self.lam)
        found = followed(self.corners, self.outcome.phi, tol, limit)
        if found.outcome.residual < self.outcome.residual:
            return found
        work = found.outcome[3:6]
        back = self.written()
        return replace(back, outcome=back.outcome.after(*work))


def primal_dual(
    data: GridStep,
    features: Features,
    tol: float,
    limit: int,
    floor: float,
    near: Near | None = None,
) -> JointPoint:
    """Minimise the dual of a step, jointly with the prices of its data.

    Parameters
    ----------
    data, features
        The step; no features where there is no risk.
    tol
        Largest residual, relative.
    limit
        Newton iterations on one path.
    floor
        The least mobility of the vacuum where a longer path is asked for.
    near
        Where to begin.  Without it, and where nothing is found from there: at phi = 0, lam = 0 and the densities of
        the base point; the first Newton step is a semi-implicit step of the flow then.
    """
    joint = Joint(Stepper(data), features)
    if near is not None:
        phi, lam = joint.stepper.pad(near.phi), near.lam
        joint.level = near.level
        joint.arrived(phi, np.zeros_like(joint.b) if lam is None else lam)
        corners = CornerPath.near(joint, phi, joint.stepper.pad(near.rho))
        found = followed(corners, phi, tol, limit, LOST)
        if found.outcome.residual <= tol:
            return found
    longer = 1.0
    for _ in range(PATHS):
        zero, joint.level = np.zeros_like(joint.stepper.rho0), 0.0
        joint.arrived(zero, np.zeros_like(joint.b))
        found = followed(CornerPath.of(joint, longer), zero, tol, limit)
        if not found.lost:
            break
        longer = min(2 * longer * found.lost / WILD, FURTHEST)
        if data.eps < floor:
            joint = Joint(Stepper(data._replace(eps=floor)), features)
    return found


def followed(
    corners: CornerPath, phi: Array, tol: float, limit: int, enough: float = WILD
) -> JointPoint:
    """Follow a path from phi and the joint dual's lam, to a solution or as long as there is gain."""
    joint, moved = corners.joint, Moved(1.0, 0.0)
    newton, cg, best, since = 0, 0, math.inf, 0
    while True:
        left, own = corners.linearised(phi)
        lam, work = joint.lam, (newton, cg, newton + 1)
        there = DualOutcome(phi, math.nan, own, *work, corners.missed)
        at = JointPoint(joint, there, lam, corners, level=joint.level)
        if own <= tol and moved.changed <= FAR:
            found = settled(at)
            if found.outcome.residual <= tol:
                return found
            corners.least *= LESS
            left, own = corners.linearised(phi)
        best, since = (own, 0) if own < GAIN * best else (best, since + 1)
        if newton >= limit or since > PATIENCE:
            return settled(at)
        joint.stepper.prepare(mobility=corners.M)
        target = max(min(FORCING * left, SHARPER * own), 0.1 * tol)
        found_step = joint.newton(target, Factor.of)
        if found_step is None:
            return replace(at, lost=math.inf)
        dphi, dlam, iterations = found_step
        newton, cg = newton + 1, cg + iterations
        left_out = corners.left_out(dphi)
        if not left_out <= enough:
            return replace(at, lost=left_out)
        length = min(1.0, math.sqrt(BENT / left_out)) if left_out > 0 else 1.0
        moved = corners.moved(phi, dphi, dlam, length)
        corners.closer(left, moved, tol)
        phi, enough = joint.levelled(phi - length * dphi), LOST
        joint.arrived(phi, lam - length * dlam)


def settled(at: JointPoint) -> JointPoint:
    """The densities of the potential where (U*)' is not too steep for them, those of the corners elsewhere."""
    corners = at.corners
    assert corners is not None
    return (replace(at, r=corners.vacuum()) if flat(corners.kind) else at).written()
