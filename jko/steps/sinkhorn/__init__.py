"""The entropic JKO step by scaling."""

from jko.steps.sinkhorn.solver import Sinkhorn

__all__ = ["Sinkhorn"]
