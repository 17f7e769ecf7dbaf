"""What the steps converge to as tau -> 0: integrators that share nothing with steps and flow but the energy."""

from jko.limits.particles import wasserstein

__all__ = ["wasserstein"]
