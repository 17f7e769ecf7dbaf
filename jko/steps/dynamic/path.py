"""The path of easier problems that leads to a step, with the densities of the corners as unknowns.

A kind of internal energy is met in one of three ways, told apart by its U alone:

* ``U'(0) = -inf`` (:func:`~jko.steps.dynamic.conjugates.entropic`): densities keep positive by themselves.  The path
  begins at the step's own energy, or where the first linearisation is too far off, at a multiple ``factor`` of it.
* otherwise, an interior-point method: slacks ``r_c s_c = mu``, with mu falling as far as each step was good.
* ``U''(0) = 0`` besides (:func:`~jko.steps.dynamic.conjugates.flat`): (U*)' has infinite slope at the front, no rounded
  price determines a density there, and the corners' own are the result, without those of the vacuum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from jko.steps.dynamic.conjugates import Kind, Logarithmic, Mixed, entropic, flat
from jko.steps.dynamic.corners import begin, bent, emptied, linearise, update
from jko.steps.dynamic.joint import Joint
from jko.steps.dynamic.kernels import prices
from jko.steps.dynamic.layout import Array

FLOOR_ENTROPIC = 1e-6  # of the first corner densities / largest density, with an entropy
FLOOR = 1e-2  # and without, since slacks must not begin too large
NEAR_FLOOR = 1e-3  # from a start near a solution
ENTER = 1e-9  # density up to which a corner may fill at once / largest density
MU = 0.1  # first mu / (density x price), both the largest
NEAR_MU = 1e-4  # from a start near a solution
LEAST = 0.1  # of the tolerance, what densities may be off their prices before mu falls further
SMALLER = 0.5  # mu from one step to the next, at most
SMALLEST = 0.01  # and at least
ROUGH = 0.5  # how rough a step is after which mu stays,
CUT = 10.0  # where this is the weight of what it cut off
SMOOTH = 0.02  # what a step is to mend may rise up to here, and mu falls nevertheless
FACTOR = 4.0  # multiples of an entropy, from one to the next
SETTLED = 0.05  # residual at which the next one is tried


class Moved(NamedTuple):
    """What a step did, relative to the mass: what changed, and what was cut off at zero."""

    changed: float
    cut: float


@dataclass(eq=False)
class CornerPath:
    """Densities r and slacks s of the corners, and where the path is: at ``factor`` times the energy, and at mu."""

    joint: Joint
    r: Array
    mu: float = 0.0
    factor: float = 1.0
    s: Array = field(init=False, repr=False)
    wanted: Array = field(init=False, repr=False)  # r after the step, at dphi = 0
    rho: Array = field(init=False, repr=False)  # density and mobility of r
    M: Array = field(init=False, repr=False)
    before: float = math.inf  # what the step before was to mend
    missed: float = 0.0  # by how much densities are off their prices, relative to the mass,
    least: float = LEAST  # and may be, relative to the tolerance

    def __post_init__(self) -> None:
        step = self.joint.stepper
        self.s, self.wanted = self.mu / self.r, np.zeros_like(self.r)
        self.rho, self.M = np.zeros_like(step.rho), np.zeros_like(step.M)

    @classmethod
    def of(cls, joint: Joint, longer: float = 1.0) -> CornerPath:
        """The densities of the base point, at the first problem of a path ``longer`` times as long as it must be."""
        kind, rho0 = kind_of(joint), joint.stepper.rho0
        if entropic(kind):
            factor = FACTOR ** math.ceil(math.log(longer, FACTOR))
            return cls(joint, lifted(joint, rho0, FLOOR_ENTROPIC), factor=factor)
        return cls(joint, lifted(joint, rho0, FLOOR), longer * MU * value(kind, rho0))

    @classmethod
    def near(cls, joint: Joint, phi: Array, rho: Array) -> CornerPath:
        """Densities near those of a solution, whose slopes and V the joint dual holds."""
        kind, step = kind_of(joint), joint.stepper
        if entropic(kind):
            return cls(joint, lifted(joint, rho, FLOOR_ENTROPIC))
        corners = cls(joint, lifted(joint, rho, NEAR_FLOOR), NEAR_MU * value(kind, rho))
        fields = (phi, step.V, step.g, corners.mu, corners.r, corners.s)
        begin(*joint.grid, step.data.tau, *fields)
        return corners

    @property
    def kind(self) -> Kind:
        """The energy here."""
        own, k = kind_of(self.joint), self.factor
        if isinstance(own, Logarithmic):
            return Logarithmic(k * own.sigma)
        if isinstance(own, Mixed):
            return Mixed(k * own.sigma, tuple(k * c for c in own.c), own.m)
        return own

    @property
    def largest(self) -> float:
        """The largest density."""
        return float(self.r.max())

    @property
    def price(self) -> float:
        """And its price."""
        return float(prices(self.kind, np.array([self.largest]))[0])

    def linearised(self, phi: Array) -> tuple[float, float]:
        """Linearise at phi, whose V and g the joint dual holds.

        Returns what the step is to mend, ``|F|_1`` of its own model, and by how much the point is no solution, both
        relative to the mass.
        """
        step = self.joint.stepper
        step.M[:] = self.M[:] = step.M0
        scales = (self.price, self.largest / self.price)
        fields = (phi, step.V, step.g, self.r, self.s, self.mu, *scales, step.w, self.wanted)
        ways = (step.rho, step.M, self.rho, self.M)
        missed = linearise(self.kind, *self.joint.grid, step.data.tau, *fields, *ways)
        step.fold([*step.M, *self.M])
        own = self.joint.imbalance(self.rho, self.M)
        self.missed = 0.0 if entropic(self.kind) else missed / step.mass
        return self.joint.imbalance(), own + self.missed

    def left_out(self, dphi: Array) -> float:
        """What the linear model of a step leaves out, relative to the mass."""
        step = self.joint.stepper
        mesh = (*self.joint.grid, step.data.tau, step.layout.inverse)
        return bent(*mesh, step.w, dphi) / step.mass

    def moved(self, phi: Array, dphi: Array, dlam: Array, length: float = 1.0) -> Moved:
        """Follow a step from phi, or a part of it."""
        step, largest = self.joint.stepper, float(self.joint.stepper.rho0.max())
        mesh = (*self.joint.grid, step.data.tau, step.layout.inverse)
        step.echo(dphi)
        fields = (phi, step.V, step.g, self.r, self.s, self.mu, step.w, self.wanted)
        lift = self.joint.pull(dlam)
        return Moved(*update(self.kind, *mesh, *fields, dphi, lift, length, ENTER * largest))

    def closer(self, left: float, moved: Moved, tol: float) -> None:
        """Go on along the path, as far as the last step allows."""
        rough = max(moved.changed, left, CUT * moved.cut)
        if self.mu > 0 and rough < ROUGH and left <= max(self.before, SMOOTH):
            enough = self.least * tol / self.missed if flat(self.kind) else 0.0
            self.mu *= min(max(2 * rough, SMALLEST, enough), max(SMALLER, min(enough, 1.0)))
        self.before = left
        if left <= SETTLED:
            self.factor = max(self.factor / FACTOR, 1.0)

    def vacuum(self) -> Array:
        """The densities, zero in corners that are empty in the limit: where slacks are larger."""
        out, scale = np.zeros_like(self.r), self.largest / self.price
        emptied(*self.joint.grid, self.joint.stepper.V, self.r, self.s, scale, out)
        return out


def kind_of(joint: Joint) -> Kind:
    """The step's energy."""
    kind = joint.stepper.data.kind
    assert kind is not None
    return kind


def lifted(joint: Joint, rho: Array, floor: float) -> Array:
    """Corner densities: those of the cells, at least ``floor`` times the largest."""
    cells = np.maximum(rho, floor * float(rho.max()))
    return np.repeat(cells[None], len(joint.stepper.w), axis=0)


def value(kind: Kind, rho: Array) -> float:
    """Density x price, both the largest."""
    largest = float(rho.max())
    return largest * float(prices(kind, np.array([largest]))[0])
