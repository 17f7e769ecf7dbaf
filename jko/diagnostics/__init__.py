"""What can be asked of a state, a step or a run."""

from jko.diagnostics.certificates import Optimality, optimality
from jko.diagnostics.convergence import Convergence, convergence
from jko.diagnostics.dissipation import dissipation, stationarity
from jko.diagnostics.stationary import Stationary, stationary

__all__ = [
    "Convergence",
    "Optimality",
    "Stationary",
    "convergence",
    "dissipation",
    "optimality",
    "stationarity",
    "stationary",
]
