"""What can be asked of a state, a step or a run."""

from jko.deprecation import moved
from jko.diagnostics.best_measure import BestMeasure
from jko.diagnostics.best_particles import BestParticles, best_particles
from jko.diagnostics.budget import ErrorBudget, error_budget
from jko.diagnostics.chaos import ChaosStudy, Order, ScaleStudy, chaos_study, scale_study
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
from jko.diagnostics.rates import (
    Decay,
    DissipationRatio,
    Interval,
    Lojasiewicz,
    RateBound,
    Spectrum,
    decay,
    dissipation_ratio,
    lojasiewicz,
    proved_ratio,
    spectral_gap,
)
from jko.diagnostics.signed import SignedMinimum, signed_minimum
from jko.diagnostics.slope import (
    EnergyDissipation,
    Jump,
    MaximalSlope,
    Variational,
    energy_dissipation,
    maximal_slope,
    variational,
)
from jko.diagnostics.smoothness import Smoothness, smooth_time, smoothness

__all__ = [
    "BestMeasure",
    "EVI",
    "BestParticles",
    "ChaosStudy",
    "Contraction",
    "Convergence",
    "Convexity",
    "Decay",
    "Decomposition",
    "Disintegration",
    "DissipationRatio",
    "EnergyDissipation",
    "ErrorBounds",
    "ErrorBudget",
    "FoldFree",
    "GraphDistance",
    "Identity",
    "Interval",
    "Jump",
    "LayerStudy",
    "Lojasiewicz",
    "MaximalSlope",
    "Minimiser",
    "MixtureLine",
    "Modulus",
    "Motion",
    "Order",
    "RateBound",
    "ScaleStudy",
    "SignedMinimum",
    "NoiseReading",
    "NoiseReadings",
    "Smoothness",
    "Spectrum",
    "Speed",
    "StepIdentity",
    "Variational",
    "Velocities",
    "best_particles",
    "chaos_study",
    "contraction",
    "convergence",
    "convexity",
    "decay",
    "decomposition",
    "disintegration",
    "dissipation",
    "dissipation_identity",
    "dissipation_ratio",
    "energy_dissipation",
    "error_bounds",
    "error_budget",
    "evi",
    "fold_free",
    "fold_free_time",
    "graph_distance",
    "graph_slope",
    "layer_study",
    "lojasiewicz",
    "maximal_slope",
    "minimiser",
    "mixture_line",
    "mixture_slope",
    "modulus",
    "motion",
    "noise_readings",
    "optimality",
    "proved_ratio",
    "scale_study",
    "signed_minimum",
    "smooth_time",
    "smoothness",
    "spectral_gap",
    "speed",
    "step_identity",
    "variational",
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
