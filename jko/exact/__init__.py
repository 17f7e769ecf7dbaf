"""Closed forms: JKO steps, flows, minima and distances that are known exactly.

Small functions of numbers and numpy arrays, which import nothing of the library: what they say and what a solver
finds are two programs.  ``tau`` is a time step, ``t`` a time; arrays broadcast.

========================  ==================================================================================
``quadratic_*``           a potential ``V = a |xi - c|^2 / 2``
``linear_*``              one-dimensional linear features ``h(theta, x) = theta x``
``orthonormal_*``         theta held still, features orthonormal
``neuron_*``              one neuron on the circle
``wall_*``                a constant drift into a wall, the no-flux condition (3.11); with entropy (4.3)
``splitting_values``      a step in which an atom should split
``gaussian*``             normal laws: entropy and a quadratic potential, in any dimension
``charged_gaussian_*``    pairs (rho, H), rho normal and H affine, with entropy of rho
``network_*``             a network with entropy that stays normal: linear features
``barenblatt*``           the porous medium with a quadratic well, in any dimension
``squared_distance_*``    D^2 of Remark 3.4
``squared_flow_*``        the same through flows that keep the order of the line
========================  ==================================================================================
"""

from jko.deprecation import moved
from jko.exact.atoms import (
    Splitting,
    neuron_flow,
    neuron_step,
    orthonormal_flow,
    orthonormal_step,
    quadratic_flow,
    quadratic_step,
    splitting_values,
)
from jko.exact.distances import (
    squared_distance_diracs,
    squared_distance_gaussians,
    squared_distance_reflection,
    squared_distance_square_waves,
    squared_distance_swap,
    squared_distance_translation,
    squared_flow_distance_gaussians,
)
from jko.exact.gaussians import (
    NormalLaw,
    deviation_step,
    gaussian,
    gaussian_divergence,
    gaussian_energy,
    gaussian_flow,
    gaussian_rest,
    gaussian_step,
)
from jko.exact.linear import (
    Escape,
    linear_balanced_flow,
    linear_balanced_step,
    linear_escape,
    linear_flow,
    linear_step,
    linear_step_map,
)
from jko.exact.network import network_energy, network_flow, network_rest, network_step
from jko.exact.pairs import ChargedGaussian, charged_gaussian_flow, charged_gaussian_step
from jko.exact.porous import (
    barenblatt,
    barenblatt_energy,
    barenblatt_flow,
    barenblatt_mass,
    barenblatt_rest,
    barenblatt_spread,
    barenblatt_step,
)
from jko.exact.walls import wall_rest, wall_rest_mass, wall_step

__all__ = [
    "ChargedGaussian",
    "Escape",
    "NormalLaw",
    "Splitting",
    "barenblatt",
    "barenblatt_energy",
    "barenblatt_flow",
    "barenblatt_mass",
    "barenblatt_rest",
    "barenblatt_spread",
    "barenblatt_step",
    "charged_gaussian_flow",
    "charged_gaussian_step",
    "deviation_step",
    "gaussian",
    "gaussian_divergence",
    "gaussian_energy",
    "gaussian_flow",
    "gaussian_rest",
    "gaussian_step",
    "linear_balanced_flow",
    "linear_balanced_step",
    "linear_escape",
    "linear_flow",
    "linear_step",
    "linear_step_map",
    "network_energy",
    "network_flow",
    "network_rest",
    "network_step",
    "neuron_flow",
    "neuron_step",
    "orthonormal_flow",
    "orthonormal_step",
    "quadratic_flow",
    "quadratic_step",
    "splitting_values",
    "squared_distance_diracs",
    "squared_distance_gaussians",
    "squared_distance_reflection",
    "squared_distance_square_waves",
    "squared_distance_swap",
    "squared_distance_translation",
    "squared_flow_distance_gaussians",
    "wall_rest",
    "wall_rest_mass",
    "wall_step",
]

__getattr__ = moved(__name__, Gaussian="jko.exact.NormalLaw")
