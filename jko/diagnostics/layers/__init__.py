"""How fast networks with two hidden layers come to the flow of infinitely many neurons."""

from jko.diagnostics.layers.result import LayerStudy
from jko.diagnostics.layers.study import layer_study

__all__ = ["LayerStudy", "layer_study"]
