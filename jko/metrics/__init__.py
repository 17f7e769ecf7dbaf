"""Metrics between states, exact transport plans, and certificates of couplings."""

from jko.metrics.base import Distance, Metric
from jko.metrics.certificates import (
    NO_PROOF,
    Certificate,
    Proof,
    by_assignment,
    by_potential,
    certify,
    certify_plan,
    small_displacement,
)
from jko.metrics.couplings import Plan
from jko.metrics.geodesics import distance, geodesic
from jko.metrics.graph import GraphWasserstein
from jko.metrics.simplex import referee
from jko.metrics.transport import Transport, transport
from jko.metrics.wasserstein import Wasserstein

__all__ = [
    "Metric",
    "Wasserstein",
    "GraphWasserstein",
    "Distance",
    "distance",
    "geodesic",
    "Plan",
    "Transport",
    "transport",
    "referee",
    "Certificate",
    "Proof",
    "NO_PROOF",
    "certify",
    "certify_plan",
    "small_displacement",
    "by_potential",
    "by_assignment",
]
