"""A step problem on a grid in numbers, and what the energy and the action say about a solution of its dual."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jko.energies import Entropy
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.cascade import Solved
from jko.steps.dynamic.chambers import factors, opened
from jko.steps.dynamic.conjugates import Kind, kind_of
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import Data
from jko.steps.problem import StepProblem

# mobility of the vacuum / largest density, with an entropy and without: a small one keeps tails of a smooth density
# exact, a larger one lets a front see where it goes
SMOOTH_FLOOR, FLOOR = 1e-6, 1e-4
ROUNDING = 1e-12  # of the energy, relative to the numbers it is a sum of


@dataclass(frozen=True, eq=False)
class Density:
    """What a step returns: the state with its exact mass, its energy and action, and what the correction moved.

    ``gap`` is ``|<phi, F>|``, an estimate of the duality gap; ``moved`` the L1 distance from the base point.
    """

    state: GridDensity
    energy: float
    cost: float
    correction: float
    gap: float
    moved: float
    scale: Array


@dataclass(frozen=True, eq=False)
class Setting:
    """The problem on the cells; ``eps`` is the vacuum's mobility relative to the largest density, None automatic."""

    problem: StepProblem
    eps: float | None

    @property
    def previous(self) -> GridDensity:
        """The base point."""
        state = self.problem.previous
        assert isinstance(state, GridDensity)
        return state

    @property
    def settled(self) -> bool:
        """Whether the dual knows all terms of the energy."""
        parts = self.problem.parts
        return parts.features is None and parts.rest is None

    @cached_property
    def kind(self) -> Kind:
        """The internal energy."""
        return kind_of(self.problem.parts.internal)

    @cached_property
    def rho0(self) -> Array:
        """The base point's values."""
        return np.ascontiguousarray(as_array(self.previous.values), dtype=np.float64)

    @cached_property
    def V(self) -> Array:
        """The potential, +inf in obstacles and in chambers without mass."""
        V = as_array(self.problem.parts.potential).reshape(self.rho0.shape)
        return opened(np.array(V, dtype=np.float64), self.rho0)

    @cached_property
    def before(self) -> float:
        """The energy of the base point."""
        return self.energy(self.previous)

    def data(self, extra: Array | None = None) -> Data:
        """The dual's data, with ``extra`` added to the potential."""
        smooth = any(isinstance(E, Entropy) for _, E in self.problem.parts.internal)
        eps = self.eps if self.eps is not None else SMOOTH_FLOOR if smooth else FLOOR
        V = self.V if extra is None else self.V + extra
        grid = self.previous.grid
        floor = eps * float(self.rho0.max())
        return Data(self.kind, self.rho0, V, grid.spacing, self.problem.tau, floor)

    def energy(self, state: GridDensity) -> float:
        """E(state)."""
        parts = self.problem.parts
        m, V = state.weights, parts.potential
        total = float((V[m > 0] * m[m > 0]).sum()) + self.settling(state)
        return total + sum(c * float(E(state)) for c, E in parts.internal)

    def settling(self, state: GridDensity) -> float:
        """The value of the terms that the dual does not know, a risk and the rest."""
        parts, total = self.problem.parts, self.problem.parts.constant
        if parts.features is not None and parts.targets is not None:
            total += 0.5 * float((parts.features @ state.weights - parts.targets).square().sum())
        return total if parts.rest is None else total + float(parts.rest(state).detach())

    def variation(self, state: GridDensity) -> Array:
        """Their first variation, on the cells."""
        parts = self.problem.parts
        total = torch.zeros_like(state.weights)
        if parts.features is not None and parts.targets is not None:
            total = parts.features.T @ (parts.features @ state.weights - parts.targets)
        if parts.rest is not None:
            total = total + parts.rest.variation(state).detach()
        return as_array(total).reshape(self.rho0.shape)

    def density(self, solved: Solved) -> Density:
        """The density of a potential, and its figures."""
        step, tau = solved.stepper, self.problem.tau
        L, n = step.layout, step.layout.size
        rho = L.crop(step.rho)
        scale = factors(step.data.V, rho, self.rho0)
        values = rho * scale
        state = GridDensity.of(self.previous.grid, self.tensor(values))
        phi = solved.outcome.phi
        inner = L.crop(phi)[L.free]
        with np.errstate(over="ignore", invalid="ignore"):  # a step that failed; its status says so
            cost = tau**2 * L.cell * float((step.M * step.g[:, :n] ** 2).sum())
            middle = 0.5 * float(inner.min() + inner.max())
            gap = L.cell * abs(float(step.F @ phi) - middle * float(step.F.sum()))
        correction = L.cell * float(np.abs(values - rho).sum())
        moved = L.cell * float(np.abs(values - self.rho0).sum())
        return Density(state, self.energy(state), cost, correction, gap, moved, scale)

    def rise(self, rho: Density) -> float:
        """How much the objective lies above the energy of the base point; <= 0 for a minimiser."""
        return rho.energy + rho.cost / (2 * self.problem.tau) - self.before

    def rounding(self, rho: Density) -> float:
        """What rounding can make of :meth:`rise`."""
        return ROUNDING * (1.0 + abs(rho.energy) + abs(self.before))

    def tensor(self, values: Array) -> Tensor:
        """A grid field as a tensor like the base point's."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.previous.values)

    @cached_property
    def potential(self) -> Array | None:
        """The previous step's potential, if it left one for this grid."""
        phi = self.problem.memory.get("potential")
        if phi is None or tuple(phi.shape) != self.rho0.shape:
            return None
        return np.array(as_array(phi), dtype=np.float64)
