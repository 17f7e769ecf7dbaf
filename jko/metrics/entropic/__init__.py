"""Entropic transport: kernels, their dual problem, and the divergence that is made of it."""

from jko.metrics.entropic.divergence import Divergence, SinkhornDivergence, costs_between

__all__ = ["Divergence", "SinkhornDivergence", "costs_between"]
