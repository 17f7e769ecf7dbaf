"""The risk of a network inside a step: its prices lam join the potential in one convex dual.

``1/2 |A m - b|^2 = max over lam of lam . (A m - b) - |lam|^2 / 2`` is linear in the masses m = |K| rho, so that the
dual of the step is that of a potential ``V + A^T lam``, and

``J(phi, lam) = J(phi; V + A^T lam) + lam . b + |lam|^2 / 2``,    ``dJ/dlam = lam + b - A m``

(survey (2.6), (4.1)), minimised jointly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from jko.energies import Parts, check_obstacles, parts
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.numerics.krylov import conjugate_gradients
from jko.steps.dynamic.coupling import couple, gather, spread
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import DualOutcome
from jko.steps.dynamic.stepper import Stepper
from jko.steps.problem import StepProblem

CG_LIMIT, FEW = 200, 60
TIGHTER = 4  # times that a linear system is solved again to more digits
Factored = Callable[[Stepper], Callable[[Array], Array] | None]


@dataclass(frozen=True, eq=False)
class Features:
    """A (r, *shape) and b (r,) of ``1/2 |A m - b|^2`` on a grid; r = 0 where there is no risk."""

    A: Array
    b: Array
    known: dict[Any, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Features:
        """No risk."""
        return cls(np.zeros((0, *shape)), np.zeros(0))

    def padded(self, stepper: Stepper) -> Array:
        """A as padded flat fields (r, size), 0 in obstacles; kept for the next step."""
        free = np.isfinite(stepper.data.V)
        key = free.tobytes()
        if key not in self.known:
            self.known.clear()
            rows = [stepper.layout.pad(row * free) for row in self.A]
            self.known[key] = np.reshape(rows, (len(rows), stepper.layout.size))
        return self.known[key]


def on_grid(problem: StepProblem) -> tuple[Parts, Features | None]:
    """The energy's terms on the cells, and its risk; few rows of features stand for many data.

    They depend on the energy and the grid alone, so a flow keeps them for its next step.
    """
    energy, state = problem.energy, problem.previous
    assert isinstance(state, GridDensity)

    def make() -> tuple[Parts, Features | None]:
        few = parts(energy, state).compressed().tabulated()
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
    """The joint dual on one grid; the stepper's potential V is ``V + A^T lam`` after :meth:`at`.

    ``dJ/dlam / |K| = (lam + b - A m) / |K|``.  With ``W T v = sum_c w_c T_c v`` on the cells,

    ``S = 1/|K| + A W A^T  (r x r),    (H - (W T)^T A^T S^-1 A (W T)) dphi = -(F + (W T)^T A^T S^-1 F_lam)``

    is solved by conjugate gradients with the multigrid of H, the local part, as preconditioner; by compiled ones where
    there are no prices.
    """

    stepper: Stepper
    features: Features

    def __post_init__(self) -> None:
        step = self.stepper
        self.A, self.b = self.features.padded(step), self.features.b
        self.V, self.cell = step.V.copy(), step.layout.cell
        self.coupling = np.zeros((1 + 2 * step.dim, step.layout.size))
        self.y, self.lam = np.zeros(step.layout.size), np.zeros_like(self.b)
        self.F_lam, self.hard, self.level = np.zeros_like(self.b), False, 0.0

    @property
    def grid(self) -> tuple[Any, Any]:
        """Strides and rows of the grid itself."""
        return self.stepper.strides[0], self.stepper.layout.rows[0]

    def at(self, phi: Array, lam: Array) -> float:
        """J(phi, lam) per unit cell volume; writes the stepper's fields."""
        self.move(lam)
        return self.stepper.evaluate(phi) + self.own - self.level * self.stepper.mass

    def pull(self, lam: Array) -> Array:
        """The potential of prices, ``A^T lam``."""
        return lam @ self.A

    def move(self, lam: Array) -> None:
        """Set lam."""
        self.lam = lam
        np.add(self.V - self.level, self.pull(lam), out=self.stepper.V)
        self.own = float(lam @ (self.b + 0.5 * lam)) / self.cell

    def levelled(self, phi: Array) -> Array:
        """The potential less its mean, which V takes over: however large tau is, differences keep their digits."""
        mean = float(self.stepper.crop(phi)[self.stepper.layout.free].mean())
        self.level += mean
        return phi - mean

    def imbalance(self, rho: Array | None = None, M: Array | None = None) -> float:
        """Write both parts of the gradient, at rho and M; the larger of their relative norms."""
        step = self.stepper
        rho, M = step.rho if rho is None else rho, step.M if M is None else M
        left = step.imbalance(rho, M)
        m = self.cell * (self.A @ rho)
        miss = self.lam + self.b - m
        self.F_lam = miss / self.cell
        size = np.linalg.norm(self.b) + np.linalg.norm(self.lam) + np.linalg.norm(m)
        return max(left, float(np.linalg.norm(miss) / size) if size > 0 else 0.0)

    def outcome(self, phi: Array, lam: Array) -> DualOutcome:
        """J and the residual at a point."""
        return DualOutcome(phi, self.at(phi, lam), self.imbalance())

    def arrived(self, phi: Array, lam: Array) -> DualOutcome:
        """A point that is no solution: its V and slopes, no more."""
        self.move(lam)
        self.stepper.slopes(phi)
        return DualOutcome(phi, math.nan, math.inf)

    def newton(
        self, target: float, factored: Factored | None = None
    ) -> tuple[Array, Array, int] | None:
        """Newton's step: phi and lam are to move by minus these; and the iterations of conjugate gradients.

        None where numbers have lost their meaning.  ``factored`` makes a better preconditioner, for when the multigrid
        has once been no good.
        """
        if not np.isfinite(self.stepper.F).all() or not (len(self.b) == 0 or self.couple()):
            return None
        step = self.stepper
        if not len(self.b) and not self.hard:
            dphi, cg = step.solve(step.F, target, CG_LIMIT if factored is None else FEW)
            self.hard = factored is not None and cg >= FEW
            if not self.hard:
                return dphi.copy(), self.F_lam, cg
        made = factored(step) if factored is not None and self.hard else None
        found = self._conjugate(step.F, self.F_lam, target, made or step.precondition)
        self.hard = self.hard or (factored is not None and found[2] >= FEW)
        return found

    def couple(self) -> bool:
        """Take the coefficients of ``W T`` and the factor of S at the point; False where they are no numbers."""
        step = self.stepper
        couple(*self.grid, step.data.tau, step.layout.inverse, step.g, step.w, self.coupling)
        if not len(self.b):
            return bool(np.isfinite(self.coupling).all())
        scaled = self.A * np.sqrt(step.w.sum(0))
        S = scaled @ scaled.T
        S[np.diag_indices_from(S)] += 1.0 / self.cell
        if not np.isfinite(S).all():
            return False
        self.factor = cho_factor(S)
        return True

    def solve(self, F: Array, F_lam: Array, target: float) -> tuple[Array, Array, int]:
        """``(dphi, dlam)`` of the Hessian for a right side, up to ``target`` of the mass in L1; and the iterations."""
        if not len(self.b):
            dphi, cg = self.stepper.solve(F, target, CG_LIMIT)
            return dphi.copy(), F_lam, cg
        return self._conjugate(F, F_lam, target, self.stepper.precondition)

    def _conjugate(
        self, F: Array, F_lam: Array, target: float, precondition: Callable[[Array], Array]
    ) -> tuple[Array, Array, int]:
        """The same by conjugate gradients with this preconditioner."""
        step, rhs = self.stepper, F.copy()
        if len(self.b):
            self._gather(cho_solve(self.factor, F_lam) @ self.A, 1.0, rhs)

        def product(v: Array) -> Array:
            out = np.zeros_like(v)
            step.product(v, out)
            if len(self.b):
                back = self.A @ self._spread(v)
                self._gather(cho_solve(self.factor, back, check_finite=False) @ self.A, -1.0, out)
            return out

        found = conjugate_gradients(product, rhs, precondition, target * step.mass, CG_LIMIT)
        if not len(self.b):
            return found.x, F_lam, found.products
        lifted = F_lam + self.A @ self._spread(found.x)
        return found.x, cho_solve(self.factor, lifted), found.products

    def respond(self, r: Array, precision: float) -> tuple[Array, Array, int]:
        """Density and phi of the solution follow a potential that changes by -r; and the iterations.

        If phi changed by -r too, only slopes would change: so ``dphi = y - r`` is solved for y, where nothing cancels,
        ``drho = W r + W T dphi - W A^T dlam``, until what is left is ``precision`` of drho in L1.
        """
        step, F = self.stepper, np.zeros_like(r)
        step.product(r, F)
        self._gather(r, -1.0, F)
        slopes = step.w.sum(0) * r - self._spread(r)
        F_lam, size, work = self.A @ slopes, float(np.abs(F).sum()), 0
        target = precision * size
        for _ in range(TIGHTER):
            y, dlam, cg = self.solve(F, F_lam, target / step.mass)
            drho = slopes + self._spread(y) - step.w.sum(0) * (dlam @ self.A)
            enough, work = precision * float(np.abs(drho).sum()), work + cg
            if target <= 3 * enough:
                break
            target = enough
        return drho, y - r, work

    def correct(self, reduction: float) -> tuple[Array, Array, float, int]:
        """What Newton's step does to density and phi, up to ``reduction``; its decrement ``F . H^-1 F``; iterations."""
        F = self.stepper.F
        target = reduction * float(np.abs(F).sum()) / self.stepper.mass
        dphi, dlam, cg = self.solve(F, self.F_lam, target)
        drho = self.stepper.w.sum(0) * (dlam @ self.A) - self._spread(dphi)
        return drho, -dphi, float(F @ dphi + self.F_lam @ dlam), cg

    def _spread(self, v: Array) -> Array:
        spread(*self.grid, self.coupling, self.stepper.echo(v), self.y)
        return self.y

    def _gather(self, z: Array, scale: float, out: Array) -> None:
        gather(*self.grid, self.coupling, z, scale, out)
        self.stepper.fold([out])
