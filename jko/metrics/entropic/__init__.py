"""Entropic transport: kernels, their dual problem, and the divergence that is made of it."""

from jko.metrics.entropic.divergence import Divergence, SinkhornDivergence

__all__ = ["Divergence", "SinkhornDivergence"]
