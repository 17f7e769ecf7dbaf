"""``beyond``: further along the geodesic that a step has found."""

from __future__ import annotations

from torch import Tensor

from jko.measures import GridDensity, State
from jko.steps.affine import carried, difference, moved_by_index, shifted
from jko.steps.potentials import potential_of
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
    return shifted(result.state, ratio * displacement(result))


def refuse_unknown_geodesic(problem: StepProblem) -> None:
    """Refuse a metric of which nobody knows how to go on along a geodesic."""
    if problem.form is Form.OWN_COST:
        raise ValueError(
            f"no geodesic of {problem.metric!r} is known to go on along; take scheme=jko.Implicit(), or a "
            "metric of couplings: the natural one, jko.metrics.ScaledWasserstein"
        )


def displacement(result: StepResult) -> Tensor:
    """Where the new state has come from, T - id, as a field: (N, dim) of labels, a potential on a grid.

    Where the coupling is not the one of the indices, it is ``-tau grad dE/dmu``: the Euler-Lagrange equation.
    """
    move = way(result)
    if move is not None:
        return move
    problem = result.problem
    return -problem.tau * problem.raised(problem.energy.gradient(result.state))


def way(result: StepResult) -> Tensor | None:
    """The same, as far as it is known: None where labels are others than those of the base point."""
    state, problem = result.state, result.problem
    if isinstance(state, GridDensity):
        return potential_of(result)
    return moved_by_index(state, problem.previous, result.cost, problem.metric)


def whole_way(result: StepResult, state: State, shift: Tensor) -> Tensor | None:
    """The move from ``state`` by ``shift`` to the base point of a step, and on by the step; None where ``way`` is."""
    step = way(result)
    if step is None or not isinstance(result.state, GridDensity):
        return None if step is None else difference(result.state, state)
    return step + carried(result.state, shift, step + shift)
