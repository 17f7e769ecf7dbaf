"""The steps of densities and of pairs on the line, in Lagrangian coordinates: nodes that keep their order."""

from jko.steps.line.charged import MeshNewton
from jko.steps.line.quantile import Quantile

__all__ = ["MeshNewton", "Quantile"]
