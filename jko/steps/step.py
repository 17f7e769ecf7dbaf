"""``step``: one JKO step, by the natural metric and solver of the state unless told otherwise."""

from __future__ import annotations

import torch

from jko import checks
from jko.energies import Energy, check_variations
from jko.measures import State
from jko.metrics import Metric, natural_metric
from jko.steps.consistency import check_cost
from jko.steps.failed import StepFailed
from jko.steps.memory import Memory
from jko.steps.natural import natural_solver
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult, judged
from jko.steps.solver import Solver, claimed, refuse_unhonoured


def step(
    energy: Energy,
    state: State,
    *,
    tau: float,
    metric: Metric | None = None,
    solver: Solver | None = None,
    throw: bool = True,
    memory: Memory | None = None,
) -> StepResult:
    """One JKO step: minimise ``energy(mu) + metric(mu, state)^2 / (2 tau)``.

    Parameters
    ----------
    energy : Energy
        F for measures, G for pairs (rho, H).
    state : a state of any kind
        The base point mu_k.
    tau : float
        The time step, > 0.
    metric, solver
        Default: the natural ones of the state.  W2 for measures: :class:`jko.LBFGS` for atoms, :class:`jko.Dynamic` for
        densities on a grid, :class:`jko.Quantile` for those on a mesh of the line.  D for pairs (rho, H): LBFGS for
        atoms, :class:`jko.steps.Remapped` on a grid, :class:`jko.steps.MeshNewton` on a mesh.  The split metric and
        :class:`jko.steps.Alternating` for a :class:`jko.ChargedSpan`.
    throw : bool
        Raise :class:`jko.StepFailed` unless the result is a step of the scheme; otherwise read ``result.status``.
    memory : dict of tensors, optional
        The ``memory`` of the previous step's result: what it has learned of the curvature saves work, and changes no
        problem.  It is compared with an evaluation at the state, and dropped where it is of another state or energy.

    Returns
    -------
    StepResult
        The state with its energy, cost, slack, residual and the proof of its coupling.

    Raises
    ------
    StepFailed
        If the step is none; it carries the result and says what to try.
    TypeError, ValueError
        Arguments of a wrong kind or value.  If ``throw``, also an energy of one's own whose variation is not the
        derivative of its values, on atoms.

    Notes
    -----
    Source: survey Remark 3.4; for W2, Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).

    Examples
    --------
    >>> import jko
    >>> result = jko.step(
    ...     jko.SquaredNorm(), jko.Particles([[2.0, 0.0]]), tau=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> [round(v, 12) for v in result.state.points[0].tolist()]
    [1.0, 0.0]
    """
    checks.kind(
        "the state",
        state,
        State,
        hint="build it by jko.Particles(points) or jko.GridDensity(grid, values)",
    )
    tau = checks.number("tau", tau, above=0)
    checks.kind("throw", throw, bool)
    solver = checks.able(
        "solver", natural_solver(state) if solver is None else solver, "solve", "jko.LBFGS()"
    )
    problem = StepProblem(
        energy,
        natural_metric(state) if metric is None else metric,
        state,
        tau,
        {} if memory is None else memory,
    )
    refuse_unhonoured(solver, problem)
    with torch.inference_mode(False):  # what a step leaves behind may be differentiated later
        if throw:
            check_variations(problem.energy, problem.previous)
            check_cost(problem)
        result = judged(solver.solve(problem), claimed(solver))
    if throw and not result.status.ok:
        raise StepFailed(result.status, result)
    return result
