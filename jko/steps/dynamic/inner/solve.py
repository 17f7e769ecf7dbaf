"""From the dual of a path to the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from jko.duality import Gap
from jko.measures import GridDensity
from jko.steps.dynamic.inner.gap import path_gap
from jko.steps.dynamic.inner.nested import FoundPath, begin, ladder, nested
from jko.steps.dynamic.inner.rounds import SETTLED, PathPoint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.setting import Density, GridSetting, factors
from jko.steps.dynamic.solve import DualAnswer, collapsed, solved

TIGHTEST, TIGHTER = 1e-12, 0.1  # tolerance of the refinement where the energy has not fallen
SHORT = 0.01  # largest residual of a step that moves little, relative to the mass that it moves; and to the tolerance
SHORT_WAY = 0.1  # cells that mass moves at least, for more than one slab to tell a difference
OUTER = 60  # linearisations
SLOWER = 0.5  # factor on the step of the linearisation where densities move apart


@dataclass(frozen=True, eq=False)
class PathAnswer:
    """The density, the path to it, the work, and how far the last linearisation moved the density."""

    setting: GridSetting
    found: FoundPath
    rho: Density
    unsettled: float = 0.0

    @property
    def outcome(self) -> PathPoint:
        """On the grid itself."""
        return self.found.at

    @property
    def newton(self) -> int:
        """Newton iterations on all grids."""
        return self.found.newton

    @property
    def cg(self) -> int:
        """Iterations of conjugate gradients on all grids."""
        return self.found.cg

    @property
    def phi(self) -> Array:
        """The potential in the middle of the step."""
        path, phi = self.found.path, self.outcome.phi
        return path.layout.crop(0.5 * (phi[(path.n - 1) // 2] + phi[path.n // 2]))

    @property
    def left(self) -> dict[str, Array]:
        """What the next step may begin with, by name."""
        return {"potential": self.phi}

    @property
    def collapsed(self) -> bool:
        """Whether an attraction has gathered mass in single cells."""
        return collapsed(self.setting, self.rho.state)

    @property
    def fields(self) -> dict[str, Tensor]:
        """None."""
        return {}

    @np.errstate(all="ignore")
    def certificate(self) -> Gap:
        """The rigorous duality gap of the problem in n slabs."""
        setting, state = self.setting, self.rho.state
        rest = setting.parts.rest
        if rest is not None and not rest.convex:
            reason = "the energy has terms that are not convex in the density, so no dual bounds it"
            return Gap.unknown(reason)
        slope = setting.variation(state)
        constant = setting.unknown(state) - float(state.weights @ setting.tensor(slope).reshape(-1))
        return path_gap(self.found.path, self.outcome.phi, self.rho.scale, constant)


def solved_in_slabs(
    setting: GridSetting, n: int, tol: float, limit: int
) -> PathAnswer | DualAnswer:
    """Solve the step in n slabs of time; in one where mass moves by less than a tenth of a cell.

    Raises
    ------
    ValueError
        An energy that the kernels of a path do not know.
    """
    if not setting.in_kernels:
        raise ValueError(
            f"Dynamic(inner={n}) runs in compiled kernels, which know densities on a CPU and the internal energies of "
            "the library; take inner=1, and a smaller tau"
        )
    if setting.risk is not None or setting.parts.mixture.congested:
        what = "no risk" if setting.risk is not None else "not jko.energies.Congestion"
        raise ValueError(
            f"Dynamic(inner={n}) knows potentials, internal energies and interactions, but {what}: take inner=1, and "
            "a smaller tau or scheme=jko.SDIRK2()"
        )
    grids = ladder(
        setting.data(setting.variation(setting.previous) if not setting.settled else None)
    )
    given = (setting.potential, tol, limit, setting.floor)
    straight, distance = begin(grids, *given)
    if not distance > SHORT_WAY * min(grids[0].spacing):
        return solved(setting, tol, limit, None)
    found = nested(grids, straight, n, tol, limit)
    return (
        _refined(setting, found, tol, limit)
        if setting.settled
        else _linearised(setting, found, tol, limit)
    )


def _refined(setting: GridSetting, found: FoundPath, tol: float, limit: int) -> PathAnswer:
    """The same to a smaller residual where the step moves little mass, or the energy has not fallen by the cost."""
    rho = density(setting, found)
    enough = max(min(tol, SHORT * rho.moved), SHORT * tol)
    calm = SETTLED * min(1.0, rho.moved)
    if found.at.finite and found.at.residual <= tol and min(enough / tol, calm / SETTLED) < 1:
        found = found.on(found.path, found.at.phi, enough, limit, calm)
        rho = density(setting, found)
    while (
        found.at.finite
        and setting.rise(rho) > setting.rounding(rho)
        and found.at.residual <= tol > TIGHTEST
    ):
        tol, calm = max(TIGHTER * min(tol, found.at.residual), TIGHTEST), TIGHTER * calm
        before = found.newton
        found = found.on(found.path, found.at.phi, tol, limit, calm)
        rho = density(setting, found)
        if found.newton == before:
            break
    return PathAnswer(setting, found, rho)


def _linearised(setting: GridSetting, found: FoundPath, tol: float, limit: int) -> PathAnswer:
    """Terms that the dual does not know by their first variation, until the density repeats itself."""
    slope, last = setting.variation(setting.previous), setting.rho0
    share, moved = 1.0, float("inf")
    for _ in range(OUTER):
        rho = density(setting, found)
        values, before = found.path.layout.crop(found.path.end.rho) * rho.scale, moved
        moved = float(np.abs(values - last).sum()) * setting.previous.grid.cell / share
        last = values
        if moved <= tol or not np.isfinite(moved):
            break
        share *= SLOWER if moved > before else 1.0
        slope = slope + share * (setting.variation(rho.state) - slope)
        found.path.turned(setting.data(slope))
        found = found.on(found.path, found.at.phi, tol, limit, SETTLED)
    return PathAnswer(setting, found, rho, moved)


def density(setting: GridSetting, found: FoundPath) -> Density:
    """The last density of a path with its exact mass, and its figures."""
    path, phi = found.path, found.at.phi
    L, tau = path.layout, setting.problem.tau
    rho = L.crop(path.end.rho)
    scale = factors(path.data.V, rho, setting.rho0)
    values = rho * scale
    values /= L.cell * values.sum()
    state = GridDensity.of(setting.previous.grid, setting.tensor(values))
    inner = phi[:, path.free]
    with np.errstate(over="ignore", invalid="ignore"):
        middle = 0.5 * (inner.min(1) + inner.max(1))
        missed = float((path.F * phi).sum() - middle @ path.F.sum(1))
        gap = L.cell * (abs(missed) + abs(float((path.p * path.r).sum())))
        cost = tau**2 * L.cell * path.action()
    correction = L.cell * float(np.abs(values - rho).sum())
    moved = L.cell * float(np.abs(values - setting.rho0).sum())
    return Density(state, setting.energy(state), cost, correction, gap, moved, scale)
