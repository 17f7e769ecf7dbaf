"""The dual function of a step with a risk, ``J(phi, lam)``, and its Newton equation with lam eliminated.

``dJ/dlam / |K| = (lam + b - A m) / |K|``.  With ``W T v = sum_c w_c T_c v`` on the cells,

``S = 1/|K| + A W A^T  (r x r),    (H - (W T)^T A^T S^-1 A (W T)) dphi = -(F + (W T)^T A^T S^-1 F_lam)``

is solved by conjugate gradients with the multigrid of H, the local part, as preconditioner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from jko.energies import Parts, check_obstacles, parts
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.kernels import slopes
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.multigrid import apply, precondition
from jko.steps.dynamic.newton import Outcome
from jko.steps.dynamic.risk_kernels import couple, gather, spread
from jko.steps.dynamic.stepper import Stepper
from jko.steps.problem import StepProblem

CG_LIMIT = 200


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


def on_grid(problem: StepProblem) -> tuple[Parts, Features | None]:
    """The energy's terms on the cells, and its risk; few rows of features stand for many data.

    They depend on the energy and the grid alone, so a flow keeps them for its next step.
    """
    energy, state = problem.energy, problem.previous
    assert isinstance(state, GridDensity)

    def make() -> tuple[Parts, Features | None]:
        few = parts(energy, state).compressed()
        if few.features is None or few.targets is None:
            return few, None
        if not len(few.features):  # they all vanish on the grid
            return replace(few, features=None, targets=None), None
        A = as_array(few.features).reshape(-1, *state.grid.shape)
        return few, Features(np.ascontiguousarray(A), np.array(as_array(few.targets)))

    found: tuple[Parts, Features | None] = problem.kept((state.grid, state.values.device), make)
    check_obstacles(found[0].potential, state)
    return found


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
