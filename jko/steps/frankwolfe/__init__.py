"""The step over all of P2, and global training: fully corrective Frank-Wolfe, atoms free to move, split and merge."""

from jko.steps.frankwolfe.rounds import Round
from jko.steps.frankwolfe.solver import FrankWolfe

__all__ = ["FrankWolfe", "Round"]
