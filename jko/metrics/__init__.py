"""Metrics between states, exact transport plans, and certificates of couplings."""

from jko.metrics.base import Distance, Metric
from jko.metrics.certificates import (
    ACTION,
    ENTROPIC,
    MONOTONE,
    NO_PROOF,
    Certificate,
    Proof,
    by_assignment,
    by_potential,
    certify,
    certify_plan,
    small_displacement,
)
from jko.metrics.couplings import Plan, as_array
from jko.metrics.divergence import Divergence, SinkhornDivergence
from jko.metrics.geodesics import distance, geodesic, natural_metric
from jko.metrics.graph import GraphWasserstein
from jko.metrics.simplex import referee
from jko.metrics.split import SplitWasserstein
from jko.metrics.transport import Transport, transport
from jko.metrics.wasserstein import Wasserstein

__all__ = [
    "Metric",
    "Wasserstein",
    "GraphWasserstein",
    "SplitWasserstein",
    "Distance",
    "Divergence",
    "SinkhornDivergence",
    "distance",
    "geodesic",
    "natural_metric",
    "Plan",
    "Transport",
    "transport",
    "referee",
    "Certificate",
    "Proof",
    "NO_PROOF",
    "MONOTONE",
    "ACTION",
    "ENTROPIC",
    "certify",
    "certify_plan",
    "small_displacement",
    "by_potential",
    "by_assignment",
    "as_array",
]
