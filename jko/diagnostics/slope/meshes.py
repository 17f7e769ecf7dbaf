"""An energy on a mesh of the line as a function of what a step moves: its edges, or its nodes and their charges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jko.energies import Congestion, Energy, refuse, sorted_terms
from jko.measures import ChargedMesh, LineMesh
from jko.metrics import as_array, natural_metric
from jko.steps.line.edges import Edges
from jko.steps.line.nodes import Nodes
from jko.steps.line.objective import Objective
from jko.steps.problem import StepProblem

Array = NDArray[np.float64]
Mesh = LineMesh | ChargedMesh


def unknowns(mesh: Mesh) -> Array:
    """The edges, or H_0, theta_0, H_1, ... of the nodes."""
    return as_array(mesh.edges if isinstance(mesh, LineMesh) else mesh.atoms.points).ravel()


def objective(energy: Energy, mesh: Mesh) -> Objective:
    """``E + d^2 / 2`` from a mesh: the step of length 1, whose slope at the mesh is that of E.

    Raises
    ------
    ValueError
        Congestion, whose slope is no function of the density; a negative internal energy.
    """
    refuse(
        sorted_terms(energy).of(Congestion),
        "the slope of {energy} is a pressure that only a step finds; take m * jko.PorousMedium(m) with m = 20",
    )
    problem = StepProblem(energy, natural_metric(mesh), mesh, 1.0)
    if isinstance(mesh, LineMesh):
        return Edges(problem, mesh)
    return Nodes(problem, mesh)


def velocity(energy: Energy, mesh: Mesh) -> Array:
    """What moves the unknowns so that E falls fastest, (n k,): ``-M^-1 dE``; what a wall holds stays."""
    J = objective(energy, mesh)
    return -J.representative(J.free(J.at(J.start)))


def slope(energy: Energy, mesh: Mesh) -> float:
    """``|dE|``, the length of that velocity in the metric."""
    J = objective(energy, mesh)
    return J.residual(J.at(J.start))
