"""The proximal map ``s -> mu_s``, the steps of all lengths s from one state, continued from one s to another.

Where a step has several local minima the start of its solver decides which of them is found: a *branch* of the map is
followed by starting where it was at a length nearby.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from jko.diagnostics.dissipation import dissipation
from jko.diagnostics.slope import meshes
from jko.energies import Energy
from jko.measures import ChargedMesh, ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.metrics import natural_metric
from jko.status import Status
from jko.steps.dynamic import Dynamic
from jko.steps.failed import StepFailed
from jko.steps.lagrangian import solve_lagrangian
from jko.steps.lbfgs import LBFGS
from jko.steps.line import MeshNewton, Quantile
from jko.steps.newton import BlockNewton
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult, judged
from jko.steps.solver import Solver

TIGHT = 1e-9  # of the mass: the residual to which a step on a grid is solved here
KNOWN = (Particles, ChargedParticles, LineMesh, ChargedMesh, GridDensity)


@dataclass(frozen=True, eq=False)
class Proximal(ABC):
    """The steps of an energy from one state, solved until their identities show."""

    energy: Energy
    state: State

    branching: ClassVar[bool] = True  # whether a start may decide which minimum is found
    solver: ClassVar[Solver]  # what solves one step of this kind as tightly

    @abstractmethod
    def solved(self, problem: StepProblem, near: State | None) -> StepResult:
        """The step, its solver started at a state near its end."""

    def slope(self, state: State) -> float:
        """``|dE|(state)`` in the natural metric."""
        return dissipation(self.energy, state) ** 0.5

    def at(self, s: float, near: State | None = None) -> StepResult:
        """The step of length s; near a state, a local minimum, which may be worse than to stay.

        Raises
        ------
        StepFailed
            If the step is none.
        """
        problem = StepProblem(self.energy, natural_metric(self.state), self.state, s)
        with torch.inference_mode(False):
            found = judged(self.solved(problem, near))
        if _none(found, near):
            raise StepFailed(found.status, found)
        return found


def _none(found: StepResult, near: State | None) -> bool:
    """Whether a solver found no minimum."""
    return not (found.status.ok or (near is not None and found.status is Status.ENERGY_ROSE))


class OfAtoms(Proximal):
    """Newton's method on the atoms; where it fails, at kinks or with walls that bend, LBFGS."""

    solver = BlockNewton()

    def solved(self, problem: StepProblem, near: State | None) -> StepResult:
        """From the atoms of ``near``, with the coupling certified."""
        start = None if near is None else near.atoms.points
        try:
            found = judged(solve_lagrangian(problem, BlockNewton().minimise, start=start))
        except TypeError:  # a projection that torch cannot differentiate
            found = None
        if found is not None and not _none(found, near):
            return found
        return solve_lagrangian(problem, LBFGS(fraction=1e-8).minimise, start=start)


class OfMesh(Proximal):
    """Newton's method on the nodes of a mesh."""

    state: LineMesh | ChargedMesh

    def solved(self, problem: StepProblem, near: State | None) -> StepResult:
        """From the nodes of ``near``, if the objective is lower there than at the base point."""
        if near is not None:
            move = meshes.unknowns(near) - meshes.unknowns(self.state)  # type: ignore[arg-type]
            problem.memory["velocity"] = torch.from_numpy(move / problem.tau)
        return self.solver.solve(problem)

    def slope(self, state: State) -> float:
        """By the velocity of the nodes that lowers E fastest."""
        return meshes.slope(self.energy, state)  # type: ignore[arg-type]


class OfEdges(OfMesh):
    """Those of a density on a mesh."""

    solver = Quantile()


class OfNodes(OfMesh):
    """Those of a pair on a mesh."""

    solver = MeshNewton()


class OfDensity(Proximal):
    """The step on a grid, whose dual is convex: there is one branch."""

    branching = False
    solver = Dynamic(tol=TIGHT)

    def solved(self, problem: StepProblem, near: State | None) -> StepResult:
        """From where the solver begins by itself."""
        return self.solver.solve(problem)


KINDS = dict(zip(KNOWN, (OfAtoms, OfAtoms, OfEdges, OfNodes, OfDensity), strict=True))


def proximal(energy: Energy, state: State) -> Proximal:
    """The proximal map of a state.

    Raises
    ------
    TypeError
        A kind whose steps of all lengths are not those of one functional.
    """
    for kind, way in KINDS.items():
        if isinstance(state, kind):
            return way(energy, state)
    names = ", ".join(f"jko.{kind.__name__}" for kind in KNOWN)
    raise TypeError(
        f"the steps of all lengths from a {type(state).__name__} are not known here; take one of {names}: "
        "state.to_particles() has the atoms of any state"
    )
