"""Energies: functionals of a measure, with their first variation and its gradient."""

from jko.energies.base import Energy, Evaluation, Scaled, Sum
from jko.energies.congestion import Congestion
from jko.energies.consistency import check_variations
from jko.energies.curvature import Curvature
from jko.energies.doors import value_of
from jko.energies.interaction import Interaction
from jko.energies.internal import Conjugate, Entropy, Internal
from jko.energies.kernel import KernelEntropy, KernelInternal, KernelPorousMedium
from jko.energies.layers import TwoLayerRisk
from jko.energies.losses import Logistic, Loss, SquaredLoss
from jko.energies.mixture import Mixture
from jko.energies.ontheta import OnTheta
from jko.energies.parts import Parts, check_obstacles, parts
from jko.energies.potential import Linear, Potential, PowerNorm, SquaredNorm
from jko.energies.powers import PorousMedium
from jko.energies.relaxed import Relaxed, relaxed
from jko.energies.risk import Risk
from jko.energies.squares import Squares
from jko.energies.terms import (
    SortedTerms,
    Weighted,
    joined,
    negative,
    positive,
    refuse,
    sorted_terms,
)

__all__ = [
    "Congestion",
    "Conjugate",
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
    "Logistic",
    "Loss",
    "Mixture",
    "OnTheta",
    "Parts",
    "PorousMedium",
    "Potential",
    "PowerNorm",
    "Relaxed",
    "Risk",
    "Scaled",
    "SortedTerms",
    "SquaredLoss",
    "SquaredNorm",
    "Squares",
    "Sum",
    "TwoLayerRisk",
    "Weighted",
    "check_obstacles",
    "check_variations",
    "joined",
    "negative",
    "parts",
    "positive",
    "refuse",
    "relaxed",
    "sorted_terms",
    "value_of",
]
