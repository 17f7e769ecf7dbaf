"""Energies towards a target: what people who sample, or fit measures, go down.

They stand above energies and metrics, which do not know each other: half of W2^2 to a measure is an energy made of a
metric.
"""

from jko.targets.attraction import Attraction
from jko.targets.discrepancy import Discrepancy, Pull
from jko.targets.divergence import KullbackLeibler
from jko.targets.kernels import GaussianKernel, InverseMultiquadric, NegativeDistance, RadialKernel
from jko.targets.radial import RadialInteraction

__all__ = [
    "Attraction",
    "Discrepancy",
    "GaussianKernel",
    "InverseMultiquadric",
    "KullbackLeibler",
    "NegativeDistance",
    "Pull",
    "RadialInteraction",
    "RadialKernel",
]
