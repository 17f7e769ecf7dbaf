"""``Quantile``: the step of a density on the line, as a convex problem in the edges of its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from jko import checks
from jko.duality import Gap
from jko.energies import Internal, Linear, PowerNorm, SquaredNorm
from jko.measures import GridDensity, LineMesh
from jko.metrics import MONOTONE, as_array
from jko.steps.line import Found
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem
from jko.steps.quantile.newton import THINNEST, minimise
from jko.steps.quantile.objective import Objective, Spot
from jko.steps.result import StepResult


@dataclass(frozen=True)
class Quantile:
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
    Each iteration solves a tridiagonal system; a risk adds one column for each data point, the cross terms of other
    energies are left out of it (never out of the gradient).  A domain holds the two ends: they move until they touch
    the wall, and leave it when they are pulled away.

    Without a risk or an interaction, and where the second derivative of the potential is above ``-1 / tau`` all over
    the line (every convex potential), the problem is strictly convex: ``l U(m / l)`` is convex in l for every convex U.
    A step that converged is then *the* minimiser among all densities that are constant on cells of these masses, up
    to ``tau residual`` in W2 for a convex potential.  Convexity of an interaction kernel has the same effect.  With a
    risk it is a stationary point.

    ``certificate()`` of the result states the bound ``tau residual^2 / 2`` on the distance to that minimum.

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
        checks.kind("the state of Quantile", problem.previous, LineMesh)
        objective = Objective(problem)
        start, before, evaluations = _start(objective)
        found = minimise(objective, start, self.tol, self.max_iterations)
        return _result(objective, before, found, evaluations + found.evaluations, self.tol)


def _start(objective: Objective) -> tuple[Spot, float, int]:
    """Where to begin: the better of staying and of keeping the last step's velocity; E(mu_k); the evaluations spent."""
    ahead, memory = _ahead(objective), objective.problem.memory
    if ahead is not None and "value" in memory and ahead.value < float(memory["value"]):
        return ahead, float(memory["value"]), 1
    stay = objective.at(objective.start)
    if ahead is None:
        return stay, stay.energy, 1
    return (ahead if ahead.value < stay.value else stay), stay.energy, 2


def _ahead(objective: Objective) -> Spot | None:
    """The spot that the last step's velocity leads to; None where it would crush a cell."""
    velocity, start = objective.problem.memory.get("velocity"), objective.start
    if velocity is None or len(velocity) != len(start):
        return None
    lower, upper = objective.bounds
    X = start + objective.problem.tau * as_array(velocity)
    X[0], X[-1] = max(X[0], lower), min(X[-1], upper)
    if not bool((X[1:] - X[:-1] > THINNEST * (start[1:] - start[:-1])).all()):
        return None
    return objective.at(X)


def _result(
    objective: Objective,
    before: float,
    found: Found[Spot],
    evaluations: int,
    tol: float | None,
) -> StepResult:
    problem, mesh, spot, status = objective.problem, objective.mesh, found.spot, found.status
    return StepResult.of(
        problem,
        mesh.moved(torch.from_numpy(spot.X).to(mesh.edges)),
        energy=spot.energy,
        cost=spot.cost,
        before=before,
        residual=found.residual,
        iterations=found.iterations,
        evaluations=evaluations,
        status=status,
        tolerance=math.inf if tol is None else tol,
        coupling=MONOTONE,
        memory=_memory(objective, spot),
        gap=_gap(objective, found),
    )


def _gap(objective: Objective, found: Found[Spot]) -> Gap:
    """``J(X) - min J <= tau residual^2 / 2``, since ``J - |X|^2 / (2 tau)`` is convex in L2(mu_k) if G is."""
    kinds = {
        type(E) for c, E in objective.problem.energy.terms if c and not isinstance(E, Internal)
    }
    signs = all(c >= 0 for c, E in objective.problem.energy.terms)
    if not (signs and all(issubclass(kind, Linear) for kind in kinds)):
        reason = "the problem need not be convex in the edges: there is a risk, an interaction or a negative term"
        return Gap(math.inf, False, reason, -math.inf, found.spot.value)
    value = 0.5 * objective.problem.tau * found.residual * found.residual
    proved = kinds <= {SquaredNorm, PowerNorm}
    reason = "strong convexity, over all densities that are constant on cells of these masses"
    if not proved:
        reason += ", if the potential is convex"
    return Gap(value, proved, reason, found.spot.value - value, found.spot.value)


def _memory(objective: Objective, spot: Spot) -> Memory:
    """The velocity of the edges, and E at the new state."""
    velocity = (spot.X - objective.start) / objective.problem.tau
    return {
        "velocity": torch.from_numpy(velocity),
        "value": torch.tensor(spot.energy, dtype=torch.float64, device="cpu"),
    }
