"""Energies: functionals of a measure, with their first variation and its gradient."""

from jko.energies.base import Curvature, Energy, Evaluation, Scaled, Sum
from jko.energies.consistency import check_variations
from jko.energies.interaction import Interaction
from jko.energies.internal import Entropy, Internal, PorousMedium
from jko.energies.kernel import KernelEntropy, KernelInternal, KernelPorousMedium
from jko.energies.layers import TwoLayerRisk
from jko.energies.ontheta import OnTheta
from jko.energies.parts import Parts, check_obstacles, parts
from jko.energies.potential import Linear, Potential, PowerNorm, SquaredNorm
from jko.energies.risk import Risk

__all__ = [
    "Curvature",
    "Energy",
    "Entropy",
    "Evaluation",
    "Interaction",
    "Internal",
    "KernelEntropy",
    "KernelInternal",
    "KernelPorousMedium",
    "Linear",
    "OnTheta",
    "Parts",
    "PorousMedium",
    "Potential",
    "PowerNorm",
    "Risk",
    "Scaled",
    "SquaredNorm",
    "Sum",
    "TwoLayerRisk",
    "check_obstacles",
    "check_variations",
    "parts",
]
