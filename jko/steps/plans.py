"""``Plans``: exact transport plans, positions and splitting in turn, for steps in which mass may split.

With unequal weights the best coupling of the new atoms with the old ones is a plan, not a map; and with a large tau
the minimum over all measures may cut an atom in two, whatever the weights.  Cutting an atom of mu_k changes its list
of atoms, not the measure: so a split step is an ordinary step from the same mu_k, written with more atoms.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from jko import checks
from jko.duality import split_atoms
from jko.measures import ChargedParticles, Particles, State, YoungMeasure
from jko.shown import Shown
from jko.steps.lagrangian import solve_lagrangian
from jko.steps.lbfgs import LBFGS
from jko.steps.newton import BlockNewton
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult


@dataclass(frozen=True)
class Plans(Shown):
    """Alternate exact plans and positions; then split atoms where the dual problem says that it pays.

    Parameters
    ----------
    positions
        Minimiser of the positions, :class:`jko.LBFGS` or :class:`jko.BlockNewton`.
    splits
        Rounds of splitting, at most; 0 keeps the number of atoms.

    Notes
    -----
    With a plan fixed the cost is ``int |T - y|^2 dmu`` plus a constant, y the plan's barycentres, so the objective
    falls in both halves.  Splitting asks the dual problem of the step for a better plan over all measures (see
    ``StepResult.certificate``); it is tried where the energy is convex in the measure and the problem small (some
    hundred atoms).  The weights of the new state are then those of the pieces.

    Examples
    --------
    >>> import jko
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
    >>> F = jko.Risk(data, features=lambda xi, x: (1 - x.T) * xi**2 + x.T * xi)
    >>> result = jko.step(F, jko.Particles([[0.0]]), tau=2.0, solver=jko.Plans())
    >>> round(result.objective, 8)  # 7/32: pieces of the atom leave 0; the whole atom stays, at 1/2
    0.21875
    """

    positions: LBFGS | BlockNewton = field(default_factory=LBFGS)
    splits: int = 3
    seams: ClassVar = True

    def __post_init__(self) -> None:
        checks.kind("positions", self.positions, LBFGS, BlockNewton)
        checks.count("splits", self.splits, least=0)

    def solve(self, problem: StepProblem) -> StepResult:
        """Alternate until the plan is optimal for the positions it led to; split, and begin again."""
        best = solve_lagrangian(problem, self.positions.minimise, exact_plans=True)
        for _ in range(self.splits if best.status.ok else 0):
            here = best.problem
            found = split_atoms(here.energy, here.base, here.tau, best.state.atoms, best.objective)
            if found is None:
                break
            points, block, masses = found
            cut = replace(here, previous=in_pieces(here.previous, block, masses), memory={})
            trial = solve_lagrangian(cut, self.positions.minimise, exact_plans=True, start=points)
            better = trial.status.ok and trial.objective < best.objective
            best = replace(
                trial if better else best,
                iterations=best.iterations + trial.iterations,
                evaluations=best.evaluations + trial.evaluations,
            )
            if not better:
                break
        return best


def in_pieces(state: State, block: Tensor, masses: Tensor) -> State:
    """The same measure, with the atoms listed by pieces."""
    whole = torch.zeros_like(state.weights).index_add_(0, block, masses)
    weights = masses * (state.weights / whole)[block]
    if isinstance(state, ChargedParticles):
        return ChargedParticles(state.theta[block], state.H[block], weights, state.domain)
    points = state.atoms.points[block]
    if isinstance(state, YoungMeasure):  # what an atom is cut into stays in its fibre
        return YoungMeasure(points, state.label[block], weights, state.domain)
    return Particles(points, weights, state.domain)
