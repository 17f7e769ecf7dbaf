"""Steps on the line below a limit: each cell keeps at least the width ``m_c / limit``.

The room that a cell has left has a barrier, ``- nu sum_c m_c log(l_c / m_c - 1 / limit)``, which is an internal energy
itself.  With nu falling to nothing its minima come to the one of the step, which lies lower by nu at
most, since the masses add up to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from jko.duality import Gap
from jko.energies import Congestion, Internal, joined, sorted_terms
from jko.energies.mixture import root
from jko.measures import LineMesh
from jko.metrics import NO_PROOF
from jko.status import Status
from jko.steps.line.descent import descent
from jko.steps.line.edges import Edges
from jko.steps.line.objective import Array
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

SPREAD = 1e-3  # of the limit: how far below it the first densities are
SMALLER = 0.1  # nu from one problem to the next
ROUND = 1e-15  # of the log of the limit, where the slope is infinite
NOTHING = 1e-10  # and the last, relative to the first


@dataclass(frozen=True)
class Barrier(Internal):
    """``- int rho log v`` with the room ``v = 1/rho - 1/limit`` for a unit of mass."""

    limit: float

    @property
    def ceiling(self) -> float:  # type: ignore[override]
        """The limit."""
        return self.limit

    def _room(self, rho: Tensor) -> Tensor:
        return (1 / rho - 1 / self.limit).clamp(min=0)

    def U(self, rho: Tensor) -> Tensor:
        """- rho log v, 0 at 0."""
        return torch.where(rho > 0, -rho * self._room(rho).log(), 0)

    def slope(self, rho: Tensor) -> Tensor:
        """1 / (rho v) - log v."""
        v = self._room(rho)
        return 1 / (1 - rho / self.limit) - v.log()

    def density(self, p: Tensor) -> Tensor:
        """The root of the slope, which lies above ``1 + log rho``, and up to half the limit below 2.7 + that."""
        high = (p - 1).clamp(max=math.log(self.limit) - ROUND)
        low = torch.minimum(p - 2.7, high.new_tensor(math.log(self.limit / 2)))
        return root(self.of_log, p, low, high).exp()

    def density_slope(self, p: Tensor) -> Tensor:
        """1 / U''."""
        return 1 / self.stiffness(self.density(p))

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """U' and rho U''."""
        rho = s.exp()
        return self.slope(rho), rho * self.stiffness(rho)

    def pressure(self, rho: Tensor) -> Tensor:
        """1 / v."""
        return 1 / self._room(rho)

    def stiffness(self, rho: Tensor) -> Tensor:
        """1 / (rho^3 v^2)."""
        return 1 / (rho * (1 - rho / self.limit).square())


@np.errstate(all="ignore")  # a base point above the limit has no finite energy
def crowded(
    problem: StepProblem, mesh: LineMesh, tol: float | None, max_iterations: int
) -> StepResult:
    """The step of an energy with congestion, from where the base point has a little room.

    Raises
    ------
    ValueError
        A domain that cannot hold the mass.
    """
    terms = sorted_terms(problem.energy)
    limit, rest = terms.mixture.ceiling, terms.without(Congestion)
    own = Edges(problem, mesh)
    u = roomy(own, limit)
    nu = own.at(u).cost / problem.tau + float(np.ptp(u)) * _pull(own, u) + 1e-12
    last, used, seen = NOTHING * nu, 0, 0
    while True:
        energy = joined([*rest, (nu, Barrier(limit))])
        assert energy is not None
        eased = Edges(replace(problem, energy=energy, memory={}), mesh)
        spot, residual, iterations, more, status = descent(eased, eased.at(u), tol, max_iterations)
        u, used, seen = spot.u, used + iterations, seen + more
        if nu <= last or not status.ok:
            break
        nu = max(SMALLER * nu, last)
    end, before = own.at(u), own.at(own.start)
    gap = own.gap(end, residual)
    return StepResult.of(
        problem,
        own.state(u),
        energy=end.energy,
        cost=end.cost,
        before=before.energy,
        residual=residual,
        iterations=used,
        evaluations=seen + 2,
        status=status,
        tolerance=math.inf if tol is None else tol,
        coupling=NO_PROOF if status is Status.NOT_FINITE else own.coupling(end),
        gap=_wider(gap, nu),
        fields={"pressure": pressure(end.widths, own.masses, limit, nu, mesh.masses)},
    )


def roomy(own: Edges, limit: float) -> Array:
    """The edges nearest to those of the base point whose cells have a little room."""
    x, masses, (lower, upper) = own.start[own.places], own.masses, own.bounds
    spare = upper - lower - 1 / limit
    if not spare > 0:
        raise ValueError(
            f"the limit {limit:g} leaves no room: a domain of length {upper - lower:.6g} holds "
            f"{limit * (upper - lower):.6g} of the mass 1 at most; take a larger domain or a higher limit"
        )
    least = (1 / limit + min(SPREAD / limit, 0.5 * spare)) * masses
    sums = np.concatenate([[0.0], np.cumsum(least)])
    y = isotonic_regression(x - sums).x
    return np.clip(y, lower, upper - sums[-1]) + sums


def pressure(widths: Array, masses: Array, limit: float, nu: float, like: Tensor) -> Tensor:
    """``nu / (limit v)``, where that is nearer to its size than the density to the limit, else 0."""
    room = widths / masses - 1 / limit
    p = nu / (limit * room)
    p = np.where(p > room * limit * p.max(), p, 0.0)
    return torch.from_numpy(p).to(like)


def _pull(own: Edges, u: Array) -> float:
    """The size of forces."""
    spot = own.at(u)
    return float(np.abs(spot.gradient).sum())


def _wider(gap: Gap, nu: float) -> Gap:
    """The gap and what the last barrier may cost."""
    return replace(gap, value=gap.value + nu, lower_bound=gap.lower_bound - nu)
