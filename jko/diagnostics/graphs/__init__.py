"""The graph of H of a pair (rho, H): how steep it is, how fast it moves, and until when it is a graph."""

from jko.diagnostics.graphs.distances import GraphDistance, graph_distance
from jko.diagnostics.graphs.folding import FoldFree, fold_free, fold_free_time
from jko.diagnostics.graphs.rates import Motion, Velocities, motion, velocities
from jko.diagnostics.graphs.slopes import graph_slope

__all__ = [
    "FoldFree",
    "GraphDistance",
    "Motion",
    "Velocities",
    "fold_free",
    "fold_free_time",
    "graph_distance",
    "graph_slope",
    "motion",
    "velocities",
]
