"""The step of a congested energy, ``r_c <= limit`` in every corner, by an interior-point method.

Prices do not determine densities here: where nothing but the limit bounds them, a corner at the price 0 holds any of
them.  So the densities r_c stay unknowns to the end.  Beside the slack s_c of :mod:`jko.steps.dynamic.corners` there is
the pressure t_c > 0 of a corner,

``U'(r_c) - s_c + t_c = p_c(phi),    r_c s_c = mu,    (limit - r_c) t_c = mu``

and mu falls until nothing is left of it.  Where a density between 0 and the limit is carried by a potential alone,
nothing but mu bounds w_c; so each step holds densities back by springs, ``stiff (r_c - r_c before)^2 / 2``, which are
weak while steps succeed.  They move the answer as little as mu does: at the end nothing is left of the difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jko.steps.dynamic.conjugates import Congested
from jko.steps.dynamic.corners import deposit
from jko.steps.dynamic.direct import Factor
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.pressed import linearise, missed, update
from jko.steps.dynamic.primal_dual import JointPoint
from jko.steps.dynamic.stepper import GridStep, Stepper
from jko.steps.vacuum import chambers

FLOOR = 1e-2  # of the limit: how far first densities are from 0 and from it
MU, SMALLER, LAST = 0.1, 0.3, 1e-14  # first mu / (limit x price), from one to the next, the last
NONE = 1e-11  # mu / (limit x price) from which it is small enough
POWER = 0.5
HALF, PATIENCE = 0.5, 4
SETTLED = 0.1  # residual at which mu falls
STIFF, STIFFEST, LEAST_STIFF = 1e-2, 1.0, 1e-4  # springs x limit / price
HARDER, SOFTER = 4.0, 1 / 3  # factors on springs, after steps that leave ...
MUCH, LITTLE, WORSE = 0.1, 0.03, 3.0  # ... much or little residual, or so many times the one before
REFUSED = 0.5  # residual at which a step that made it larger is taken back
KEEP = 0.1  # of a density or slack, what one step leaves at least
EXACT, MATCHED = 1e-10, 1e-6  # residuals of the mass, which is corrected by so much, and of prices
FORCING = 1e-3  # reduction of the residual by one linear solve
LEAST = 1e-6  # of the first price: prices below are none
NEARBY = 1e-3  # of the box: the first guess of how far mass is pressed


@dataclass(frozen=True)
class CrowdPoint(JointPoint):
    """Where the method ended, with the pressures of the corners, (2^d, size)."""

    pressure: Array = field(kw_only=True)

    def again(self, tol: float, limit: int) -> JointPoint:
        """Itself: it is far below all tolerances."""
        return replace(self, outcome=self.outcome.after(0, 0, 0))


@dataclass(eq=False)
class Press:
    """The unknowns of the corners on the way: densities r, what is left below the limit, slacks s, pressures t."""

    joint: Joint
    kind: Congested
    r: Array = field(init=False)
    stiff: float = STIFF
    floor: float = LEAST_STIFF
    idle: int = 0
    best: float = math.inf

    def __post_init__(self) -> None:
        step, top = self.joint.stepper, self.kind.limit
        V = step.data.V[np.isfinite(step.data.V)]
        lengths = [n * h for n, h in zip(step.data.rho0.shape, step.data.spacing, strict=True)]
        reach = max(NEARBY * math.hypot(*lengths) ** 2, MU * min(step.data.spacing) ** 2)
        self.price = float(np.ptp(V)) + reach / step.data.tau
        self.least = LEAST * reach / step.data.tau
        free = np.isfinite(step.V)
        between = np.clip(step.rho0, FLOOR * top, (1 - FLOOR) * top)
        self.r = np.repeat(np.where(free, between, 0.0)[None], len(step.w), axis=0)
        self.room = top - self.r
        self.mu = MU * top * self.price
        self.s, self.t = self.mu / np.where(free, self.r, 1.0), self.mu / self.room
        self.safe, self.wanted = np.empty_like(step.M0), np.zeros_like(step.w)

    def linearised(self, phi: Array) -> float:
        """Linearise at phi, whose V and g the stepper holds, and assemble; the residual."""
        step, spring = self.joint.stepper, self.stiff * self.price / self.kind.limit
        self.safe[:] = step.M0
        step.M[:] = step.M0
        mesh = (self.kind, *self.joint.grid, step.data.tau)
        corners = (self.r, self.room, self.s, self.t, self.mu, spring)
        made = (step.w, self.wanted, step.rho, step.M, self.safe)
        linearise(*mesh, phi, step.V, step.g, *corners, *made)
        step.fold([*step.M, *self.safe])
        step.prepare(mobility=self.safe)
        return self.joint.imbalance()

    def move(self, dphi: Array, lift: Array, residual: float) -> None:
        """Follow a step of phi and of the prices of data."""
        step = self.joint.stepper
        mesh = (*self.joint.grid, step.data.tau, step.layout.inverse)
        corners = (self.r, self.room, self.s, self.t, self.mu, step.w, self.wanted)
        update(*mesh, step.V, step.g, *corners, step.echo(dphi), lift, min(KEEP, residual))

    def left(self) -> float:
        """The residual of the mass, with the densities as they are; writes them and mobilities."""
        step = self.joint.stepper
        step.M[:] = step.M0
        deposit(*self.joint.grid, self.r, step.rho, step.M)
        step.fold(step.M)
        return self.joint.imbalance()

    def unmatched(self, phi: Array) -> float:
        """How much mass does not fit to its price, relative to all; sets the size of prices."""
        step = self.joint.stepper
        mesh = (self.kind, *self.joint.grid, step.data.tau)
        amount, self.price = missed(*mesh, phi, step.V, step.g, self.r, self.kind.limit, self.least)
        return amount / step.mass

    def closer(self, left: float, before: float) -> None:
        """Springs and mu for the next step."""
        if left > MUCH or (left > WORSE * before and left > MATCHED):
            self.stiff = min(HARDER * self.stiff, STIFFEST)
        elif left < LITTLE:
            self.stiff = SOFTER * self.stiff
        self.idle = 0 if left <= HALF * self.best else self.idle + 1
        self.best = min(left, self.best)
        if self.idle > PATIENCE:
            self.floor, self.idle, self.best = min(HARDER * self.floor, STIFFEST), 0, left
        self.stiff = max(self.stiff, self.floor)
        size = self.kind.limit * self.price
        if left <= SETTLED * min(self.mu / (MU * size), 1.0) ** POWER and self.mu > LAST * size:
            self.mu = max(SMALLER * self.mu, LAST * size)
            self.idle, self.best = 0, left

    @property
    def near(self) -> bool:
        """Whether mu is so small that it is none."""
        return self.mu <= NONE * self.kind.limit * self.price

    def kept(self) -> tuple[Array, ...]:
        """Copies of all four."""
        return tuple(x.copy() for x in (self.r, self.room, self.s, self.t))

    def pressure(self) -> Array:
        """Of the corners; it counts where it is nearer to its size than the density to the limit."""
        step, top = self.joint.stepper, self.kind.limit
        full = self.t * top > self.room * self.price
        return np.where(full & np.isfinite(step.V), self.t, 0.0)


def congested(data: GridStep, features: Features, tol: float, limit: int) -> CrowdPoint:
    """Solve the step, with the prices of its data, to far less than ``tol``, in ``limit`` iterations.

    Raises
    ------
    ValueError
        A part of the grid that is cut off by obstacles holds more mass than the limit lets it.
    """
    kind = data.kind
    assert isinstance(kind, Congested)
    _refuse_overfull(data, kind.limit)
    joint = Joint(Stepper(data), features)
    press, phi, lam = Press(joint, kind), np.zeros_like(joint.stepper.rho0), np.zeros_like(joint.b)
    joint.arrived(phi, lam)
    work, left, missing, cg = 0, math.inf, math.inf, 0
    while not (press.near and left <= EXACT and missing <= min(tol, MATCHED)) and work < limit:
        target = max(FORCING * min(press.linearised(phi), left), 0.01 * EXACT)
        found = joint.newton(target, Factor.of)
        if found is None:
            break
        dphi, dlam, products = found
        before = press.kept()
        press.move(dphi, joint.pull(dlam), max(left, missing))
        joint.arrived(phi - dphi, lam - dlam)
        after, work, cg = press.left(), work + 1, cg + products
        if after > max(REFUSED, left) and press.stiff < STIFFEST:
            press.r, press.room, press.s, press.t = before
            joint.arrived(phi, lam)
            press.stiff = min(HARDER * press.stiff, STIFFEST)
            continue
        phi, lam = phi - dphi, lam - dlam
        missing = press.unmatched(phi)
        press.closer(after, left)
        left = after
    outcome = DualOutcome(phi, 0.0, max(press.left(), missing), work, cg, work)
    return CrowdPoint(joint, outcome, lam, r=press.r, pressure=press.pressure())


def _refuse_overfull(data: GridStep, limit: float) -> None:
    """Every chamber must have room for its mass."""
    free: NDArray[np.bool_] = np.isfinite(data.V)
    chamber = chambers(free, data.periodic)
    count = int(chamber.max())
    cell = math.prod(data.spacing)
    mass = cell * np.bincount(chamber.ravel(), data.rho0.ravel(), count + 1)[1:]
    volume = cell * np.bincount(chamber.ravel(), minlength=count + 1)[1:]
    over = mass > limit * volume
    if over.any():
        k = int(over.argmax())
        raise ValueError(
            f"the limit {limit:g} leaves no room: cells of volume {volume[k]:.6g} would hold {limit * volume[k]:.6g} "
            f"at most, and the mass there is {mass[k]:.6g}; take a larger box or a higher limit"
        )
