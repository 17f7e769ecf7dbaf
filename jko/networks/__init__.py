"""Shallow networks: the data, the activation h(theta, x), and the neuron Phi(xi, x) = w h(theta, x)."""

from jko.networks.activations import GaussianBump, Ridge
from jko.networks.data import Data
from jko.networks.features import Custom, FeatureMap, Neuron, feature_map
from jko.networks.kernels import Block, Kernel, Pullback

__all__ = [
    "Block",
    "Custom",
    "Data",
    "FeatureMap",
    "GaussianBump",
    "Kernel",
    "Neuron",
    "Pullback",
    "Ridge",
    "feature_map",
]
