"""Metrics between states, exact transport plans, and certificates of couplings."""

from jko.deprecation import moved
from jko.metrics.action import Action, action
from jko.metrics.barycentre import Barycentre, barycentre
from jko.metrics.base import Distance, Length, Metric
from jko.metrics.bures import BuresWasserstein, normal_map
from jko.metrics.certificates import (
    ACTION,
    ENTROPIC,
    MONOTONE,
    NO_PROOF,
    OWN_COST,
    Certificate,
    Proof,
    by_assignment,
    by_potential,
    certify,
    certify_plan,
    small_displacement,
)
from jko.metrics.couplings import Plan, as_array
from jko.metrics.entropic import Divergence, SinkhornDivergence
from jko.metrics.examined import examined
from jko.metrics.geodesics import geodesic
from jko.metrics.graph import GraphWasserstein
from jko.metrics.natural import distance, natural_metric
from jko.metrics.order import flow_distance
from jko.metrics.paths import LeastAction, least_action
from jko.metrics.projection import projection_loss
from jko.metrics.requested import OnRequest
from jko.metrics.scaled import ScaledWasserstein
from jko.metrics.simplex import referee
from jko.metrics.sliced import SlicedWasserstein
from jko.metrics.split import SplitWasserstein
from jko.metrics.squared import squared_distance
from jko.metrics.transport import transport
from jko.metrics.transport_gradient import SquaredGradient, squared_gradient
from jko.metrics.unlabelled import Unlabelled, unlabelled
from jko.metrics.wasserstein import Wasserstein

__all__ = [
    "Metric",
    "Wasserstein",
    "GraphWasserstein",
    "ScaledWasserstein",
    "SlicedWasserstein",
    "SplitWasserstein",
    "BuresWasserstein",
    "normal_map",
    "Length",
    "Distance",
    "Divergence",
    "SinkhornDivergence",
    "distance",
    "geodesic",
    "natural_metric",
    "projection_loss",
    "SquaredGradient",
    "squared_gradient",
    "squared_distance",
    "Unlabelled",
    "unlabelled",
    "Barycentre",
    "barycentre",
    "Action",
    "action",
    "flow_distance",
    "LeastAction",
    "least_action",
    "Plan",
    "transport",
    "referee",
    "Certificate",
    "OnRequest",
    "Proof",
    "NO_PROOF",
    "MONOTONE",
    "ACTION",
    "ENTROPIC",
    "OWN_COST",
    "certify",
    "certify_plan",
    "examined",
    "small_displacement",
    "by_potential",
    "by_assignment",
    "as_array",
]

__getattr__ = moved(__name__, Transport="jko.metrics.Distance")
