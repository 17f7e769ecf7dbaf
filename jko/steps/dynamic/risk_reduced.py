"""The prices of the data alone: the joint dual minimised over phi, a smooth convex function of lam.

``D(lam) = min over phi of J(phi, lam)``,    ``grad D = lam + b - A m(lam)``

with m(lam) the step's density for the potential ``V + A^T lam``.  Because of ``|lam|^2 / 2`` it is strongly convex, and
Newton's direction for it is the lam-part of the joint one at the minimising phi.  With a line search that makes a
method that comes to the minimum from everywhere, as far as each step of fixed potential can be solved.  It is the
method for powers, whose steps of fixed potential are cheap and whose joint linearisation is a poor guide at a front;
and the resort of all others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.steps.dynamic.cascade import solve as solve_potential
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import Outcome
from jko.steps.dynamic.risk_dual import Features, Joint
from jko.steps.dynamic.stepper import Data, Stepper

OUTER, HALVINGS = 40, 12
DECREASE, ROUNDING = 1e-4, 1e-12  # of Armijo's rule; of J, relative
INNER = 0.1  # tolerance for phi, relative to the one asked for
LINEAR = 1e-3  # reduction of the residual by one linear solve


class Point(NamedTuple):
    """A lam with its minimising phi, and the work that led there."""

    lam: Array
    at: Outcome


def minimise_reduced(
    data: Data, features: Features, phi: Array | None, tol: float, limit: int
) -> tuple[Joint, Outcome]:
    """Newton's method for D from the residual of the base point; ``phi`` (grid shape) is a first guess."""
    joint = Joint(Stepper(data), features)
    lam = joint.cell * (joint.A @ joint.stepper.rho0) - joint.b
    point = _minimised(joint, lam, phi, tol, limit, Outcome(joint.V, 0.0, np.inf, evaluations=0))
    for _ in range(OUTER):
        at = point.at
        if not at.finite or at.residual <= tol:
            break
        joint.stepper.prepare()
        found = joint.newton(LINEAR * min(at.residual, 1.0))
        after = None if found is None else _search(joint, point, *found[:2], tol, limit)
        if after is None:
            break
        point = after
    joint.outcome(point.at.phi, point.lam)
    return joint, point.at


def _search(
    joint: Joint, point: Point, dphi: Array, dlam: Array, tol: float, limit: int
) -> Point | None:
    """The first point along Newton's direction, halved from a full step, that is lower."""
    slope, scale, at = float(joint.F_lam @ dlam), 1.0, point.at
    for _ in range(HALVINGS):
        guess = joint.stepper.crop(at.phi - scale * dphi)
        trial = _minimised(joint, point.lam - scale * dlam, guess, tol, limit, at)
        enough = at.J - DECREASE * scale * slope + ROUNDING * abs(at.J)
        if enough >= trial.at.J or trial.at.residual <= tol:
            return trial
        scale *= 0.5
        at = at._replace(newton=trial.at.newton, cg=trial.at.cg, evaluations=trial.at.evaluations)
    return None


def _minimised(
    joint: Joint, lam: Array, phi: Array | None, tol: float, limit: int, before: Outcome
) -> Point:
    """Minimise over phi at a fixed lam; the work is added to that of ``before``."""
    data = joint.stepper.data
    V = data.V + np.tensordot(lam, joint.features.A, 1)
    found = solve_potential(data._replace(V=V), phi, INNER * tol, limit, None)
    work = (
        before.newton + found.newton,
        before.cg + found.cg,
        before.evaluations + found.outcome.evaluations,
    )
    at = joint.outcome(found.outcome.phi, lam)
    return Point(lam, Outcome(at.phi, at.J, at.residual, *work))
