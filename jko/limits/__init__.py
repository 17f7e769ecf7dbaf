"""What the steps converge to as tau -> 0: integrators that share nothing with steps and flow but the energy."""

from jko.limits.descents import gradient_descent
from jko.limits.hierarchy import Hierarchy, hierarchy, moment_rate
from jko.limits.labels import Labels
from jko.limits.moments import Measured, Moments, delta
from jko.limits.particles import wasserstein
from jko.limits.sheets import Sheets
from jko.limits.stochastic import langevin, sgd
from jko.limits.stopped import LimitStopped
from jko.limits.systems import System, chaos, separated, transported

__all__ = [
    "Hierarchy",
    "Labels",
    "LimitStopped",
    "Measured",
    "Moments",
    "Sheets",
    "System",
    "chaos",
    "delta",
    "gradient_descent",
    "hierarchy",
    "langevin",
    "moment_rate",
    "separated",
    "sgd",
    "transported",
    "wasserstein",
]
