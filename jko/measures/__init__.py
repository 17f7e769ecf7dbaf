"""States: probability measures that know how to integrate."""

from __future__ import annotations

from typing import Any

from jko import checks, deprecation
from jko.measures.charged import ChargedDensity
from jko.measures.charged_mesh import ChargedMesh
from jko.measures.density import GridDensity, OnCells
from jko.measures.gaussians import Gaussian, GaussianMixture
from jko.measures.kernels import LayerKernels
from jko.measures.layers import LayerAtoms, TwoLayer
from jko.measures.mesh import LineMesh
from jko.measures.mixture import mixture
from jko.measures.normals import NormalLaws
from jko.measures.quadrature import Quadrature
from jko.measures.span import ChargedSpan
from jko.measures.state import ChargedParticles, Pair, Particles, State
from jko.measures.young import YoungMeasure

#: what has become a method, or another class: old name, what it was, what to write
FORMER: dict[str, tuple[Any, str]] = {
    "lifted": (lambda state: checks.kind("the state", state, State).atoms, "state.atoms"),
    "placed": (lambda state, points: state.placed(points), "state.placed(points)"),
    "KINDS": ((State,), f"{__name__}.State"),
    "PAIRS": ((Pair,), f"{__name__}.Pair"),
    "Atoms": (State, f"{__name__}.State"),
}


def __getattr__(name: str) -> Any:
    if name not in FORMER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value, instead = FORMER[name]
    deprecation.warn(f"{__name__}.{name}", instead)
    return value


__all__ = [
    "ChargedDensity",
    "ChargedMesh",
    "ChargedParticles",
    "ChargedSpan",
    "Gaussian",
    "GaussianMixture",
    "GridDensity",
    "LayerAtoms",
    "LayerKernels",
    "LineMesh",
    "NormalLaws",
    "OnCells",
    "Pair",
    "Particles",
    "Quadrature",
    "State",
    "TwoLayer",
    "YoungMeasure",
    "mixture",
]
