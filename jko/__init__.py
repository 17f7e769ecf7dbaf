"""Wasserstein gradient flows by the JKO scheme, for shallow networks and their kin.

In reading order: states, networks, energies, metrics, the step, the flow, and what to hold them against.
"""

from jko import exact, limits
from jko.diagnostics import (
    Convergence,
    Optimality,
    Stationary,
    convergence,
    dissipation,
    optimality,
    stationarity,
    stationary,
)
from jko.energies import (
    Energy,
    Entropy,
    Interaction,
    Internal,
    KernelEntropy,
    KernelPorousMedium,
    OnTheta,
    PorousMedium,
    Potential,
    PowerNorm,
    Risk,
    SquaredNorm,
)
from jko.flow import flow
from jko.measures import (
    ChargedDensity,
    ChargedMesh,
    ChargedParticles,
    ChargedSpan,
    GridDensity,
    LineMesh,
    Particles,
)
from jko.metrics import (
    Distance,
    GraphWasserstein,
    Metric,
    SinkhornDivergence,
    SplitWasserstein,
    Wasserstein,
    distance,
    geodesic,
)
from jko.networks import Data, FeatureMap, GaussianBump, Neuron, Ridge
from jko.observers import Conserved, Progress, Record, SteadyState, Stop
from jko.schemes import SDIRK2, Implicit, Scheme
from jko.spaces import Ball, Box, Convex, Cylinder, Domain, Grid
from jko.status import Status
from jko.steps import (
    LBFGS,
    BlockNewton,
    Conic,
    Dynamic,
    Plans,
    Quantile,
    Sinkhorn,
    StepFailed,
    StepProblem,
    StepResult,
    step,
)
from jko.trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "LBFGS",
    "SDIRK2",
    "Ball",
    "BlockNewton",
    "Box",
    "ChargedDensity",
    "ChargedMesh",
    "ChargedParticles",
    "ChargedSpan",
    "Conic",
    "Conserved",
    "Convergence",
    "Convex",
    "Cylinder",
    "Data",
    "Distance",
    "Domain",
    "Energy",
    "Dynamic",
    "Entropy",
    "FeatureMap",
    "GaussianBump",
    "GraphWasserstein",
    "Grid",
    "GridDensity",
    "Implicit",
    "Interaction",
    "Internal",
    "KernelEntropy",
    "KernelPorousMedium",
    "LineMesh",
    "Metric",
    "Neuron",
    "OnTheta",
    "Optimality",
    "Particles",
    "Plans",
    "PorousMedium",
    "Potential",
    "PowerNorm",
    "Progress",
    "Quantile",
    "Record",
    "Ridge",
    "Risk",
    "Scheme",
    "Sinkhorn",
    "SinkhornDivergence",
    "SplitWasserstein",
    "SquaredNorm",
    "Stationary",
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
    "stationary",
    "step",
]
