"""Curves of maximal slope: De Giorgi's identity by variational interpolation, of a step and summed along a flow."""

from jko.diagnostics.slope.branches import Jump
from jko.diagnostics.slope.interpolation import Variational, variational
from jko.diagnostics.slope.sums import (
    EnergyDissipation,
    MaximalSlope,
    energy_dissipation,
    maximal_slope,
)

__all__ = [
    "EnergyDissipation",
    "Jump",
    "MaximalSlope",
    "Variational",
    "energy_dissipation",
    "maximal_slope",
    "variational",
]
