"""From the dual to the step: tolerances that a falling energy asks for, and terms that the dual does not know.

A term R that is neither linear nor internal (an interaction, an energy of the user) enters by its first variation at
the last density, ``V + dR/drho(rho_n)``, until the density repeats itself within the tolerance: then it solves the
optimality conditions of the whole problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from jko.duality import Gap
from jko.steps.dynamic.cascade import Solved, solve
from jko.steps.dynamic.congested import CrowdPoint
from jko.steps.dynamic.gap import gap, risk_gap
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.setting import Density, GridSetting
from jko.steps.dynamic.stepper import GridStep

TIGHTEST, TIGHTER = 1e-13, 0.1  # tolerance of the refinement where the energy has not fallen
SHORT = 0.01  # largest residual of a step that moves little, relative to the mass that it moves; and to the tolerance
OUTER = 60  # linearisations
SLOWER = 0.5  # factor on the step of the linearisation where densities move apart


@dataclass(frozen=True, eq=False)
class DualAnswer:
    """The density, the dual's outcome, the work of all solves, and how far the last linearisation moved the density."""

    setting: GridSetting
    solved: Solved
    rho: Density
    newton: int
    cg: int
    unsettled: float = 0.0

    @property
    def outcome(self) -> DualOutcome:
        """On the grid itself."""
        return self.solved.outcome

    @property
    def phi(self) -> Array:
        """The potential on the grid."""
        return self.solved.stepper.crop(self.outcome.phi)

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
        setting, state = self.setting, self.rho.state
        if setting.kind is None:
            reason = "an internal energy of the user has no compiled conjugate to take the dual value with"
            return Gap.unknown(reason)
        rest, data = setting.parts.rest, self.solved.stepper.data
        if rest is not None and not rest.convex:
            reason = "the energy has terms that are not convex in the density, so no dual bounds it"
            return Gap.unknown(reason)
        slope = setting.variation(state)
        constant = setting.unknown(state) - float(state.weights @ setting.tensor(slope).reshape(-1))
        data = data._replace(V=setting.V + slope)
        joint, corners = self.solved.joint, self.solved.corners
        if joint is None:
            return gap(data, self.phi, self.rho.scale, constant)
        return risk_gap(joint, data, self.phi, self.rho.scale, state, constant, corners)


def solved(setting: GridSetting, tol: float, limit: int, cascade: int | None) -> DualAnswer:
    """Solve the step."""
    if setting.settled:
        at = _solve(setting, setting.data(), setting.potential, tol, limit, cascade)
        return _refined(setting, at, tol, limit)
    slope, phi, last = setting.variation(setting.previous), setting.potential, setting.rho0
    if not np.isfinite(setting.V + slope).any():
        raise ValueError(
            "the first variation of the energy is infinite in all cells of the state, so a step has no place to begin; "
            "of a sum over pairs of cells, each cell meets itself"
        )
    share, moved, newton, cg = 1.0, float("inf"), 0, 0
    for _ in range(OUTER):
        at = _solve(setting, setting.data(slope), phi, tol, limit, cascade)
        rho, phi = setting.density(at), at.stepper.crop(at.outcome.phi)
        newton, cg = newton + at.newton, cg + at.cg
        values = at.stepper.crop(at.stepper.rho) * rho.scale
        before = moved
        moved = float(np.abs(values - last).sum()) * setting.previous.grid.cell / share
        last = values
        if moved <= tol or not np.isfinite(moved):
            break
        share *= SLOWER if moved > before else 1.0
        slope = slope + share * (setting.variation(rho.state) - slope)
    return DualAnswer(setting, at, rho, newton, cg, moved)


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
