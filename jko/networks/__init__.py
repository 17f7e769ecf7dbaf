"""Shallow networks: the data, the activation h(theta, x), and the neuron Phi(xi, x) = w h(theta, x)."""

from jko.networks.activations import GaussianBump, Ridge
from jko.networks.data import Data
from jko.networks.features import Custom, FeatureMap, Neuron, Pullback, feature_map

__all__ = [
    "Custom",
    "Data",
    "FeatureMap",
    "GaussianBump",
    "Neuron",
    "Pullback",
    "Ridge",
    "feature_map",
]
