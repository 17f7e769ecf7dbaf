"""The exact step of a density on the line, in Lagrangian coordinates."""

from jko.steps.quantile.solver import Quantile

__all__ = ["Quantile"]
