"""``beyond``: further along the geodesic that a step has found."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.measures import GridDensity, State
from jko.metrics import as_array
from jko.steps.affine import moved_by_index, shifted
from jko.steps.problem import Form, StepProblem
from jko.steps.result import StepResult


def beyond(result: StepResult, ratio: float) -> State | None:
    """The measure ``(T + ratio (T - id))_# mu_k`` where T is the step's map: ``ratio`` times the step further.

    Atoms and the edges of a mesh go on along their straight lines, up to the walls of their domain.  A density on a
    grid is transported by the potential that its solver has left in ``result.memory["potential"]``.

    Parameters
    ----------
    result : StepResult
        Of one JKO step.
    ratio : float
        At least 0; 1 doubles the step.

    Returns
    -------
    State or None
        None where it does not exist: a mesh folds, two atoms of a pair (rho, H) meet.

    Raises
    ------
    ValueError
        A density on a grid whose solver has left no potential; a step in a metric whose geodesics are not known.

    Examples
    --------
    >>> import jko
    >>> from jko.steps.beyond import beyond
    >>> result = jko.step(
    ...     jko.SquaredNorm(), jko.Particles([[2.0]]), tau=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> round(float(beyond(result, 0.5).points), 9)
    0.5
    """
    refuse_unknown_geodesic(result.problem)
    if isinstance(result.state, GridDensity):
        return _pushed(result, result.state, ratio)
    return shifted(result.state, ratio * displacement(result))


def refuse_unknown_geodesic(problem: StepProblem) -> None:
    """Refuse a metric of which nobody knows how to go on along a geodesic."""
    if problem.form is Form.OWN_COST:
        raise ValueError(
            f"no geodesic of {problem.metric!r} is known to go on along; take scheme=jko.Implicit(), or a "
            "metric of couplings: the natural one, jko.metrics.ScaledWasserstein"
        )


def displacement(result: StepResult) -> Tensor:
    """Where each label of the new state has come from, T - id, shape (N, dim).

    Where the coupling is not the one of the indices, it is ``-tau grad dE/dmu``: the Euler-Lagrange equation.
    """
    problem = result.problem
    move = moved_by_index(result.state, problem.previous, result.cost, problem.metric)
    if move is not None:
        return move
    return -problem.tau * problem.raised(problem.energy.gradient(result.state))


def _pushed(result: StepResult, rho: GridDensity, ratio: float) -> GridDensity | None:
    from jko.steps.push import push  # numba loads here

    if "potential" not in result.memory:
        raise ValueError(
            "the step has left no potential to go on along; take jko.Dynamic(), whose steps do"
        )
    values = as_array(rho.values)
    blocked = torch.isinf(result.problem.parts.potential).reshape(rho.grid.shape).cpu().numpy()
    new = push(
        values,
        as_array(result.memory["potential"]).reshape(rho.grid.shape),
        rho.grid.spacing,
        tau=result.problem.tau,
        time=ratio * result.problem.tau,
        closed=blocked if bool(np.any(blocked)) else None,
        periodic=rho.grid.periodic,
    )
    return None if new is None else GridDensity.of(rho.grid, torch.from_numpy(new).to(rho.values))
