"""``Conic``: a JKO step by a general conic solver, in the static or the dynamic form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jko import checks
from jko.energies import Energy, value_of
from jko.measures import ChargedParticles, GridDensity, Particles, State
from jko.metrics import as_array, natural_metric
from jko.shown import Shown
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

if TYPE_CHECKING:
    from jko.steps.conic.form import ConicForm

ENTRIES = 100_000  # of a plan: about ten seconds
CORNERS = 20_000  # of the cells of a grid: about half a minute


@dataclass(frozen=True, eq=False)
class Conic(Shown):
    """One step as a conic program, solved by Clarabel through cvxpy: slow, exact, the referee of the other solvers.

    Particles take the static form, a plan from the base point to fixed candidates; densities on a grid the dynamic
    form, the same discretisation as :class:`jko.Dynamic`, or on request the static one between the cells' centres.
    On a pair (rho, H) it is a convex relaxation in the plan and its moments.

    Parameters
    ----------
    support : (n, dim), optional
        Candidates for the new atoms, on a pair for their theta; default: where the atoms are.
    constraints : callable, optional
        Further constraints: takes the :class:`ConicForm` and returns cvxpy constraints, such as
        ``lambda model: [model.density <= 1]`` (crowd motion).
    static : bool
        On a grid: the static form.
    eps : float, optional
        On a grid: mobility of the vacuum, as a part of the largest density; default as in :class:`jko.Dynamic`.

    Notes
    -----
    Energies: risks, potentials (+inf is an obstacle), Entropy, PorousMedium(m) for every m, Congestion, interactions
    that are positive definite, and sums of them.

    ``figures`` of the result: ``solver``, its own verdict; ``value``, the program's at its point; ``bound``, a lower
    bound on the program's minimum, computed from the multipliers by weak duality and not taken from the solver;
    ``gap``, the difference.  In the static form ``stayed`` is the mass that went to the nearest candidate: if that is
    all of it although the energy pulls, the support is too coarse for tau and the status is LOCKED.  In the dynamic
    form ``value`` has U at the corners of the cells, and is above ``objective``, which has it at their mean.

    Raises
    ------
    TypeError, ValueError
        Energies that are no cones; sizes that are out of reach.

    Examples
    --------
    An atom at 0 that pays to split: the exact value of its step is 7/32.

    >>> import jko, torch
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
    >>> F = jko.Risk(data, features=lambda xi, x: (1 - x.T) * xi**2 + x.T * xi)
    >>> support = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    >>> result = jko.step(F, jko.Particles([[0.0]]), tau=2.0, solver=jko.Conic(support=support))
    >>> round(result.objective, 6)
    0.21875
    """

    support: Any = None
    constraints: Callable[[ConicForm], Iterable[Any]] | None = None
    static: bool = False
    eps: float | None = None

    def __post_init__(self) -> None:
        if self.support is not None:
            support = checks.unrecorded("support", self.support)
            object.__setattr__(self, "support", checks.shape("support", support, ("n", "dim")))
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                "constraints must be a function of the model that returns a list of cvxpy constraints, such as "
                f"lambda model: [model.density <= 1], not {type(self.constraints).__name__}"
            )
        checks.kind("static", self.static, bool)
        if self.eps is not None:
            checks.number("eps", self.eps, above=0)

    @np.errstate(all="ignore")  # what is not finite gets a status
    def solve(self, problem: StepProblem) -> StepResult:
        """Write the program, and solve it."""
        model = self.problem(problem)
        return model.solve(() if self.constraints is None else self.constraints(model))

    def problem(self, problem: StepProblem) -> ConicForm:
        """The program, for constraints of the user's own; see :class:`ConicForm` and its ``solve``."""
        state = problem.previous
        if isinstance(state, GridDensity):
            return self._on_grid(problem, state)
        if isinstance(state, ChargedParticles):
            return self._on_pair(problem, state)
        if isinstance(state, Particles):
            return self._on_atoms(problem, state)
        raise TypeError(
            f"Conic knows Particles, ChargedParticles and GridDensity, not {type(state).__name__}; take "
            "state.to_density(grid), or jko.Quantile()"
        )

    def model(self, energy: Energy, state: State, *, tau: float) -> ConicForm:
        """The program of the step of an energy from a state.

        Examples
        --------
        >>> import jko
        >>> rho = jko.GridDensity.from_function(jko.Grid((0, 2), 8), lambda x: x[:, 0])
        >>> model = jko.Conic().model(jko.Potential(lambda x: x[:, 0]), rho, tau=0.5)
        >>> result = model.solve([model.density <= 1])
        >>> round(float(result.state.values.max()), 6)
        1.0
        """
        return self.problem(StepProblem(energy, natural_metric(state), state, tau))

    def _on_grid(self, problem: StepProblem, state: GridDensity) -> ConicForm:
        if self.support is not None:
            raise TypeError(
                "support is for particles; on a grid mass sits in the cells: refine the grid, or take "
                "state.to_particles()"
            )
        full = int((state.weights > 0).sum())
        if self.static:
            from jko.steps.conic.plan import PlanForm

            _check_size(state.grid.N * full, ENTRIES, "entries of the plan", "static")
            return PlanForm.of(problem, state)
        from jko.steps.conic.action import CornerForm

        _check_size(state.grid.N * 2**state.dim, CORNERS, "corners of cells", "grid")
        return CornerForm.of(problem, self.eps)

    def _on_atoms(self, problem: StepProblem, state: Particles) -> ConicForm:
        from jko.steps.conic.plan import PlanForm

        value_of(problem.energy, state)  # refuses energies that atoms do not have
        candidates = state if self.support is None else self._candidates(state, state.dim)
        _check_size(candidates.N * state.N, ENTRIES, "entries of the plan", "particles")
        return PlanForm.of(problem, candidates)

    def _on_pair(self, problem: StepProblem, state: ChargedParticles) -> ConicForm:
        from jko.steps.conic.pairs import PairForm

        theta = state.theta if self.support is None else self._candidates(state, state.d).points
        _check_size(len(theta) * state.N, ENTRIES, "entries of the plan", "particles")
        return PairForm.of(problem, as_array(theta))

    def _candidates(self, state: Particles | ChargedParticles, dim: int) -> Particles:
        support = checks.shape("support", self.support, ("n", dim)).to(state.support)
        apart = torch.unique(support, dim=0)
        if len(apart) < len(support):
            raise ValueError(
                f"support has {len(support)} points but only {len(apart)} different ones; "
                "pass torch.unique(support, dim=0)"
            )
        return Particles(support, domain=state.domain)


REMEDIES = {
    "particles": "take fewer candidates, or jko.LBFGS() and jko.Plans(), which move atoms",
    "static": "take a coarser grid, leave out static=True, or take jko.Dynamic()",
    "grid": "take a coarser grid, or jko.Dynamic()",
}


def _check_size(size: int, limit: int, what: str, kind: str) -> None:
    if size > limit:
        raise ValueError(
            f"the conic program would have {size} {what}; the limit of this referee is {limit}: {REMEDIES[kind]}"
        )
