"""States: probability measures that know how to integrate."""

from __future__ import annotations

import warnings
from typing import Any

from jko.measures.charged import ChargedDensity
from jko.measures.charged_mesh import ChargedMesh
from jko.measures.density import GridDensity, OnCells
from jko.measures.mesh import LineMesh
from jko.measures.quadrature import Quadrature
from jko.measures.span import ChargedSpan
from jko.measures.state import ChargedParticles, Pair, Particles, State

#: names of version 0.1: what they were, and what to write
GONE: dict[str, tuple[Any, str]] = {
    "lifted": (lambda state: state.atoms, "state.atoms"),
    "placed": (lambda state, points: state.placed(points), "state.placed(points)"),
    "KINDS": (State, "jko.measures.State"),
    "PAIRS": (Pair, "jko.measures.Pair"),
    "Atoms": (Quadrature, "jko.measures.State"),
}


def __getattr__(name: str) -> Any:
    if name not in GONE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value, instead = GONE[name]
    warnings.warn(f"{__name__}.{name} goes; write {instead}", DeprecationWarning, stacklevel=2)
    return value


__all__ = [
    "ChargedDensity",
    "ChargedMesh",
    "ChargedParticles",
    "ChargedSpan",
    "GridDensity",
    "LineMesh",
    "OnCells",
    "Pair",
    "Particles",
    "Quadrature",
    "State",
]
