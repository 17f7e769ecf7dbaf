"""What can be asked of a state, a step or a run."""

from jko.deprecation import moved
from jko.diagnostics.budget import ErrorBudget, error_budget
from jko.diagnostics.convergence import Convergence, convergence
from jko.diagnostics.decay import Decay, decay
from jko.diagnostics.decompositions import Decomposition, decomposition
from jko.diagnostics.dissipation import dissipation, stationarity
from jko.diagnostics.folds import FoldFree, fold_free
from jko.diagnostics.graphs import graph_slope
from jko.diagnostics.identities import (
    Identity,
    StepIdentity,
    dissipation_identity,
    step_identity,
)
from jko.diagnostics.lifetimes import fold_free_time
from jko.diagnostics.minimisers import BestParticles, best_particles
from jko.diagnostics.motions import Motion, motion
from jko.diagnostics.optimality import optimality
from jko.diagnostics.stationary import Stationary, stationary

__all__ = [
    "BestParticles",
    "Convergence",
    "Decay",
    "Decomposition",
    "ErrorBudget",
    "FoldFree",
    "Identity",
    "Motion",
    "Stationary",
    "StepIdentity",
    "best_particles",
    "convergence",
    "decay",
    "decomposition",
    "dissipation",
    "dissipation_identity",
    "error_budget",
    "fold_free",
    "fold_free_time",
    "graph_slope",
    "motion",
    "optimality",
    "stationarity",
    "stationary",
    "step_identity",
]

__getattr__ = moved(__name__, Optimality="jko.duality.Gap")
