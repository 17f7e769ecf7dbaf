"""The form of the plan: a plan between the base point and fixed candidates.

``min over plan >= 0  E(plan 1) + sum_ij plan_ij |x_i - y_j|^2 / (2 tau)   subject to   sum_i plan_ij = m_j``

On a fixed support a step may lock: if ``tau |grad dE/dmu|`` is less than half the spacing, no mass can gain by moving,
and the exact minimiser is the base point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cvxpy as cp
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from jko.duality import Gap
from jko.measures import GridDensity, Particles, State
from jko.metrics import as_array
from jko.metrics.couplings import all_costs
from jko.spaces import projected
from jko.status import Status
from jko.steps.conic.bounds import plan_bound
from jko.steps.conic.corners import Corners
from jko.steps.conic.form import ConicForm, Reading, energy_cones, exact_coupling
from jko.steps.conic.terms import ConeTerms
from jko.steps.problem import StepProblem

Array = NDArray[np.float64]

CUT = 1e-9  # of an atom: pieces that an interior point leaves everywhere, and that are no atoms
LIGHT = 1e-3  # of the mean mass: flows of lighter atoms are counted in this unit
STAYED = 1 - 1e-6  # of the mass
DRIFT = 1e-6  # of the spacing: a shorter way to go is no drift


@dataclass(frozen=True, eq=False)
class PlanForm(ConicForm):
    """The program of a plan; ``flow[i, j]`` times ``unit[j]`` goes from the base atom j to ``positions[i]``."""

    flow: Any
    unit: Array
    columns: Any
    terms: ConeTerms
    half_costs: Array
    source: Particles

    names: ClassVar[tuple[str, ...]] = ("value", "bound", "gap", "stayed")

    @classmethod
    def of(cls, step: StepProblem, candidates: Particles | GridDensity) -> PlanForm:
        """The program; candidates are read as positions, their weights do not matter."""
        terms = ConeTerms.of(step.energy, candidates)
        source, x = _source(step), as_array(candidates.support)[terms.free]
        m = as_array(source.weights)
        volume = candidates.grid.cell if isinstance(candidates, GridDensity) else 1.0
        half_costs = all_costs(x, as_array(source.points)) / (2 * step.tau)
        unit = np.maximum(m, LIGHT / len(m))
        flow = cp.Variable(half_costs.shape, name="flow", nonneg=True)
        masses = flow @ unit
        columns = cp.sum(flow, axis=0) == m / unit
        scale = 1 / (terms.n * volume)
        energy, cones = energy_cones(terms, masses, terms.n * masses, volume, scale)
        transport = cp.sum(cp.multiply(half_costs * unit, flow))
        program = cp.Problem(cp.Minimize(energy + transport), [columns, *cones])
        return cls(
            step, x, volume, masses, program,
            flow, unit, columns, terms, half_costs, source,
        )  # fmt: skip

    @property
    def plan(self) -> Any:
        """Masses that go from the base atoms (columns) to the positions (rows), a cvxpy expression."""
        return cp.multiply(self.flow, self.unit[None, :])

    def answer(self, value: float) -> Reading:
        """The state at the candidates, with an exact plan from the base point."""
        m = as_array(self.source.weights)
        is_grid = isinstance(self.step.previous, GridDensity)
        raw = np.asarray(self.flow.value) * self.unit
        plan, moved = feasible(raw, m, 0.0 if is_grid else CUT)
        masses = plan.sum(1)
        full = masses > 0
        prices = -np.asarray(self.columns.dual_value) / self.unit
        bound = plan_bound(
            self.terms,
            self.half_costs,
            m,
            prices,
            self.terms.residual(masses),
            masses / self.volume,
            self.volume,
        )
        state = self._state(masses, full)
        cost, coupling = exact_coupling(
            self.positions[full], masses[full], as_array(self.source.points), m
        )
        stayed = float(plan[self.half_costs.argmin(0), np.arange(len(m))].sum())
        locked = stayed >= STAYED and self._drifts(state, masses)
        return Reading(
            state=state,
            cost=cost,
            coupling=coupling,
            corrected=moved,
            value=value,
            bound=bound,
            figures={"stayed": stayed},
            status=Status.LOCKED if locked else None,
            gap=weak_duality(value, bound, moved) if is_grid else None,
        )

    def _state(self, masses: Array, full: NDArray[np.bool_]) -> Particles | GridDensity:
        previous = self.step.previous
        if isinstance(previous, GridDensity):
            values = np.zeros(previous.grid.N)
            values[self.terms.free] = masses / self.volume
            return on_grid(previous, values)
        like = previous.atoms.points
        points = torch.from_numpy(self.positions[full]).to(like)
        return Particles(points, torch.from_numpy(masses[full]).to(like), previous.domain)

    def _drifts(self, state: Particles | GridDensity, masses: Array) -> bool:
        """Whether the energy asks the mass to move, by more than rounding of the spacing."""
        if isinstance(state, Particles):
            return drifts(self, state, state.points, self.step.energy.gradient(state))
        grid = state.grid
        corners = Corners.of(self.terms.free.reshape(grid.shape), grid.spacing)
        slope = self.terms.slope(masses) + self.terms.pressure(masses / self.volume)
        both = (np.abs(corners.difference) @ (masses > 0)) == 2
        v = self.step.tau * np.where(both, corners.difference @ slope / corners.width, 0.0)
        return float(corners.between @ masses @ (v * v)) ** 0.5 > DRIFT * min(grid.spacing)


def drifts(form: ConicForm, state: State, x: Tensor, slope: Tensor) -> bool:
    """Whether the mass at x goes further in a step along ``-slope`` than rounding of the candidates' spacing."""
    moved = projected(x - form.step.tau * slope, state.domain) - x
    return float(state.inner(moved, moved)) ** 0.5 > DRIFT * spacing(form.positions)


def _source(step: StepProblem) -> Particles:
    """The base point as atoms that hold mass."""
    base = step.base
    full = base.weights > 0
    return base if bool(full.all()) else Particles.of(base.points[full], base.weights[full])


def weak_duality(value: float, bound: float, off: float) -> Gap:
    """The gap between the solver's point, which misses its constraints by the mass ``off``, and its prices."""
    reason = f"weak duality at the solver's prices; its point is feasible up to the mass {off:.1e}"
    return Gap(value - bound, True, reason, bound, value)


def on_grid(previous: GridDensity, values: Array) -> GridDensity:
    """A density on the same grid, from values (N,)."""
    like = previous.values
    return GridDensity.of(
        previous.grid, torch.from_numpy(values.reshape(previous.grid.shape)).to(like)
    )


def feasible(plan: Array, m: Array, cut: float) -> tuple[Array, float]:
    """The plan without negative entries and those below ``cut * m``, its columns of masses m; and the mass it moved."""
    kept = np.where(plan > cut * m, plan, 0.0)
    lost = kept.sum(0) == 0  # atoms too light for the solver's digits
    kept[plan[:, lost].argmax(0), lost] = 1.0
    kept = kept * (m / kept.sum(0))
    return kept, float(np.abs(kept - plan).sum())


def spacing(points: Array) -> float:
    """The smallest distance between two points; 1 for a single one."""
    if len(points) < 2:
        return 1.0
    return float(cKDTree(points).query(points, k=2)[0][:, 1].min())
