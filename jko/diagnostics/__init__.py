"""What can be asked of a state, a step or a run."""

from jko.deprecation import moved
from jko.diagnostics.best_particles import BestParticles, best_particles
from jko.diagnostics.budget import ErrorBudget, error_budget
from jko.diagnostics.convergence import Convergence, convergence
from jko.diagnostics.convexity import (
    EVI,
    Contraction,
    Convexity,
    ErrorBounds,
    Modulus,
    contraction,
    convexity,
    error_bounds,
    evi,
    modulus,
)
from jko.diagnostics.decay import Decay, decay
from jko.diagnostics.decompositions import Decomposition, decomposition
from jko.diagnostics.dissipation import Speed, dissipation, speed
from jko.diagnostics.graphs import (
    FoldFree,
    Motion,
    fold_free,
    fold_free_time,
    graph_slope,
    motion,
)
from jko.diagnostics.identities import (
    Identity,
    StepIdentity,
    dissipation_identity,
    step_identity,
)
from jko.diagnostics.minimisers import Minimiser, minimiser
from jko.diagnostics.optimality import optimality
from jko.diagnostics.slope import (
    EnergyDissipation,
    Jump,
    MaximalSlope,
    Variational,
    energy_dissipation,
    maximal_slope,
    variational,
)

__all__ = [
    "EVI",
    "BestParticles",
    "Contraction",
    "Convergence",
    "Convexity",
    "Decay",
    "Decomposition",
    "EnergyDissipation",
    "ErrorBounds",
    "ErrorBudget",
    "FoldFree",
    "Identity",
    "Jump",
    "MaximalSlope",
    "Minimiser",
    "Modulus",
    "Motion",
    "Speed",
    "StepIdentity",
    "Variational",
    "best_particles",
    "contraction",
    "convergence",
    "convexity",
    "decay",
    "decomposition",
    "dissipation",
    "dissipation_identity",
    "energy_dissipation",
    "error_bounds",
    "error_budget",
    "evi",
    "fold_free",
    "fold_free_time",
    "graph_slope",
    "maximal_slope",
    "minimiser",
    "modulus",
    "motion",
    "optimality",
    "speed",
    "step_identity",
    "variational",
]

__getattr__ = moved(
    __name__,
    Optimality="jko.duality.Gap",
    Stationarity="jko.diagnostics.Speed",
    Stationary="jko.diagnostics.Minimiser",
    stationarity="jko.diagnostics.speed",
    stationary="jko.diagnostics.minimiser",
)
