"""Steps whose energy has terms R beyond the dual, which are neither linear nor internal: Newton's method for them.

With a potential z in place of R the step is the convex problem of the dual; let rho(z) be its density.  The step itself
is stationary where ``z = dR/drho(rho(z))``.  Each rho(z) is a density that mass can flow to, so

``O(z) = E(rho(z)) + A(rho_0, rho(z)) / (2 tau)``,    ``dO = -(G, drho)``,    ``G = z - dR/drho(rho(z))``

is the objective of the step, which has to fall.  A change of potential by -r moves the density by S r,

``S = W - W T H^-1 (W T)^T``,    ``S^-1 = U'' + the curvature of the action``,

and Newton's direction d for O solves ``(S^-1 + R'') d = G``: by conjugate gradients with the preconditioner S, one
solution of the Hessian H and one R'' each.  R'' smooths where R is an interaction, so that two or three are enough;
where R'' is so negative that the step is not convex, they end at a direction of descent.  The new potential is
``z - S^-1 d``, which conjugate gradients know without another solution.  One iteration of these is the linearisation
``z = dR/drho(rho)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko.measures import GridDensity
from jko.numerics.search import armijo
from jko.steps.dynamic.cascade import Solved, solve
from jko.steps.dynamic.curvature import SecondVariation
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.response import responds, weights
from jko.steps.dynamic.setting import ROUNDING, GridSetting, factors
from jko.steps.dynamic.stepper import GridStep, StepDual
from jko.steps.vacuum import chambers

NEWTON = 300  # iterations; each lowers the objective
INNER = 60  # of conjugate gradients
FORCING = 0.1  # reduction of G by them, at least
ROUGH = 0.3  # and where it is only to say how far off a value is
PRECISE = 0.03  # reduction of the residual by one solution of the Hessian
TINY = 1e-300
LEAST = 1e-12  # density / the largest, where U' is asked for
FLAT = 1e-3  # of the curvature of the convex part, below which a direction counts as flat
TRIALS = 14  # lengths of one step
LAG = 0.3  # of a move: what the residual of the dual may be worth in mass ...
SMALLER, FINEST = 0.1, 1e-12  # ... before that is made smaller, and how small
IDLE = 6  # iterations in a row that neither lower the objective ...
IDLING = 0.9  # ... nor the move, by this factor
NEAR = 1.0  # cells that mass moves, up to which no coarser grid is asked


@dataclass(frozen=True, eq=False)
class ReducedPoint:
    """rho(z): the solution of the dual, its density, dR/drho there and the objective, up to ``blur``.

    ``left`` is ``|S G|_1``, what one more linearisation would move.
    """

    z: Array
    solved: Solved
    state: GridDensity
    slope: Array
    value: float
    left: float = math.inf
    blur: float = 0.0

    @property
    def phi(self) -> Array:
        """The potential on the grid."""
        level = 0.0 if self.solved.point is None else self.solved.point.level
        return self.solved.stepper.crop(self.solved.outcome.phi) + level

    @property
    def residual(self) -> float:
        """What is left of the step's equations, of both kinds."""
        return max(self.solved.outcome.residual, self.left)

    @property
    def G(self) -> Array:
        """What the potential has that dR/drho has not; 0 in obstacles."""
        return np.nan_to_num(self.z - self.slope, nan=0.0, posinf=0.0, neginf=0.0)


class ReducedMove(NamedTuple):
    """Newton's direction: the changes of z and phi, the slope of the objective along it, and ``|S G|_1``.

    ``late``, ``noise``, ``lag``: what the residual of the dual leaves to phi, to the objective, and in L1 to the mass.
    """

    z: Array
    phi: Array
    slope: float
    left: float
    late: Array
    noise: float
    lag: float


