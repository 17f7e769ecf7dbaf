"""The form of the action on a grid: corner densities and fluxes; :mod:`jko.steps.conic.corners` has (P) and its dual.

The program is (P) with the energy of the survey on top, a second-order cone for each face and one cone for each
corner.  Variables are of order one: densities in units of ``1 / (n |K|)``, their mean, and fluxes in units of
``h / tau`` times that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.measures import GridDensity
from jko.metrics import ACTION, as_array
from jko.steps.conic.bounds import action_bound
from jko.steps.conic.corners import Corners
from jko.steps.conic.form import ConicForm, Reading, energy_cones, quadratic_over
from jko.steps.conic.plan import on_grid, weak_duality
from jko.steps.conic.terms import ConeTerms
from jko.steps.problem import StepProblem
from jko.steps.vacuum import mobility, reached

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CornerForm(ConicForm):
    """The program of one step of the action; ``corners`` and ``flux`` are its variables, in their units."""

    corners: Any
    flux: Any
    mobility: Any
    balance: Any
    terms: ConeTerms
    geometry: Corners
    rho0: Array
    floor: float

    names: ClassVar[tuple[str, ...]] = ("value", "bound", "gap", "floor")

    @classmethod
    def of(cls, step: StepProblem, eps: float | None) -> CornerForm:
        """The program of a step on a :class:`GridDensity`."""
        state = checks.kind("the state", step.previous, GridDensity)
        grid, terms = state.grid, ConeTerms.of(step.energy, state)
        free = reached(terms.free.reshape(grid.shape), as_array(state.values) > 0)
        terms = terms.only(free.reshape(-1))
        geometry = Corners.of(free, grid.spacing)
        n, volume = terms.n, grid.cell
        unit = 1 / (n * volume)
        rho0 = as_array(state.values).reshape(-1)[terms.free]
        floor = mobility(terms.internal.summands, eps) * float(rho0.max())
        corners = cp.Variable(n * 2**geometry.dim, name="corners", nonneg=True)
        flux = cp.Variable(len(geometry.width), name="flux")
        cells = geometry.mean @ corners
        balance = cells - rho0 / unit == geometry.difference.T @ flux
        still = (0.5 * (geometry.between @ rho0) + floor) / unit
        on_faces = 0.5 * (geometry.touch @ corners) + still
        action, cones = quadratic_over(flux, on_faces)
        energy, more = energy_cones(terms, cells / n, corners, volume / 2**geometry.dim, unit)
        kinetic = (geometry.width**2 / (2 * step.tau * n)) @ action
        program = cp.Problem(cp.Minimize(energy + kinetic), [balance, *cones, *more])
        x = as_array(state.support)[terms.free]
        return cls(
            step, x, volume, cells / n, program,
            corners, flux, on_faces, balance, terms, geometry, rho0, floor,
        )  # fmt: skip

    def answer(self, value: float) -> Reading:
        """The density, its action, and the bound of the multipliers."""
        n, tau, geometry = self.terms.n, self.step.tau, self.geometry
        unit = 1 / (n * self.volume)
        corners = np.maximum(np.asarray(self.corners.value), 0.0)
        flux = np.asarray(self.flux.value)
        cells = geometry.mean @ corners
        masses = cells / cells.sum()
        off = cells - self.rho0 / unit - geometry.difference.T @ flux
        corrected = float(np.abs(off).sum()) / n
        mobility = np.asarray(self.mobility.value)
        cost = float(geometry.width**2 @ (flux**2 / mobility)) / n
        bound = action_bound(
            self.terms,
            geometry,
            self.rho0,
            0.5 * (geometry.between @ self.rho0) + self.floor,
            tau,
            self.volume,
            -n * np.asarray(self.balance.dual_value),
            self.terms.residual(masses),
        )
        previous = checks.kind("the state", self.step.previous, GridDensity)
        values = np.zeros(previous.grid.N)
        values[self.terms.free] = masses / self.volume
        state = on_grid(previous, values)
        return Reading(
            state=state,
            cost=cost,
            coupling=ACTION,
            corrected=corrected,
            value=value,
            bound=bound,
            figures={"floor": self.floor},
            gap=weak_duality(value, bound, corrected),
        )
