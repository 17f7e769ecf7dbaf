"""What can be asked of a state, a step or a run."""

from jko.deprecation import moved
from jko.diagnostics.best_particles import BestParticles, best_particles
from jko.diagnostics.budget import ErrorBudget, error_budget
from jko.diagnostics.convergence import Convergence, convergence
from jko.diagnostics.decay import Decay, decay
from jko.diagnostics.decompositions import Decomposition, decomposition
from jko.diagnostics.disintegrations import Disintegration, disintegration
from jko.diagnostics.dissipation import Speed, dissipation, speed
from jko.diagnostics.graphs import (
    FoldFree,
    GraphDistance,
    Motion,
    Velocities,
    fold_free,
    fold_free_time,
    graph_distance,
    graph_slope,
    motion,
    velocities,
)
from jko.diagnostics.identities import (
    Identity,
    StepIdentity,
    dissipation_identity,
    step_identity,
)
from jko.diagnostics.layers import LayerStudy, layer_study
from jko.diagnostics.minimisers import Minimiser, minimiser
from jko.diagnostics.mixtures import MixtureLine, mixture_line, mixture_slope
from jko.diagnostics.noise import NoiseReading, NoiseReadings, noise_readings
from jko.diagnostics.optimality import optimality
from jko.diagnostics.signed import SignedMinimum, signed_minimum
from jko.diagnostics.smoothness import Smoothness, smooth_time, smoothness

__all__ = [
    "BestParticles",
    "Convergence",
    "Decay",
    "Decomposition",
    "Disintegration",
    "ErrorBudget",
    "FoldFree",
    "GraphDistance",
    "Identity",
    "LayerStudy",
    "Minimiser",
    "MixtureLine",
    "Motion",
    "SignedMinimum",
    "NoiseReading",
    "NoiseReadings",
    "Smoothness",
    "Speed",
    "StepIdentity",
    "Velocities",
    "best_particles",
    "convergence",
    "decay",
    "decomposition",
    "disintegration",
    "dissipation",
    "dissipation_identity",
    "error_budget",
    "fold_free",
    "fold_free_time",
    "graph_distance",
    "graph_slope",
    "layer_study",
    "minimiser",
    "mixture_line",
    "mixture_slope",
    "motion",
    "noise_readings",
    "optimality",
    "signed_minimum",
    "smooth_time",
    "smoothness",
    "speed",
    "step_identity",
    "velocities",
]

__getattr__ = moved(
    __name__,
    Optimality="jko.duality.Gap",
    Stationarity="jko.diagnostics.Speed",
    Stationary="jko.diagnostics.Minimiser",
    stationarity="jko.diagnostics.speed",
    stationary="jko.diagnostics.minimiser",
)
