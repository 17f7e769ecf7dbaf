"""States: probability measures that know how to integrate."""

from torch import Tensor

from jko.measures.atoms import Atoms
from jko.measures.particles import ChargedParticles, Particles

State = Particles | ChargedParticles


def lifted(state: State) -> Particles:
    """The state as a measure on R x Theta: itself, or the graph lift (id, H)_# rho of a pair (rho, H)."""
    return state.lift() if isinstance(state, ChargedParticles) else state


def placed(state: State, points: Tensor) -> State:
    """A state of the same kind, weights and domain with the atoms of its lift at ``points`` (N, dim)."""
    if isinstance(state, ChargedParticles):
        return ChargedParticles(points[:, 1:], points[:, 0], state.weights, state.domain)
    return state.moved(points)


__all__ = ["Atoms", "ChargedParticles", "Particles", "State", "lifted", "placed"]
