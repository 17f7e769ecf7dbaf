"""``Dynamic``: the JKO step of a density on a grid, by the one-step Benamou-Brenier action and its dual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from jko import checks
from jko.measures import GridDensity
from jko.metrics import ACTION
from jko.shown import Shown
from jko.status import Status
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult

if TYPE_CHECKING:
    from jko.steps.dynamic.inner.solve import PathAnswer
    from jko.steps.dynamic.setting import GridSetting
    from jko.steps.dynamic.solve import DualAnswer

CROWDED = (
    1e-8  # mass by which a density below a limit may be corrected: so far above it can be then
)


@dataclass(frozen=True)
class Dynamic(Shown):
    """JKO steps of densities on a grid, d = 1, 2, 3: ``min over rho of E(rho) + A(rho_k, rho) / (2 tau)``.

    A is the Benamou-Brenier action of one step with the mobility ``(rho_k + rho) / 2``; it equals W2^2 up to O(tau^3),
    and unlike a plan on fixed cells it lets mass move by less than a cell.  The problem is solved through its dual, a
    smooth convex function of a potential phi on the cells, by Newton's method with conjugate gradients and multigrid,
    on coarser grids first where the mass moves further than a cell; where that is hard, and for powers above 2, with
    the densities as unknowns too.  See :mod:`jko.steps.dynamic` for the discrete problem.  Cells where the potential is
    +inf are obstacles.

    Parameters
    ----------
    tol : float
        Largest L1 residual of ``rho - rho_k + tau div(flux) = 0``, as a part of the mass.  1e-4 is enough for
        most flows; 1e-8 costs three to five times the work.  A step that moves little mass, or whose energy has
        not fallen, is refined further.
    eps : float, optional
        Mobility of the vacuum, as a part of the largest density.  Default: 1e-4, with an entropy 1e-6.
    cascade : int, optional
        How many coarser grids are solved first.  Default: as many as it takes until mass moves less than a cell.
    max_iterations : int
        Newton iterations on one grid, a safeguard: iterations end where the residual has not fallen for a while.
    compiled : bool
        False: take the torch path on a CPU too, as states on a GPU and internal energies of the user always do; its
        smoother is not serial.
    inner : int
        Inner steps of time of the action.  With n of them the error of a large step is about that of one divided by
        n^2, for five to ten times n the time.  Potentials, internal energies and interactions; powers up to about 6.
        Where mass moves by less than a tenth of a cell one is taken.  See :mod:`jko.steps.dynamic.inner`.

    Raises
    ------
    ValueError
        An energy without any internal term: its dual has kinks.  Congestion that leaves no room for the mass.
        ``inner > 1`` with a risk or congestion, or where the step is not in compiled kernels.
    TypeError
        A state that is no :class:`jko.GridDensity`.

    Notes
    -----
    How large tau may be: any for the solver, whose problem is convex, but A is W2^2 only up to a relative error of the
    square of the strain, by which a step stretches or presses together what it moves.  A step that makes a profile
    larger by a third errs by 2e-2 in L1 with one inner step, and by 3e-3 with four.  For flows, smaller steps or
    :class:`jko.SDIRK2` are cheaper; ``inner`` is for single large steps, and for A as a distance.  Halve tau, or
    double ``inner``, once to see (:func:`jko.convergence`).  The first step on a CPU compiles its
    kernels with numba, ten to twenty seconds, kept for later programs beside the package, else in the user's cache
    directory or in ``NUMBA_CACHE_DIR``; where nothing can be written each program compiles.  ``compiled=False`` needs
    none.

    ``residual`` of the result is the L1 residual before the mass is corrected, ``figures["correction"]`` what the
    correction moved, ``figures["gap"]`` an estimate of the duality gap; ``certificate()`` computes a rigorous one.

    Examples
    --------
    >>> import jko
    >>> rho = jko.GridDensity.from_function(jko.Grid((-1, 1), 64), lambda x: 1 + x[:, 0])
    >>> result = jko.step(jko.Entropy(), rho, tau=0.1, solver=jko.Dynamic(tol=1e-9))
    >>> result.slack > 0, result.certificate().value < 1e-9
    (True, True)
    """

    tol: float = 1e-4
    eps: float | None = None
    cascade: int | None = None
    max_iterations: int = 1000
    compiled: bool = True
    inner: int = 1
    seams: ClassVar = True

    def __post_init__(self) -> None:
        checks.number("tol", self.tol, above=0, below=1)
        if self.eps is not None:
            checks.number("eps", self.eps, above=0)
        if self.cascade is not None:
            checks.count("cascade", self.cascade, least=0)
        checks.count("max_iterations", self.max_iterations)
        checks.kind("compiled", self.compiled, bool)
        checks.count("inner", self.inner)

    @np.errstate(all="ignore")  # what is not finite gets a status
    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the proximal problem of a density on a grid."""
        checks.kind(
            "the state of Dynamic",
            problem.previous,
            GridDensity,
            hint="put densities on a jko.Grid; particles have jko.LBFGS(), meshes of the line jko.Quantile()",
        )
        from jko.steps.dynamic.inner.solve import solved_in_slabs
        from jko.steps.dynamic.setting import GridSetting
        from jko.steps.dynamic.solve import solved  # numba loads here

        setting = GridSetting(problem, self.eps, self.compiled)
        answer: DualAnswer | PathAnswer
        if self.inner == 1:
            answer = solved(setting, self.tol, self.max_iterations, self.cascade)
        else:
            answer = solved_in_slabs(setting, self.inner, self.tol, self.max_iterations)
        rho, outcome = answer.rho, answer.outcome
        left = {name: setting.tensor(part) for name, part in answer.left.items()}
        result = StepResult.of(
            problem,
            rho.state,
            energy=rho.energy,
            cost=rho.cost,
            before=setting.before,
            residual=max(outcome.residual, answer.unsettled),
            iterations=outcome.newton,
            evaluations=outcome.evaluations,
            status=self._status(setting, answer),
            coupling=ACTION,
            memory=left | {"energy": left["potential"].new_tensor(rho.energy)},
            figures={
                "newton": answer.newton,
                "cg": answer.cg,
                "correction": rho.correction,
                "gap": rho.gap,
            },
            gap=answer.certificate,
            fields=answer.fields,
            falls=Falls.ENERGY,  # the objective is at most the gap above the energy before
        )
        return result.stayed() if result.status.ok and result.energy > result.before else result

    def _status(self, setting: GridSetting, answer: DualAnswer | PathAnswer) -> Status:
        rho, outcome = answer.rho, answer.outcome
        if not (outcome.finite and math.isfinite(rho.energy + rho.cost)):
            return Status.NOT_FINITE
        if max(outcome.residual, answer.unsettled) > self.tol:
            spent = outcome.newton >= self.max_iterations or answer.unsettled > self.tol
            return Status.MAX_ITERATIONS if spent else Status.STALLED
        if rho.correction > (CROWDED if answer.fields else self.tol):
            return Status.MASS_LOST
        if setting.rise(rho) > max(rho.gap, setting.rounding(rho)):
            return Status.ENERGY_ROSE
        return Status.COLLAPSED if answer.collapsed else Status.CONVERGED
