"""Wasserstein gradient flows by the JKO scheme, for shallow networks and their kin.

In reading order: states, networks, energies, metrics, the step, the flow, and what to hold them against.
"""

from jko import exact, limits
from jko.diagnostics import (
    Convergence,
    Optimality,
    convergence,
    dissipation,
    optimality,
    stationarity,
)
from jko.energies import (
    Energy,
    Entropy,
    Interaction,
    Internal,
    PorousMedium,
    Potential,
    PowerNorm,
    Risk,
    SquaredNorm,
)
from jko.flow import flow
from jko.measures import ChargedParticles, GridDensity, LineMesh, Particles
from jko.metrics import Distance, GraphWasserstein, Metric, Wasserstein, distance, geodesic
from jko.networks import Data, FeatureMap, GaussianBump, Neuron, Ridge
from jko.observers import Conserved, Progress, Record, SteadyState, Stop
from jko.schemes import Implicit, Scheme
from jko.spaces import Ball, Box, Convex, Cylinder, Domain, Grid
from jko.status import Status
from jko.steps import LBFGS, BlockNewton, Plans, StepFailed, StepProblem, StepResult, step
from jko.trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "LBFGS",
    "Ball",
    "BlockNewton",
    "Box",
    "ChargedParticles",
    "Conserved",
    "Convergence",
    "Convex",
    "Cylinder",
    "Data",
    "Distance",
    "Domain",
    "Energy",
    "Entropy",
    "FeatureMap",
    "GaussianBump",
    "GraphWasserstein",
    "Grid",
    "GridDensity",
    "Implicit",
    "Interaction",
    "Internal",
    "LineMesh",
    "Metric",
    "Neuron",
    "Optimality",
    "Particles",
    "Plans",
    "PorousMedium",
    "Potential",
    "PowerNorm",
    "Progress",
    "Record",
    "Ridge",
    "Risk",
    "Scheme",
    "SquaredNorm",
    "Status",
    "SteadyState",
    "StepFailed",
    "StepProblem",
    "StepResult",
    "Stop",
    "Trajectory",
    "Wasserstein",
    "convergence",
    "dissipation",
    "distance",
    "exact",
    "flow",
    "geodesic",
    "limits",
    "optimality",
    "stationarity",
    "step",
]
