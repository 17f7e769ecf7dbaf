"""The risk of a network inside a step: its prices lam join the potential in one convex dual.

``1/2 |A m - b|^2 = max over lam of lam . (A m - b) - |lam|^2 / 2`` is linear in the masses m = |K| rho, so that the dual
of the step is that of a potential ``V + A^T lam``, and

``J(phi, lam) = J(phi; V + A^T lam) + lam . b + |lam|^2 / 2``,    ``dJ/dlam = lam + b - A m``

(survey (2.6), (4.1)).  It is minimised jointly.  A Newton step eliminates lam exactly: with ``W T = sum_c w_c T_c``,

``S = 1/|K| + A W A^T  (r x r),    (H - (W T)^T A^T S^-1 A (W T)) dphi = -(F + (W T)^T A^T S^-1 F_lam)``

solved by conjugate gradients with the multigrid of H, the local part, as preconditioner.

With an entropy, (U*)' is an exponential, and Newton's method for J fails where the risk drives mass far in one step.
There the densities r_c of the corners are unknowns too (a primal-dual method): a step solves the linearisation of
``r_c = (U*)'(p_c)``, ``rho - rho_0 - tau div(M grad phi) = 0`` and ``lam + b = A m``, whose matrix is the same with w_c
taken at r_c.  Densities that fall follow the exponential, those that rise its tangent.  Full steps are taken.  Where
the first step shows a linearisation that is too far off, the internal energy is enlarged and brought back by factors.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from jko.duality import Gap
from jko.energies import Energy, Parts, parts
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.spaces import Grid
from jko.steps.dynamic.cascade import Solved
from jko.steps.dynamic.conjugates import Entropic, Kind, Mixed, Power, Quadratic
from jko.steps.dynamic.gap import gap
from jko.steps.dynamic.kernels import prices, slopes
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.multigrid import apply, precondition
from jko.steps.dynamic.newton import Outcome
from jko.steps.dynamic.risk_kernels import carry, couple, gather, linearise, spread, update
from jko.steps.dynamic.stepper import Data, Stepper

FLOOR = 1e-6  # of the first corner densities / largest density
RANK = 1e-7  # singular values of the features kept, relative to the largest; below, eigh of A A^T returns rounding
ENTER = 1e-9  # density up to which a corner may fill at once / largest density
LOWEST = np.array([1e-200])  # of all, absolute
FACTOR = 4.0  # from one energy of a path to the next
WILD = 5.0  # what the first linearisation may leave out, relative to the mass
FAR = 0.05  # mass that a last step does not move
SETTLED = 0.01  # residual at which the next energy of a path is tried
FORCING = 1e-3  # reduction of the residual by one linear solve: full steps need good ones
CG_LIMIT = 200


_KEPT: deque[tuple[weakref.ref[Energy], Grid, Parts, Features | None]] = deque(maxlen=4)


@dataclass(frozen=True, eq=False)
class Features:
    """A (r, *shape) and b (r,) of ``1/2 |A m - b|^2`` on a grid."""

    A: Array
    b: Array
    known: dict[Any, Array] = field(default_factory=dict, repr=False)

    def padded(self, stepper: Stepper) -> Array:
        """A as padded flat fields (r, size), 0 in obstacles; kept for the next step."""
        free = np.isfinite(stepper.data.V)
        key = free.tobytes()
        if key not in self.known:
            self.known.clear()
            self.known[key] = np.stack([stepper.layout.pad(row * free) for row in self.A])
        return self.known[key]


def on_grid(energy: Energy, state: GridDensity) -> tuple[Parts, Features | None]:
    """The energy's terms on the cells, and its risk; few rows of features stand for many data.

    They depend on the grid alone, so the next step of a flow finds them here.
    """
    for kept in _KEPT:
        if kept[0]() is energy and kept[1] == state.grid and kept[2].potential.device == state.values.device:
            return kept[2], kept[3]
    few = parts(energy, state).compressed(RANK)
    risk = None
    if few.features is not None and few.targets is not None:
        A = as_array(few.features).reshape(-1, *state.grid.shape)
        risk = Features(np.ascontiguousarray(A), np.array(as_array(few.targets)))
    _KEPT.appendleft((weakref.ref(energy), state.grid, few, risk))
    return few, risk


@dataclass(eq=False)
class Joint:
    """The joint dual on one grid; the stepper's potential V is ``V + A^T lam`` after :meth:`at`."""

    stepper: Stepper
    features: Features

    def __post_init__(self) -> None:
        step = self.stepper
        self.A, self.b = self.features.padded(step), self.features.b
        self.V, self.cell = step.V.copy(), step.layout.cell
        self.coupling = np.zeros((1 + 2 * step.dim, step.layout.size))
        self.y, self.lam = np.zeros(step.layout.size), np.zeros_like(self.b)
        self.F_lam = np.zeros_like(self.b)

    @property
    def grid(self) -> tuple[Any, Any]:
        """Strides and rows of the grid itself."""
        return self.stepper.strides[0], self.stepper.layout.rows[0]

    def at(self, phi: Array, lam: Array) -> float:
        """J(phi, lam) per unit cell volume; writes the stepper's fields."""
        self.move(lam)
        return self.stepper.evaluate(phi) + self.own

    def move(self, lam: Array) -> None:
        """Set lam."""
        self.lam = lam
        np.add(self.V, lam @ self.A, out=self.stepper.V)
        self.own = float(lam @ (self.b + 0.5 * lam)) / self.cell

    def imbalance(self) -> float:
        """Write both parts of the gradient; the larger of their relative norms."""
        left = self.stepper.imbalance()
        m = self.cell * (self.A @ self.stepper.rho)
        miss = self.lam + self.b - m
        self.F_lam = miss / self.cell
        size = np.linalg.norm(self.b) + np.linalg.norm(self.lam) + np.linalg.norm(m)
        return max(left, float(np.linalg.norm(miss) / size) if size > 0 else 0.0)

    def outcome(self, phi: Array, lam: Array) -> Outcome:
        """J and the residual at a point."""
        return Outcome(phi, self.at(phi, lam), self.imbalance())

    def arrived(self, phi: Array, lam: Array) -> Outcome:
        """A point that is no solution: its V and slopes, no more."""
        self.move(lam)
        slopes(phi, self.grid[0], self.stepper.layout.inverse, self.stepper.g)
        return Outcome(phi, math.nan, math.inf)

    def newton(self, target: float) -> tuple[Array, Array, int] | None:
        """Newton's step: phi and lam are to move by minus these; and the iterations of conjugate gradients.

        None where numbers have lost their meaning.
        """
        step = self.stepper
        couple(*self.grid, step.data.tau, step.layout.inverse, step.g, step.w, self.coupling)
        root = np.sqrt(step.w.sum(0))
        scaled = self.A * root
        S = scaled @ scaled.T
        S[np.diag_indices_from(S)] += 1.0 / self.cell
        if not np.isfinite(S).all() or not np.isfinite(step.F).all():
            return None
        factor = cho_factor(S)
        rhs = step.F.copy()
        gather(*self.grid, self.coupling, cho_solve(factor, self.F_lam) @ self.A, 1.0, rhs)
        dphi, cg = self._conjugate_gradients(factor, rhs, target * step.mass)
        spread(*self.grid, self.coupling, dphi, self.y)
        return dphi, cho_solve(factor, self.F_lam + self.A @ self.y), cg

    def _conjugate_gradients(self, factor: Any, rhs: Array, target: float) -> tuple[Array, int]:
        step, L, n = self.stepper, self.stepper.layout, self.stepper.layout.size
        hessian = (step.A, step.D, L.offsets[0], L.rows[0])
        local = (step.A, step.D, step.R, L.start, L.offsets, L.rows, L.parent)
        b, x, t = step.work[0], step.work[1], step.work[2]
        r, z, solution, direction, image = rhs, x[:n], np.zeros(n), np.zeros(n), np.zeros(n)
        old = 1.0
        for iteration in range(CG_LIMIT):
            if not float(np.abs(r).sum()) > target:
                return solution, iteration
            b[:n] = r
            precondition(*local, b, x, t)
            new = float(r @ z)
            direction *= new / old if iteration else 0.0
            direction += z
            apply(*hessian, direction, image)
            spread(*self.grid, self.coupling, direction, self.y)
            back = cho_solve(factor, self.A @ self.y, check_finite=False) @ self.A
            gather(*self.grid, self.coupling, back, -1.0, image)
            curvature = float(direction @ image)
            if not curvature > 0.0:
                return solution, iteration
            solution += (new / curvature) * direction
            r -= (new / curvature) * image
            old = new
        return solution, CG_LIMIT


