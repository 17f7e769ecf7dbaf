"""States: probability measures that know how to integrate."""

from torch import Tensor

from jko import checks
from jko.measures.atoms import Atoms
from jko.measures.charged import ChargedDensity
from jko.measures.charged_mesh import ChargedMesh
from jko.measures.density import GridDensity
from jko.measures.mesh import LineMesh
from jko.measures.particles import ChargedParticles, Particles
from jko.measures.span import ChargedSpan

State = (
    Particles
    | ChargedParticles
    | GridDensity
    | LineMesh
    | ChargedDensity
    | ChargedMesh
    | ChargedSpan
)

#: every kind of state, for ``checks.kind``
KINDS: tuple[type, ...] = (
    Particles,
    ChargedParticles,
    GridDensity,
    LineMesh,
    ChargedDensity,
    ChargedMesh,
    ChargedSpan,
)

#: the kinds of state that are pairs (rho, H), with D for a metric
PAIRS: tuple[type, ...] = (ChargedParticles, ChargedDensity, ChargedMesh)


def lifted(state: State) -> Particles:
    """The state as atoms: itself, the graph lift (id, H)_# rho of a pair (rho, H), or a density's quadrature."""
    if isinstance(state, Particles):
        return state
    if isinstance(state, ChargedParticles):
        return state.lift()
    checks.kind("the state", state, *KINDS, hint="build it by jko.Particles(points)")
    return state.atoms


def placed(state: State, points: Tensor) -> State:
    """A state of the same kind, weights and domain with the atoms of its lift at ``points`` (N, dim)."""
    if isinstance(state, ChargedParticles):
        return state.moved(points[:, 1:], points[:, 0])
    if isinstance(state, ChargedMesh):
        return state.moved(points[:, 1], points[:, 0])
    if isinstance(state, Particles):
        return state.moved(points)
    raise TypeError(
        f"a {type(state).__name__} has no atoms to place; its own solver moves it, and its schemes do: of second order "
        "jko.Strang() for a ChargedSpan"
    )


__all__ = [
    "KINDS",
    "PAIRS",
    "Atoms",
    "ChargedDensity",
    "ChargedMesh",
    "ChargedParticles",
    "ChargedSpan",
    "GridDensity",
    "LineMesh",
    "Particles",
    "State",
    "lifted",
    "placed",
]
