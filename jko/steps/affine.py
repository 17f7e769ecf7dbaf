"""Affine combinations of states in their labels: the base points of time schemes.

A state that is moved label by label (atoms, the edges of a mesh, the nodes of a pair with their charges, the frames of
normal laws) lies in a linear space: that of its maps, in which the metric is the norm of L2(mu).  There a base point
such as ``X_k + s (X_k - X_{k-1})`` is a sum, and the index coupling says what it costs.

A density on a grid has no labels; its moves are gradients of potentials on the grid (:mod:`jko.steps.potentials`), and
sums of them hold up to terms of third order.  A *field* is a move of either kind.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from jko.measures import ChargedMesh, GridDensity, LineMesh, NormalLaws, State
from jko.metrics import Metric, natural_metric
from jko.steps.potentials import followed, pushed, slopes_squared

SAME = 1e-9  # of a cost: what rounding may change


@singledispatch
def labels(state: State) -> Tensor | None:
    """Where the labels of a state are, (N, dim): its atoms; the edges of a mesh, (N, 1); None where it has none.

    Examples
    --------
    >>> import jko
    >>> from jko.steps.affine import labels
    >>> labels(jko.LineMesh([0.0, 1.0, 3.0], [0.5, 0.5])).tolist()
    [[0.0], [1.0], [3.0]]
    """
    placed = type(state).placed is not State.placed
    return state.atoms.points if placed else None


@labels.register
def _(state: LineMesh) -> Tensor:
    return state.edges[:, None]


@labels.register
def _(state: NormalLaws) -> Tensor:
    return state.labels


def marks(state: State) -> Tensor | None:
    """What tells a state from others that a field is not of: labels, the values of a density; None where none move."""
    return state.values if isinstance(state, GridDensity) else labels(state)


@singledispatch
def shifted(state: State, field: Tensor) -> State | None:
    """The state with its labels moved by a field (N, dim), up to the walls of the domain.

    None where there is none: a mesh folds, two atoms of a pair (rho, H) meet.

    Examples
    --------
    >>> import jko, torch
    >>> from jko.steps.affine import shifted
    >>> mesh = jko.LineMesh([0.0, 1.0], [1.0])
    >>> shifted(mesh, torch.tensor([[0.5], [0.0]], dtype=torch.float64)).edges.tolist()
    [0.5, 1.0]
    >>> shifted(mesh, torch.tensor([[1.5], [0.0]], dtype=torch.float64)) is None
    True
    """
    points, domain = state.atoms.points + field, state.atoms.domain
    try:
        return state.placed(points if domain is None else domain.project(points))
    except ValueError:  # no graph any more
        return None


@shifted.register
def _(state: LineMesh, field: Tensor) -> State | None:
    edges = state.edges + field[:, 0]
    if state.domain is not None:
        ends = state.domain.project(edges[[0, -1], None])[:, 0]
        edges = torch.cat([ends[:1], edges[1:-1], ends[1:]])
    return state.moved(edges) if _increasing(edges) else None


@shifted.register
def _(state: ChargedMesh, field: Tensor) -> State | None:
    points, domain = state.atoms.points + field, state.atoms.domain
    points = points if domain is None else domain.project(points)
    return state.placed(points) if _increasing(points[:, 1]) else None


@shifted.register
def _(state: GridDensity, field: Tensor) -> State | None:
    return pushed(state, field)


@shifted.register
def _(state: NormalLaws, field: Tensor) -> State | None:
    return state.shifted(field)


def _increasing(places: Tensor) -> bool:
    """Whether no cell is empty, or so narrow that its width is rounding."""
    narrow = 4 * torch.finfo(places.dtype).eps * places.abs().max()
    return bool((places.diff() > narrow).all())


def difference(new: State, old: State) -> Tensor | None:
    """How each label moved from one state to the other, the short way round; None where they have not the same."""
    x, y = labels(new), labels(old)
    if x is None or y is None or x.shape != y.shape:
        return None
    domain = new.atoms.domain
    return x - y if domain is None else domain.shortest(x - y)


@singledispatch
def square(state: State, field: Tensor, metric: Metric | None = None) -> float:
    """What it costs to move the labels by a field: its square in L2(mu), with the factors of the metric.

    On the edges of a mesh the field is affine in each cell, and the integral is exact.

    Examples
    --------
    >>> import jko, torch
    >>> from jko.steps.affine import square
    >>> mu = jko.Particles([[0.0, 0.0], [1.0, 1.0]])
    >>> square(mu, torch.ones(2, 2, dtype=torch.float64), jko.metrics.ScaledWasserstein([1.0, 3.0]))
    4.0
    """
    factors = (natural_metric(state) if metric is None else metric).factors(state.dim)
    scales = field.new_tensor(factors)
    return float(state.atoms.inner(scales * field, field))


@square.register
def _(state: LineMesh, field: Tensor, metric: Metric | None = None) -> float:
    a, b = field[:-1, 0], field[1:, 0]
    return float((state.masses * (a * a + a * b + b * b)).sum()) / 3


@square.register
def _(state: GridDensity, field: Tensor, metric: Metric | None = None) -> float:
    return float((state.values * slopes_squared(field, state.grid)).sum()) * state.grid.cell


@square.register
def _(state: NormalLaws, field: Tensor, metric: Metric | None = None) -> float:
    return float(state.atoms.inner(field, field))


def moved_by_index(new: State, old: State, cost: float, metric: Metric) -> Tensor | None:
    """:func:`difference`, where ``cost`` is that of the index coupling, as it always is of meshes."""
    move = difference(new, old)
    if move is None or isinstance(new, (LineMesh, ChargedMesh)):
        return move
    return move if abs(square(old, move, metric) - cost) <= SAME * cost else None


def carried(state: State, field: Tensor, since: Tensor) -> Tensor:
    """An earlier move, as one of the state that a later move led to; in labels it is the same."""
    return followed(field, since, state.grid) if isinstance(state, GridDensity) else field
