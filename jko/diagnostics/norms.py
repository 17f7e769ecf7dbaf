"""How far a computed state is from the exact one, by their kinds."""

from __future__ import annotations

from jko import checks
from jko.measures import (
    ChargedParticles,
    GridDensity,
    LineMesh,
    Pair,
    Particles,
    State,
)
from jko.metrics import distance


def natural_norm(a: State, b: State) -> float:
    """The default error of a state a against the exact b.

    - Densities on one grid: ``int |rho - sigma| dx``.
    - Atoms, or meshes of the line, with the same labels and weights: :func:`labelled_distance`.
    - All others: :func:`jko.distance`, that is W2, and D between pairs (rho, H) of any kinds.  A density on the line is
      held against a mesh as a mesh, exactly; other measures of two kinds as their atoms, cells at their centres.

    Raises
    ------
    TypeError, ValueError
        No states, a measure and a pair, other dimensions.
    """
    for name, state in (("the state of the run", a), ("the exact state", b)):
        checks.kind(name, state, State, hint="pass norm=(state, exact) -> error")
    if isinstance(a, GridDensity) and isinstance(b, GridDensity) and a.grid == b.grid:
        return float((a.values - b.values).abs().sum()) * a.grid.cell
    if _labelled(a, b):
        return labelled_distance(a, b)
    if type(a) is type(b) or (isinstance(a, Pair) and isinstance(b, Pair)):
        return distance(a, b).value
    return distance(*_one_kind(a, b)).value


def labelled_distance(a: State, b: State) -> float:
    """``sqrt(int |xi - xi'|^2 dmu)`` between atoms with the same label: at least W2, and D on lifts."""
    mu, nu = a.atoms, b.atoms
    moves = mu.points - nu.points
    moves = moves if mu.domain is None else mu.domain.shortest(moves)
    return float(mu.integrate((moves**2).sum(-1)).sqrt())


def _labelled(a: State, b: State) -> bool:
    """Whether atom i of a is atom i of b: of one kind, with the same masses."""
    atoms = (Particles, ChargedParticles)  # a pair against its lift too
    if not any(isinstance(a, kind) and isinstance(b, kind) for kind in (atoms, LineMesh)):
        return False
    mu, nu = a.atoms, b.atoms
    return mu.points.shape == nu.points.shape and bool((mu.weights == nu.weights).all())


def _one_kind(a: State, b: State) -> tuple[State, State]:
    """Two measures as meshes of the line, if both are densities there; else as atoms."""
    densities = (GridDensity, LineMesh)
    if isinstance(a, densities) and isinstance(b, densities) and a.dim == b.dim == 1:
        return _as_mesh(a), _as_mesh(b)
    return tuple(s if isinstance(s, Pair) else s.to_particles() for s in (a, b))  # type: ignore[return-value]


def _as_mesh(state: State) -> LineMesh:
    return LineMesh.from_density(state) if isinstance(state, GridDensity) else state  # type: ignore[return-value]
