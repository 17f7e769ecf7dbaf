"""Pictures: Axes in, Axes out. Only this folder imports matplotlib."""

from jko.plots.atoms import particles, paths
from jko.plots.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, canvas, shades, write
from jko.plots.densities import density, obstacles, profiles, slices, snapshots
from jko.plots.flows import convergence, energy, energy_ledger, proofs
from jko.plots.predictions import class_outputs, curve, predicted_against_true, roc

__all__ = [
    "canvas",
    "write",
    "shades",
    "energy",
    "energy_ledger",
    "proofs",
    "convergence",
    "particles",
    "paths",
    "density",
    "profiles",
    "slices",
    "snapshots",
    "obstacles",
    "class_outputs",
    "roc",
    "predicted_against_true",
    "curve",
    "BLACK",
    "GREY",
    "BLUE",
    "SKY",
    "GREEN",
    "ORANGE",
    "RED",
]
