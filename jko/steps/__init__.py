"""The JKO step: problem, solvers, result."""

from jko.status import Status
from jko.steps.bures import BuresNewton
from jko.steps.conic import Conic
from jko.steps.derivative import DifferentiableStep, differentiable_step
from jko.steps.dynamic import Dynamic
from jko.steps.failed import StepFailed
from jko.steps.frankwolfe import FrankWolfe
from jko.steps.lbfgs import LBFGS
from jko.steps.line import MeshNewton, Quantile
from jko.steps.memory import Memory
from jko.steps.natural import natural_solver
from jko.steps.newton import BlockNewton
from jko.steps.plans import Plans
from jko.steps.problem import StepProblem
from jko.steps.remapped import Remapped
from jko.steps.result import StepResult
from jko.steps.sinkhorn import Sinkhorn
from jko.steps.solver import Solver
from jko.steps.split import Alternating
from jko.steps.step import step

__all__ = [
    "LBFGS",
    "Alternating",
    "BlockNewton",
    "BuresNewton",
    "Conic",
    "DifferentiableStep",
    "Dynamic",
    "FrankWolfe",
    "Memory",
    "MeshNewton",
    "Plans",
    "Quantile",
    "Remapped",
    "Sinkhorn",
    "Solver",
    "Status",
    "StepFailed",
    "StepProblem",
    "StepResult",
    "differentiable_step",
    "natural_solver",
    "step",
]
