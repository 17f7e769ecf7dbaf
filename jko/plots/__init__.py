"""Pictures: Axes in, Axes out. Only this folder imports matplotlib."""

from jko.plots.atoms import particles, paths
from jko.plots.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, canvas, shades, write
from jko.plots.couplings import coupling, geodesic_strip
from jko.plots.densities import density, obstacles, profiles, slices, snapshots
from jko.plots.flows import budget, convergence, energy, energy_ledger, proofs
from jko.plots.pairs import charges, pair, pair_snapshots
from jko.plots.predictions import class_outputs, curve, predicted_against_true, roc
from jko.plots.rates import energies, fold, residuals

__all__ = [
    "canvas",
    "write",
    "shades",
    "energy",
    "energy_ledger",
    "proofs",
    "convergence",
    "budget",
    "energies",
    "residuals",
    "fold",
    "particles",
    "paths",
    "density",
    "profiles",
    "slices",
    "snapshots",
    "obstacles",
    "pair",
    "charges",
    "pair_snapshots",
    "coupling",
    "geodesic_strip",
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
