"""States: probability measures that know how to integrate."""

from jko.measures.atoms import Atoms
from jko.measures.particles import ChargedParticles, Particles

State = Particles | ChargedParticles


def lifted(state: State) -> Particles:
    """The state as a measure on R x Theta: itself, or the graph lift (id, H)_# rho of a pair (rho, H)."""
    return state.lift() if isinstance(state, ChargedParticles) else state


__all__ = ["Atoms", "ChargedParticles", "Particles", "State", "lifted"]
