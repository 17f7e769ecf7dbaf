"""Convexity along geodesics, and what follows of it: the EVI, contraction of flows, errors in tau."""

from jko.diagnostics.convexity.errors import ErrorBounds, error_bounds
from jko.diagnostics.convexity.evi import EVI, evi
from jko.diagnostics.convexity.geodesic import Convexity, convexity
from jko.diagnostics.convexity.spectrum import Modulus, modulus
from jko.diagnostics.convexity.stability import Contraction, contraction

__all__ = [
    "EVI",
    "Contraction",
    "Convexity",
    "ErrorBounds",
    "Modulus",
    "contraction",
    "convexity",
    "error_bounds",
    "evi",
    "modulus",
]
