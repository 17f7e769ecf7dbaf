"""A step as arrays: masses and volumes on a fixed support, the kernel, the sorted energy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from jko import checks
from jko.energies import Parts, parts
from jko.measures import GridDensity, Particles, State
from jko.steps.problem import StepProblem
from jko.steps.sinkhorn.grid import GridKernel
from jko.steps.sinkhorn.kernels import Kernel
from jko.steps.sinkhorn.points import PointKernel

EMPTY = {
    GridDensity: 40.0,
    Particles: 650.0,
}  # densities below e^-EMPTY of the largest count as none

Volumes = Callable[[Tensor], Any] | Tensor | None


@dataclass(frozen=True, eq=False)
class Setting:
    """The step on N fixed points, in float64.

    Attributes
    ----------
    problem : StepProblem
    kernel : Kernel
        At the epsilon that was asked for.
    volumes, masses : (N,)
        Of the cells; masses of mu_k, zero where its density counts as none.
    """

    problem: StepProblem
    kernel: Kernel
    volumes: Tensor
    masses: Tensor
    cutoff: float

    @classmethod
    def of(cls, problem: StepProblem, epsilon: float, volumes: Volumes) -> Setting:
        """Read the base point; refuse states that have no fixed support."""
        state = problem.previous
        hint = (
            "the entropic step keeps the support and changes the masses: take jko.GridDensity, jko.Particles "
            "(for a pair: .lift()), or another solver"
        )
        state = checks.kind("the state of jko.Sinkhorn", state, GridDensity, Particles, hint=hint)
        if isinstance(state, GridDensity):
            if volumes is not None:
                raise ValueError(
                    "volumes are for particles; the cells of a GridDensity have theirs: leave volumes out"
                )
            masses, v = state.weights.double(), state.volumes.double()
            kernel: Kernel = GridKernel(state.grid, epsilon, masses)
        else:
            masses, points = state.weights.double(), state.points.double()
            v, kernel = point_volumes(volumes, state).double(), PointKernel(points, epsilon)
        cutoff = EMPTY[GridDensity if isinstance(state, GridDensity) else Particles]
        density = masses / v
        masses = masses.masked_fill(density < density.max() * math.exp(-cutoff), 0)
        return cls(problem, kernel, v, masses / masses.sum(), cutoff)

    @cached_property
    def parts(self) -> Parts:
        """The energy, its risks with few rows, in float64."""
        found = parts(self.problem.energy, self.problem.previous)
        A, b = (t if t is None else t.double() for t in (found.features, found.targets))
        found = replace(found, potential=found.potential.double(), features=A, targets=b)
        return found.compressed()

    def kappa(self, epsilon: float) -> float:
        """2 tau / epsilon, which turns energies into exponents."""
        return 2 * self.problem.tau / epsilon

    def energy(self, masses: Tensor) -> float:
        """E of masses (N,) on the support."""
        part = self.parts
        density = masses / self.volumes
        V = part.potential.masked_fill(masses == 0, 0)
        value = float(masses @ V) + part.constant
        value += sum(c * float(self.volumes @ U.U(density)) for c, U in part.internal)
        if part.features is not None and part.targets is not None:
            value += 0.5 * float((part.features @ masses - part.targets).square().sum())
        if part.rest is not None:
            value += float(part.rest(self.measure(masses)))
        return value

    def variation(self, masses: Tensor) -> Tensor:
        """dE/dm, (N,), infinite values allowed."""
        part = self.parts
        density = masses / self.volumes
        phi = part.potential + sum(c * U.slope(density) for c, U in part.internal)
        if part.features is not None and part.targets is not None:
            phi = phi + part.features.T @ (part.features @ masses - part.targets)
        return phi if part.rest is None else phi + self.slope_of_rest(masses)

    def slope_of_rest(self, masses: Tensor) -> Tensor:
        """The variation of those terms that enter by their linearisation, (N,)."""
        assert self.parts.rest is not None
        return self.parts.rest.variation(self.measure(masses)).detach().double()

    def measure(self, masses: Tensor) -> State:
        """The measure with these masses, points of no mass included."""
        return self.problem.previous.weighed(masses)

    def state(self, masses: Tensor) -> State:
        """The next state: particles of no mass are left out."""
        mu = self.measure(masses)
        if isinstance(mu, Particles) and mu.has_empty_atoms:
            full = mu.weights > 0
            return Particles.of(mu.points[full], mu.weights[full], mu.domain)
        return mu


def point_volumes(volumes: Volumes, state: Particles) -> Tensor:
    """The volume of each atom, (N,): given, or 1/N."""
    if callable(volumes) and not isinstance(volumes, Tensor):
        volumes = checks.returned("volumes", volumes(state.points), (state.N,), state.points)
    return checks.quadrature("volumes", volumes, state.N, state.points)