@dataclass(frozen=True)
class SolvedRisk(Solved):
    """The outcome with the joint dual, whose lam are the prices of the data."""

    joint: Joint | None = None

    @property
    def lam(self) -> Array:
        """The prices of the data."""
        assert self.joint is not None
        return self.joint.lam


def solve(data: Data, features: Features, tol: float, limit: int, floor: float) -> SolvedRisk:
    """Minimise the joint dual of a step.

    It starts from phi = 0, lam = 0 and the densities of the base point: the first Newton step is a semi-implicit step
    of the flow, which no earlier potential and no coarser grid was found to improve upon.  ``floor`` is the least
    mobility of the vacuum in a step that asks for a longer path.
    """
    joint, outcome = minimise(Joint(Stepper(data), features), tol, limit, floor)
    return SolvedRisk(joint.stepper, outcome, None, joint)


def minimise(joint: Joint, tol: float, limit: int, floor: float) -> tuple[Joint, Outcome]:
    """The primal-dual method along a path of energies; a longer path where the first linearisation is far off."""
    step, tried = joint.stepper, False
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
        work = {"newton": at.newton + 1, "cg": at.cg + cg, "evaluations": at.evaluations + 1}
        if not tried and left_out > WILD * mass:
            path = path.longer(2 * left_out / (WILD * mass))
            if step.data.eps < floor:
                joint = Joint(Stepper(step.data._replace(eps=floor)), joint.features)
                step = joint.stepper
            corner, dphi, dlam = _first_prices(step, path.kind), 0.0 * dphi, 0.0 * dlam
            joint.move(dlam)
        tried = True
        reach = joint.outcome if moved <= FAR * mass else joint.arrived
        at = reach(at.phi - dphi, joint.lam - dlam)._replace(**work)
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
        work = {"newton": at.newton + 1, "cg": at.cg + cg, "evaluations": at.evaluations + 1}
        at = after._replace(**work)
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


