"""From the dual to the step: tolerances that a falling energy asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from jko.duality import Gap
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.cascade import Solved, solve
from jko.steps.dynamic.collapse import collapses
from jko.steps.dynamic.congested import CrowdPoint
from jko.steps.dynamic.gap import gap, risk_gap
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.reduced import Reduced
from jko.steps.dynamic.setting import Density, GridSetting
from jko.steps.dynamic.stepper import GridStep, Stepper

TIGHTEST, TIGHTER = 1e-13, 0.1  # tolerance of the refinement where the energy has not fallen
ROUNDS = 200  # Newton iterations of a certificate
POLISH = 0.2  # of the tolerance, to which a step with terms beyond the dual is solved in the end
SHORT = 0.01  # largest residual of a step that moves little, relative to the mass that it moves; and to the tolerance


@dataclass(frozen=True, eq=False)
class DualAnswer:
    """The density, the dual's outcome, the work of all solves, and how far one more linearisation would move it.

    ``drift`` is how the first variation of what the dual does not know has changed.
    """

    setting: GridSetting
    solved: Solved
    rho: Density
    newton: int
    cg: int
    unsettled: float = 0.0
    drift: Array | None = None

    @property
    def outcome(self) -> DualOutcome:
        """On the grid itself."""
        return self.solved.outcome

    @property
    def phi(self) -> Array:
        """The potential on the grid."""
        return self.solved.stepper.crop(self.outcome.phi) + self.solved.level

    @property
    def left(self) -> dict[str, Array]:
        """What the next step may begin with, by name."""
        return {"potential": self.phi} | ({} if self.drift is None else {"drift": self.drift})

    @property
    def collapsed(self) -> bool:
        """Whether an attraction has gathered mass in single cells."""
        return collapsed(self.setting, self.rho.state)

    @property
    def fields(self) -> dict[str, Tensor]:
        """The pressure of a congested energy: the least of a cell's corners, so that it is 0 in a cell with room."""
        point = self.solved.point
        if not isinstance(point, CrowdPoint):
            return {}
        least = self.solved.stepper.crop(point.pressure.min(0))
        return {"pressure": self.setting.tensor(least)}

    @np.errstate(all="ignore")
    def certificate(self) -> Gap:
        """The rigorous duality gap."""
        setting = self.setting
        if setting.kind is None:
            reason = "an internal energy of the user has no compiled conjugate to take the dual value with"
            return Gap.unknown(reason)
        rest = setting.parts.rest
        if rest is not None and not rest.convex:
            reason = "the energy has terms that are not convex in the density, so no dual bounds it"
            return Gap.unknown(reason)
        return self._gap(0.0) if setting.settled else self._beyond()

    def _gap(self, constant: float) -> Gap:
        """Of the problem that the dual saw."""
        data, scale = self.solved.stepper.data, self.rho.scale
        if self.solved.joint is None:
            return gap(data, self.phi, scale, constant)
        given = (self.solved.joint, data, self.phi, scale, self.rho.state, constant)
        return risk_gap(*given, self.solved.corners)

    def _beyond(self) -> Gap:
        """With convex terms R that it did not: R lies above its tangent at the density, whose dual is solved here."""
        setting, state = self.setting, self.rho.state
        values, cell = as_array(state.values), state.grid.cell
        z = np.nan_to_num(self.solved.stepper.data.V - setting.V, nan=0.0)
        slope, own = setting.variation(state), setting.unknown(state)
        found = self._gap(own - cell * float((z * values).sum()))
        tol = max(TIGHTER * self.outcome.residual, TIGHTEST)
        data = setting.data(slope)
        below = _solve(setting, data, self.phi, tol, ROUNDS, 0)
        joint = Joint(Stepper(data), setting.risk or Features.none(data.rho0.shape))
        lam = joint.lam if below.point is None else below.point.lam
        dual = -joint.at(joint.stepper.pad(below.stepper.crop(below.outcome.phi)), lam)
        finite = np.where(np.isfinite(slope), slope, 0.0)
        lower = own + cell * (dual - float((finite * values).sum()))
        return replace(found, value=found.reachable - lower, lower_bound=lower)


def collapsed(setting: GridSetting, state: GridDensity) -> bool:
    """Whether an attraction has gathered mass in single cells."""
    return collapses(setting.parts, setting.rho0, state)


def solved(setting: GridSetting, tol: float, limit: int, cascade: int | None) -> DualAnswer:
    """Solve the step."""
    if setting.settled:
        at = _solve(setting, setting.data(), setting.potential, tol, limit, cascade)
        return _refined(setting, at, tol, limit)
    return _reduced(setting, tol, limit, cascade)


def _reduced(setting: GridSetting, tol: float, limit: int, cascade: int | None) -> DualAnswer:
    """The same with terms that the dual does not know."""
    slope = setting.variation(setting.previous)
    if not np.isfinite(setting.V + slope).any():
        raise ValueError(
            "the first variation of the energy is infinite in all cells of the state, so a step has no place to begin; "
            "of a sum over pairs of cells, each cell meets itself"
        )
    step = Reduced(setting, tol, limit)
    at = step.settled(step.first(slope, cascade), tol)
    if at.residual <= tol:  # what extrapolation leaves is as much as is allowed, always to one side
        at = step.polished(at, POLISH * tol)
    rho = setting.density(at.solved)
    enough = max(min(tol, SHORT * rho.moved), SHORT * tol)
    if enough < at.residual <= tol:
        at = step.settled(step.again(at, enough), enough)
        rho = setting.density(at.solved)
    while setting.rise(rho) > setting.rounding(rho) and at.residual <= tol > TIGHTEST:
        tol, work = max(TIGHTER * min(tol, at.residual), TIGHTEST), step.newton
        at = step.settled(step.again(at, tol), tol)
        rho = setting.density(at.solved)
        if step.newton == work:
            break
    drift = at.slope - slope
    return DualAnswer(setting, at.solved, rho, step.newton, step.cg, at.left, drift)


def _solve(
    setting: GridSetting,
    data: GridStep,
    phi: Array | None,
    tol: float,
    limit: int,
    cascade: int | None,
) -> Solved:
    given = (data, setting.risk, phi)
    return solve(*given, tol, limit, cascade, setting.floor, setting.stepper)


def _refined(setting: GridSetting, at: Solved, tol: float, limit: int) -> DualAnswer:
    rho, newton, cg = setting.density(at), at.newton, at.cg
    enough = max(min(tol, SHORT * rho.moved), SHORT * tol)
    if at.outcome.finite and enough < at.outcome.residual <= tol:
        at = at.again(enough, limit)
        rho, newton, cg = setting.density(at), newton + at.newton, cg + at.cg
    while (
        at.outcome.finite
        and setting.rise(rho) > setting.rounding(rho)
        and at.outcome.residual <= tol > TIGHTEST
    ):
        tol = max(TIGHTER * min(tol, at.outcome.residual), TIGHTEST)
        at = at.again(tol, limit)
        rho, newton, cg = setting.density(at), newton + at.newton, cg + at.cg
        if at.outcome.newton == 0:
            break
    return DualAnswer(setting, at, rho, newton, cg)
