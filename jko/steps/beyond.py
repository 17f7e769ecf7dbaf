"""``beyond``: further along the geodesic that a step has found."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.measures import ChargedMesh, GridDensity, LineMesh, NormalLaws, State
from jko.metrics import as_array
from jko.steps.problem import Form
from jko.steps.result import StepResult

SAME = 1e-9  # of the cost: what rounding may change


def beyond(result: StepResult, ratio: float) -> State | None:
    """The measure ``(T + ratio (T - id))_# mu_k`` where T is the step's map: ``ratio`` times the step further.

    Atoms and the edges of a mesh go on along their straight lines, up to the walls of their domain; the components of
    normal laws by their affine maps.  A density on a
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
        None where it does not exist: a mesh folds, two atoms of a pair (rho, H) meet, the map of a normal law is no
        longer the gradient of a convex function.

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
    state = result.state
    if result.problem.form is Form.OWN_COST:
        raise ValueError(
            f"no geodesic of {result.problem.metric!r} is known to go on along; take scheme=jko.Implicit(), or a "
            "metric of couplings: the natural one, jko.metrics.ScaledWasserstein"
        )
    if isinstance(state, GridDensity):
        return _pushed(result, state, ratio)
    if isinstance(state, LineMesh):
        return _stretched(result, state, ratio)
    if isinstance(state, NormalLaws):
        return _mapped(result, state, ratio)
    points = state.atoms.points + ratio * displacement(result)
    domain = state.atoms.domain
    if isinstance(state, ChargedMesh):
        points = points if domain is None else domain.project(points)
        return _in_order(state, points[:, 1], points[:, 0])
    try:
        return state.placed(points if domain is None else domain.project(points))
    except ValueError:  # no graph any more
        return None


def _in_order(
    mesh: LineMesh | ChargedMesh, edges: Tensor, *H: Tensor
) -> LineMesh | ChargedMesh | None:
    """The mesh with its edges moved, unless it folds."""
    narrow = 4 * torch.finfo(edges.dtype).eps * edges.abs().max()
    return mesh.moved(edges, *H) if bool((edges.diff() > narrow).all()) else None


def displacement(result: StepResult) -> Tensor:
    """Where each atom of the new state has come from, T - id, shape (N, dim).

    Where the coupling is not the one of the indices, it is ``-tau grad dE/dmu``: the Euler-Lagrange equation.
    """
    new, old = result.state.atoms, result.problem.base
    if new.N == old.N:
        d = new.points - old.points
        d = d if old.domain is None else old.domain.shortest(d)
        if abs(result.problem.square(d) - result.cost) <= SAME * result.cost:
            return d
    return -result.problem.tau * result.problem.raised(result.problem.energy.gradient(result.state))


def _stretched(result: StepResult, mesh: LineMesh, ratio: float) -> State | None:
    old = result.problem.previous
    assert isinstance(old, LineMesh)
    edges = mesh.edges + ratio * (mesh.edges - old.edges)
    if mesh.domain is not None:
        ends = mesh.domain.project(edges[[0, -1], None])[:, 0]
        edges = torch.cat([ends[:1], edges[1:-1], ends[1:]])
    return _in_order(mesh, edges)


def _mapped(result: StepResult, laws: NormalLaws, ratio: float) -> NormalLaws | None:
    """Each component by its affine map, as long as that is the gradient of a convex function."""
    old, maps = result.problem.previous, result.fields["maps"]
    assert isinstance(old, NormalLaws)
    further = maps + ratio * (maps - torch.eye(laws.dim).to(maps))
    if bool((torch.linalg.cholesky_ex(further).info > 0).any()):
        return None
    S = further @ old.covariances @ further
    return laws.shaped(torch.lerp(old.means, laws.means, 1 + ratio), 0.5 * (S + S.mT))


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
