"""The step in D of a pair on the line, in Lagrangian coordinates, with internal energies of rho."""

from jko.steps.charged_mesh.solver import MeshNewton

__all__ = ["MeshNewton"]
