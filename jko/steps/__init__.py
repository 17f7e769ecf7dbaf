"""The JKO step: problem, solvers, result."""

from jko.status import Status
from jko.steps.conic import Conic
from jko.steps.dynamic import Dynamic
from jko.steps.lbfgs import LBFGS
from jko.steps.newton import BlockNewton
from jko.steps.plans import Plans
from jko.steps.problem import Memory, StepProblem
from jko.steps.quantile import Quantile
from jko.steps.result import StepFailed, StepResult
from jko.steps.sinkhorn import Sinkhorn
from jko.steps.step import Solver, natural_solver, step

__all__ = [
    "LBFGS",
    "BlockNewton",
    "Conic",
    "Dynamic",
    "Memory",
    "Plans",
    "Quantile",
    "Sinkhorn",
    "Solver",
    "Status",
    "StepFailed",
    "StepProblem",
    "StepResult",
    "natural_solver",
    "step",
]
