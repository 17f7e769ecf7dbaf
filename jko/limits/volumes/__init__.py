"""Finite volumes for the pair (rho, H) on a grid of Theta."""

from jko.limits.volumes.evolve import evolve
from jko.limits.volumes.rates import rate

__all__ = ["evolve", "rate"]
