"""From the dual to the step: tolerances that a falling energy asks for, and terms that the dual does not know.

A term R that is neither linear nor internal (an interaction, an energy of the user) enters by its first variation at
the last density, ``V + dR/drho(rho_n)``, until the density repeats itself within the tolerance: then it solves the
optimality conditions of the whole problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jko.duality import Gap
from jko.steps.dynamic.cascade import Solved, solve
from jko.steps.dynamic.gap import gap
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import Outcome, minimise
from jko.steps.dynamic.setting import Density, Setting

TIGHTEST, TIGHTER = 1e-13, 0.1  # tolerance of the refinement where the energy has not fallen
SHORT = 0.01  # largest residual of a step that moves little, relative to the mass that it moves; and to the tolerance
OUTER = 60  # linearisations
SLOWER = 0.5  # factor on the step of the linearisation where densities move apart


@dataclass(frozen=True, eq=False)
class Answer:
    """The density, the dual's outcome, the work of all solves, and how far the last linearisation moved the density."""

    setting: Setting
    solved: Solved
    rho: Density
    newton: int
    cg: int
    unsettled: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """On the grid itself."""
        return self.solved.outcome

    @property
    def phi(self) -> Array:
        """The potential on the grid."""
        return self.solved.stepper.layout.crop(self.outcome.phi)

    def certificate(self) -> Gap:
        """The rigorous duality gap."""
        setting, state = self.setting, self.rho.state
        if setting.settled:
            return gap(self.solved.stepper.data, self.phi, self.rho.scale, 0.0)
        rest = setting.problem.parts.rest
        if rest is not None and not rest.convex:
            reason = "the energy has terms that are not convex in the density, so no dual bounds it"
            return Gap(float("inf"), False, reason, -float("inf"))
        slope = setting.variation(state)
        constant = setting.settling(state) - float(
            state.weights @ setting.tensor(slope).reshape(-1)
        )
        return gap(setting.data(slope), self.phi, self.rho.scale, constant)


def solved(setting: Setting, tol: float, limit: int, cascade: int | None) -> Answer:
    """Solve the step."""
    if setting.settled:
        at = solve(setting.data(), setting.potential, tol, limit, cascade)
        return _refined(setting, at, tol, limit)
    slope, phi, last = setting.variation(setting.previous), setting.potential, setting.rho0
    share, moved, newton, cg = 1.0, float("inf"), 0, 0
    for _ in range(OUTER):
        at = solve(setting.data(slope), phi, tol, limit, cascade)
        rho, phi = setting.density(at), at.stepper.layout.crop(at.outcome.phi)
        newton, cg = newton + at.newton, cg + at.cg
        values = at.stepper.layout.crop(at.stepper.rho) * rho.scale
        before = moved
        moved = float(np.abs(values - last).sum()) * at.stepper.layout.cell / share
        last = values
        if moved <= tol or not np.isfinite(moved):
            break
        share *= SLOWER if moved > before else 1.0
        slope = slope + share * (setting.variation(rho.state) - slope)
    return Answer(setting, at, rho, newton, cg, moved)


def _refined(setting: Setting, at: Solved, tol: float, limit: int) -> Answer:
    rho, newton, cg = setting.density(at), at.newton, at.cg
    enough = max(min(tol, SHORT * rho.moved), SHORT * tol)
    if at.outcome.finite and enough < at.outcome.residual <= tol:
        at = Solved(at.stepper, minimise(at.stepper, at.outcome.phi, enough, limit))
        rho, newton, cg = setting.density(at), newton + at.newton, cg + at.cg
    while (
        at.outcome.finite
        and setting.rise(rho) > setting.rounding(rho)
        and at.outcome.residual <= tol > TIGHTEST
    ):
        tol = max(TIGHTER * min(tol, at.outcome.residual), TIGHTEST)
        at = Solved(at.stepper, minimise(at.stepper, at.outcome.phi, tol, limit))
        rho, newton, cg = setting.density(at), newton + at.newton, cg + at.cg
        if at.outcome.newton == 0:
            break
    return Answer(setting, at, rho, newton, cg)
