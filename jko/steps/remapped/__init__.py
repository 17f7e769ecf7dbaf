"""The JKO step in D of a pair on a grid, by atoms and a conservative remap."""

from jko.steps.remapped.solver import Remapped

__all__ = ["Remapped"]
