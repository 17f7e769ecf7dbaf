"""Propagation of chaos, measured: N atoms against the limit of infinitely many, in N, in t, by initial scale."""

from jko.diagnostics.chaos.orders import Order
from jko.diagnostics.chaos.result import ChaosStudy
from jko.diagnostics.chaos.scales import ScaleStudy, scale_study
from jko.diagnostics.chaos.study import chaos_study

__all__ = ["ChaosStudy", "Order", "ScaleStudy", "chaos_study", "scale_study"]
