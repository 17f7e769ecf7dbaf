"""Shallow networks: the data, the activation h(theta, x), and the neuron Phi(xi, x) = w h(theta, x)."""

from jko.networks.activations import GaussianBump, Ridge
from jko.networks.data import Data
from jko.networks.drawn import drawn
from jko.networks.features import Custom, FeatureMap, Neuron, feature_map
from jko.networks.named import ACTIVATIONS, ridge
from jko.networks.outputs import Outputs
from jko.networks.passes import Block, Passes, Pullback

__all__ = [
    "ACTIVATIONS",
    "Block",
    "Custom",
    "Data",
    "FeatureMap",
    "GaussianBump",
    "Neuron",
    "Outputs",
    "Passes",
    "Pullback",
    "Ridge",
    "drawn",
    "feature_map",
    "ridge",
]
