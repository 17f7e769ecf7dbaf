"""Newton's method for atoms that carry cells: a cell with next to no mass is as much an unknown as any other.

Krylov spaces in L2(mu) do not see what happens where mu is 1e-20 of its largest value; the forces of a density are as
strong there as elsewhere, and moves would be anything.  So the linear systems are solved in the plain inner product.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jko.numerics.krylov import gmres
from jko.steps.descent import descend
from jko.steps.lagrangian import Minimised
from jko.steps.linesearch import Point
from jko.steps.memory import Memory
from jko.steps.newton import NewtonSystem, SecondOrder, projection_slope
from jko.steps.penalty import Penalty
from jko.steps.problem import StepProblem

ENOUGH = 1e-6  # of ``|T - id| / tau``: a residual; of a residual: what linear systems leave of it
ITERATIONS = 40
CYCLES = 2  # of GMRES, a hundred products each


@dataclass(frozen=True)
class CellNewton:
    """The minimiser of a step whose atoms carry cells: residuals to ``tol``, by default 1e-6 ``|T - id| / tau``."""

    tol: float | None = None

    def __call__(
        self, problem: StepProblem, penalty: Penalty, point: Point, memory: Memory
    ) -> Minimised:
        """One minimisation."""
        return descend(
            problem,
            penalty,
            point,
            CellCurvature(problem),
            tol=self.tol,
            fraction=ENOUGH,
            max_iterations=ITERATIONS,
        )


class CellCurvature(SecondOrder):
    """Newton's moves, by linear systems in which all cells count alike."""

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """Newton's move."""
        problem = self.problem
        mu, tau = problem.base.moved(point.x), problem.tau
        slope = projection_slope(mu.domain, point.x - tau * point.gradient)
        return CellSystem(mu, tau, problem.energy.second_order(mu), slope).solve(-tau * r)


class CellSystem(NewtonSystem):
    """The system of a Newton step, iterated in the plain inner product."""

    def _iterated(self, target: Tensor) -> Tensor:
        def product(v: Tensor) -> Tensor:
            return self.precondition(self.apply(v[:, :, None]))[:, :, 0]

        def products(u: Tensor, v: Tensor) -> Tensor:
            return u.flatten(1) @ v.flatten(1).T

        return gmres(product, target[:, :, 0], products, ENOUGH, cycles=CYCLES)
