"""``Plans``: exact transport plans and positions in turn, for measures with unequal weights.

With unequal weights mass may split: the best coupling of the new atoms with the old ones is a plan, not a map.  Each
round takes the exact plan for the current positions, then moves the positions with the plan fixed, where the cost is
``int |T - y|^2 dmu`` plus a constant with y the plan's barycentres.  The objective falls in both halves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jko.steps.lagrangian import solve_lagrangian
from jko.steps.lbfgs import LBFGS
from jko.steps.newton import BlockNewton
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult


@dataclass(frozen=True)
class Plans:
    """Alternate exact plans and positions until neither changes.

    Parameters
    ----------
    positions
        Minimiser of the positions, :class:`jko.LBFGS` or :class:`jko.BlockNewton`.

    Notes
    -----
    The weights of the new atoms are those of the old ones, though not atom by atom: an old atom may send its mass to
    several new ones.  The result is a minimum in positions and plan separately; ``certificate()`` bounds its distance
    to the minimum over all measures.
    """

    positions: LBFGS | BlockNewton = field(default_factory=LBFGS)

    def solve(self, problem: StepProblem) -> StepResult:
        """Alternate until the plan is optimal for the positions that it led to."""
        return solve_lagrangian(problem, self.positions.minimise, exact_plans=True)