@dataclass(frozen=True)
class Path:
    """Energies that lead to the one of the step: ``factor`` times it where it has an entropy, else it + ``factor`` Ent."""

    aim: Kind
    factor: float
    end: float

    @classmethod
    def of(cls, kind: Kind, largest: float) -> Path:
        """The path for a density whose largest value is given."""
        if isinstance(kind, Entropic) or (isinstance(kind, Mixed) and kind.sigma > 0):
            return cls(kind, 1.0, 1.0)
        size = sum(c * largest ** (m - 1) for c, m in zip(*_powers(kind), strict=True))
        return cls(kind, size, 0.0)

    @property
    def kind(self) -> Kind:
        """The energy here."""
        aim, s = self.aim, self.factor
        if isinstance(aim, Entropic):
            return Entropic(s * aim.sigma)
        if isinstance(aim, Mixed) and aim.sigma > 0:
            return Mixed(s * aim.sigma, tuple(s * c for c in aim.c), aim.m)
        return Mixed(s, *_powers(aim))

    def longer(self, by: float) -> Path:
        """A start further away."""
        return replace(self, factor=self.factor * FACTOR ** math.ceil(math.log(by, FACTOR)))

    def shorter(self) -> Path:
        """The next energy."""
        return replace(self, factor=max(self.factor / FACTOR, self.end))


def _powers(kind: Kind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if isinstance(kind, Quadratic):
        return (kind.c,), (2.0,)
    if isinstance(kind, Power):
        return (kind.c,), (kind.m,)
    assert isinstance(kind, Mixed)
    return kind.c, kind.m