@dataclass(eq=False)
class Reduced:
    """The step as a function of z; ``newton`` and ``cg`` count the work."""

    setting: GridSetting
    tol: float
    limit: int
    newton: int = 0
    cg: int = 0
    spare: StepDual | None = None

    def __post_init__(self) -> None:
        self.inner = self.tol

    def first(self, slope: Array, levels: int | None) -> ReducedPoint:
        """The linearisation at rho_0, going on as the last step did; where that has not fallen, rho_0 itself."""
        setting = self.setting
        drift = setting.field("drift")
        z = slope if drift is None else slope + drift
        at = self.reach(z, setting.potential, self.tol, levels)
        if self.good(at) and at.value <= setting.before:
            return at
        own = setting.V + at.solved.stepper.slope(
            np.maximum(setting.rho0, LEAST * setting.rho0.max())
        )
        level = float(np.average(own + slope, weights=setting.rho0))
        z = np.where(setting.rho0 > 0, -own, np.maximum(-setting.V, slope - level))
        z[~np.isfinite(setting.V)] = 0.0
        self.spare = None  # both are alive
        still = self.reach(z, np.zeros_like(z), self.tol, 0)
        return still if self.good(still) and not at.value <= still.value else at

    def good(self, at: ReducedPoint) -> bool:
        """Whether the convex problem was solved."""
        return at.solved.outcome.finite and at.solved.outcome.residual <= self.tol

    def reach(self, z: Array, phi: Array | None, tol: float, levels: int | None) -> ReducedPoint:
        """Solve the convex problem at z, from phi, on ``levels`` coarser grids first."""
        setting = self.setting
        given = (setting.data(z), setting.risk, phi, tol, self.limit, levels)
        return self._reached(z, solve(*given, setting.floor, self._stepper))

    def _stepper(self, data: GridStep) -> StepDual:
        """The last one with another potential, where that is all that has changed."""
        old = self.spare
        if old is None or old.data.rho0.shape != data.rho0.shape:
            return self.setting.stepper(data)
        if not np.array_equal(np.isfinite(old.data.V), np.isfinite(data.V)):
            return self.setting.stepper(data)
        old.data, old.V = data, old.pad(data.V, np.inf)
        return old

    def again(self, at: ReducedPoint, tol: float) -> ReducedPoint:
        """The same to a smaller residual."""
        if at.solved.outcome.residual <= tol:
            return at
        return replace(self._reached(at.z, at.solved.again(tol, self.limit)), left=at.left)

    def polished(self, at: ReducedPoint, tol: float) -> ReducedPoint:
        """The same, of which the density is still to be asked for."""
        if at.solved.outcome.residual <= tol:
            return at
        solved = at.solved.again(tol, self.limit)
        self.newton, self.cg = self.newton + solved.newton, self.cg + solved.cg
        return replace(at, solved=solved)

    def _reached(self, z: Array, solved: Solved) -> ReducedPoint:
        self.newton, self.cg = self.newton + solved.newton, self.cg + solved.cg
        setting, step = self.setting, solved.stepper
        grid, rho = setting.previous.grid, step.crop(step.rho)
        rho = rho * factors(step.data.V, rho, setting.rho0, grid.periodic)
        rho /= grid.cell * rho.sum()
        state = GridDensity.of(grid, setting.tensor(rho))
        self.spare = step
        slope = setting.variation(state)
        if solved.corners is not None:  # the dual's value is not that of these densities
            found = setting.density(solved)
            value = found.energy + found.cost / (2 * setting.problem.tau)
            return ReducedPoint(z, solved, found.state, slope, value, blur=found.gap)
        dual = -solved.outcome.J - float((z * rho).sum())
        value = setting.parts.constant + grid.cell * dual + setting.unknown(state)
        return ReducedPoint(z, solved, state, slope, value)

    def settled(self, at: ReducedPoint, tol: float) -> ReducedPoint:
        """Newton's method until one more linearisation would move at most ``tol`` of the mass, or nothing falls."""
        idle, best = 0, math.inf
        for _ in range(NEWTON):
            if not self.good(at):
                break
            at = replace(at, left=self.bound(at))
            if at.left <= tol:
                break
            move = self.direction(at, tol)
            at = replace(at, left=move.left)
            idle = 0 if at.left < IDLING * best else idle + 1
            best = min(at.left, best)
            if at.left <= tol or idle > IDLE:
                break
            if move.lag > LAG * move.left and self.inner > FINEST:
                self.inner = max(SMALLER * min(self.inner, at.solved.outcome.residual), FINEST)
                at = self.again(at, self.inner)
                continue
            after = self.lower(at, move)
            if after is None:
                break
            idle = 0 if after.value < at.value - move.noise else idle
            at = after
        return at

    def bound(self, at: ReducedPoint) -> float:
        """A bound of ``|S G|_1`` that costs nothing: ``S <= W``, and S of a constant is 0."""
        W = weights(at.solved.stepper)
        total, square = float(W.sum()), float((W * self.centred(W, at.G) ** 2).sum())
        return self.setting.previous.grid.cell * math.sqrt(total * square)

    def centred(self, W: Array, G: Array) -> Array:
        """G but for a constant in each chamber, which moves nothing, so that its mean by W is 0."""
        if self.chambers is None:
            return G - float((W * G).sum()) / max(float(W.sum()), TINY)
        names = self.chambers
        mass, total = (np.bincount(names.ravel(), x.ravel()) for x in (W, W * G))
        return G - (total / np.maximum(mass, TINY))[names]

    @cached_property
    def chambers(self) -> NDArray[np.int64] | None:
        """The number of the chamber of each cell; None where there is no obstacle."""
        free = np.isfinite(self.setting.V)
        return None if free.all() else chambers(free, self.setting.previous.grid.periodic)

    def direction(self, at: ReducedPoint, tol: float) -> ReducedMove:
        """Truncated conjugate gradients."""
        model, curve = responds(at.solved), SecondVariation(self.setting, at.state)
        cell = self.setting.previous.grid.cell
        W = weights(at.solved.stepper)
        d, z, phi, p, q, h = (np.zeros_like(at.z) for _ in range(6))
        G = r = self.centred(W, at.G)
        before, enough, left, smooth, precision = math.inf, 0.0, math.inf, 1.0, PRECISE
        for _ in range(INNER):
            s, f, cg = model.respond(r, precision)
            self.cg += cg
            rs = float((r * s).sum())
            if not rs > 0 and precision > SMALLER * PRECISE:
                precision *= SMALLER
                continue
            if before == math.inf:
                left = cell * float(np.abs(s).sum())
                enough = rs * max(min(FORCING, left), 0.3 * tol / left) ** 2 if left > tol else rs
                smooth = rs / float((W * r * r).sum())
            if not rs > enough:
                break
            p, q, h = s + rs / before * p, r + rs / before * q, f + rs / before * h
            image = q + curve(p)
            bend, convex = float((p * image).sum()), float((p * q).sum())
            if not bend > FLAT * convex:
                if before == math.inf:
                    d, z, phi = p, -q, h
                break
            a, before = rs / bend, rs
            d, z, phi, r = d + a * p, z - a * q, phi + a * h, self.centred(W, r - a * image)
            if smooth * float((W * r * r).sum()) <= enough:  # r . S r if it is as smooth as G
                break
        if not left > tol:
            return ReducedMove(z, phi, 0.0, left, phi, 0.0, 0.0)
        rho, late, error, cg = model.correct(ROUGH)
        self.cg += cg
        noise = ROUNDING * (1 + abs(at.value)) + cell * error + 2 * at.blur
        lag = cell * float(np.abs(rho).sum())
        return ReducedMove(z, phi, -cell * float((G * d).sum()), left, late, noise, lag)

    def lower(self, at: ReducedPoint, move: ReducedMove) -> ReducedPoint | None:
        """The first point along the direction whose objective is low enough."""
        start = at.phi + move.late

        def along(t: float) -> ReducedPoint | None:
            far = cells_moved(self.setting, t * move.phi)
            levels = 0 if far <= NEAR else None
            there = self.reach(at.z + t * move.z, start + t * move.phi, self.inner, levels)
            return there if self.good(there) else None

        def drowned(there: ReducedPoint) -> bool:
            return True  # near the solution Newton's step is right

        search = armijo(
            along, at.value, move.slope, noise=move.noise, drowned=drowned, trials=TRIALS
        )
        found = search.point
        if found is None:  # the stepper's fields are to be those of the point again
            self.reach(at.z, at.phi, self.tol, 0)
        return found


def cells_moved(setting: GridSetting, phi: Array) -> float:
    """How many cells mass moves by tau grad phi, at most."""
    here, far = setting.rho0 > 0, 0.0
    for axis, h in enumerate(setting.previous.grid.spacing):
        front = tuple(slice(1, None) if a == axis else slice(None) for a in range(phi.ndim))
        slope = np.abs(np.diff(phi, axis=axis))[here[front]]
        far = max(far, setting.problem.tau * float(slope.max(initial=0.0)) / h**2)
    return far
