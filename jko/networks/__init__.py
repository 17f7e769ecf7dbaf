"""Shallow networks: the data, the activation h(theta, x), and the neuron Phi(xi, x) = w h(theta, x)."""

from jko.networks.activations import GaussianBump, Ridge
from jko.networks.data import Data
from jko.networks.features import Custom, FeatureMap, Neuron, feature_map
from jko.networks.passes import Block, Passes, Pullback

__all__ = [
    "Block",
    "Custom",
    "Data",
    "FeatureMap",
    "GaussianBump",
    "Passes",
    "Neuron",
    "Pullback",
    "Ridge",
    "feature_map",
]
