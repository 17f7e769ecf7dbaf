"""The step of normal laws and of their mixtures in the Bures metric: the unknowns are affine maps."""

from jko.steps.bures.newton import BuresNewton

__all__ = ["BuresNewton"]
