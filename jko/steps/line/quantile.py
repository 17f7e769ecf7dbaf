"""``Quantile``: the step of a density on the line, as a convex problem in the edges of its cells."""

from __future__ import annotations

from dataclasses import dataclass

from jko import checks
from jko.energies import sorted_terms
from jko.measures import GridDensity, LineMesh
from jko.shown import Shown
from jko.steps.line.crowded import crowded
from jko.steps.line.descent import minimise
from jko.steps.line.edges import Edges
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult
from jko.steps.solver import Sharpened


@dataclass(frozen=True)
class Quantile(Sharpened, Shown):
    """Newton's method for a :class:`jko.LineMesh`: optimal transport on the line keeps the order of mass.

    The unknowns are the edges X of the cells.  With ``d = X - X_k`` and ``l_i = X_{i+1} - X_i`` the step minimises

    ``sum_i m_i / (6 tau) (d_i^2 + d_i d_{i+1} + d_{i+1}^2) + sum_i l_i U(m_i / l_i) + G(mu_X)``

    with U the internal energies and G all other terms, by two Gauss points a cell.  The first sum is
    ``W2^2 / (2 tau)`` of the two densities without any error: an increasing map is optimal on the line.

    Parameters
    ----------
    tol
        Residual at which to stop; default None: ``1e-8 W2(mu, mu_k) / tau``.  Never below what rounding allows.
    max_iterations
        Of Newton's method.

    Notes
    -----
    Each iteration solves a tridiagonal system; a risk adds one column for each data point.  Where far cells act on each
    other (interactions) conjugate gradients solve it, with the tridiagonal part as preconditioner.  No cell loses more
    than 0.9 of its width in an iteration.  A domain holds the two ends: they move until they touch the wall, and leave
    it when they are pulled away.

    Without a risk or an interaction, and where the second derivative of the potential is above ``-1 / tau`` all over
    the line (every convex potential), the problem is strictly convex: ``l U(m / l)`` is convex in l for every convex U.
    A step that converged is then *the* minimiser among all densities that are constant on cells of these masses, up
    to ``tau residual`` in W2 for a convex potential.  Convexity of an interaction kernel has the same effect.  With a
    risk it is a stationary point.

    ``certificate()`` of the result states the bound ``tau residual^2 / 2`` on the distance to that minimum.

    Below the limit of a :class:`jko.energies.Congestion` cells keep widths of mass / limit at least, by barriers that
    fall to nothing; ``result.pressure`` has a number for each cell.

    The cells follow the mass, so fronts stay sharp; one cell is as wide as its mass needs.  The error in the cells is
    of second order in their width.

    Source: survey (4.1)-(4.7) on the line; McCann, Adv. Math. 128 (1997), for the convexity along displacements.

    Raises
    ------
    TypeError
        From ``step``, on a state that is not a :class:`jko.LineMesh`.
    ValueError
        From ``step``, for an internal energy with a negative coefficient.

    Examples
    --------
    >>> import jko, torch
    >>> start = jko.LineMesh(torch.linspace(-1.0, 1.0, 11, dtype=torch.float64), [0.1] * 10)
    >>> result = jko.step(jko.SquaredNorm(), start, tau=1.0, solver=jko.Quantile())
    >>> [round(x, 9) for x in result.state.edges[[0, -1]].tolist()]
    [-0.5, 0.5]
    """

    tol: float | None = None
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise over the edges."""
        if isinstance(problem.previous, GridDensity):
            raise TypeError(
                "Quantile moves the cells of a LineMesh, and putting them back on a grid at every step would smear the "
                "density; start from jko.LineMesh.from_density(density) and take .to_density(grid) at the end, or use "
                "jko.Dynamic()"
            )
        mesh = checks.kind("the state of Quantile", problem.previous, LineMesh)
        if sorted_terms(problem.energy).mixture.congested:
            return crowded(problem, mesh, self.tol, self.max_iterations)
        return minimise(Edges(problem, mesh), self.tol, self.max_iterations)
