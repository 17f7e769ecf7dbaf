"""Pictures: Axes in, Axes out. Only this folder imports matplotlib, and only where a picture is asked for."""

from jko.lazy import lazy

_HOMES = {
    "jko.plots.shown": "show",
    "jko.plots.style": "canvas write shades BLACK GREY BLUE SKY GREEN ORANGE RED",
    "jko.plots.flows": "energy energy_ledger proofs convergence budget",
    "jko.plots.lengths": "step_lengths",
    "jko.plots.rates": "energies residuals fold",
    "jko.plots.growth": "smoothness",
    "jko.plots.layers": "layer_study",
    "jko.plots.search": "gaps",
    "jko.plots.rest": "dissipation_ratio lojasiewicz chaos chaos_in_time",
    "jko.plots.slopes": "variational maximal_slope convexity modulus evi contraction error_bounds",
    "jko.plots.names": "NEURONS",
    "jko.plots.atoms": "particles paths",
    "jko.plots.densities": "density profiles slices snapshots obstacles",
    "jko.plots.pairs": "pair charges pair_snapshots",
    "jko.plots.young": "fibres fibre_snapshots",
    "jko.plots.normals": "ellipses ellipse_ways",
    "jko.plots.couplings": "coupling geodesic_strip",
    "jko.plots.overview": "animate",
    "jko.plots.predictions": "class_outputs roc predicted_against_true curve",
    "jko.plots.classes": "confusion decision_map outputs_against_true",
}

__all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
