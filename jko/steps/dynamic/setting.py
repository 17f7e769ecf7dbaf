"""A step problem on a grid in numbers, and what the energy and the action say about a solution of its dual.

Obstacles may cut the grid into chambers between which no mass can move: each keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Parts
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.spaces import refuse_wrapped
from jko.steps.dynamic.cascade import Solved
from jko.steps.dynamic.conjugates import Kind, kind_of
from jko.steps.dynamic.finish import finished
from jko.steps.dynamic.joint import Features, on_grid
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import GridStep, Stepper
from jko.steps.dynamic.tensors import TensorStepper
from jko.steps.dynamic.workspace import Workspaces
from jko.steps.memory import believed
from jko.steps.problem import StepProblem
from jko.steps.vacuum import FLOOR, chambers, mobility, reached

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
class GridSetting:
    """The problem on the cells; ``eps`` is the vacuum's mobility relative to the largest density, None automatic."""

    problem: StepProblem
    eps: float | None
    compiled: bool = True

    @property
    def previous(self) -> GridDensity:
        """The base point."""
        state = self.problem.previous
        assert isinstance(state, GridDensity)
        return state

    @property
    def settled(self) -> bool:
        """Whether the dual knows all terms of the energy."""
        return self.parts.rest is None and (self.parts.features is None or self.risk is not None)

    @cached_property
    def terms(self) -> tuple[Parts, Features | None]:
        """The energy's terms on the cells, and its risk."""
        return on_grid(self.problem)

    @property
    def parts(self) -> Parts:
        """The energy's terms on the cells, with the risk's features compressed."""
        return self.terms[0]

    @cached_property
    def risk(self) -> Features | None:
        """The risk, where the joint dual takes it."""
        return self.terms[1] if self.in_kernels else None

    @property
    def in_kernels(self) -> bool:
        """Whether the compiled kernels know this step."""
        on_cpu = self.previous.values.device.type == "cpu"
        return self.compiled and self.kind is not None and on_cpu

    @cached_property
    def kind(self) -> Kind | None:
        """The internal energy, None where it has no compiled kernels."""
        return kind_of(self.parts.internal)

    def stepper(self, data: GridStep) -> Stepper | TensorStepper:
        """The dual on one grid: in compiled kernels; in torch on a GPU, and for internal energies of the user."""
        if self.in_kernels:
            return Stepper(data, self.spaces)
        refuse_wrapped(
            "the torch path of Dynamic (compiled=False, a GPU, internal energies of one's own)",
            self.previous.domain,
        )
        return TensorStepper(data, self.parts.mixture, self.previous.values.device)

    @cached_property
    def spaces(self) -> Workspaces:
        """What the steps of the flow work in, one after another."""
        spaces: Workspaces = self.problem.kept(Workspaces, Workspaces)
        return spaces.next_step()

    @cached_property
    def rho0(self) -> Array:
        """The base point's values."""
        return np.ascontiguousarray(as_array(self.previous.values), dtype=np.float64)

    @cached_property
    def V(self) -> Array:
        """The potential, +inf in obstacles and in chambers without mass."""
        V = as_array(self.parts.potential).reshape(self.rho0.shape)
        return opened(np.array(V, dtype=np.float64), self.rho0, self.previous.grid.periodic)

    @cached_property
    def before(self) -> float:
        """The energy of the base point; the step of the flow before may have left it."""
        problem = self.problem
        if (
            believed(problem.memory, problem.energy, problem.previous)
            and "energy" in problem.memory
        ):
            return float(problem.memory["energy"])
        return self.energy(self.previous)

    def data(self, extra: Array | None = None) -> GridStep:
        """The dual's data, with ``extra`` added to the potential."""
        V = self.V if extra is None else self.V + extra
        grid = self.previous.grid
        floor = mobility(self.parts.internal, self.eps) * float(self.rho0.max())
        step = (self.kind, self.rho0, V, grid.spacing, self.problem.tau, floor)
        return GridStep(*step, grid.periodic)

    @property
    def floor(self) -> float:
        """The least mobility of the vacuum where a risk drives mass far."""
        return 0.0 if self.eps is not None else FLOOR * float(self.rho0.max())

    def energy(self, state: GridDensity) -> float:
        """E(state)."""
        return self.parts.value(state.weights)

    def unknown(self, state: GridDensity) -> float:
        """The value of the terms that the dual does not know."""
        parts, total = self.parts, 0.0
        if self.risk is None:
            total += 0.5 * float(parts.residual(state.weights).square().sum())
        return total if parts.rest is None else total + float(parts.rest(state).detach())

    def variation(self, state: GridDensity) -> Array:
        """The first variation of the terms that the dual does not know, on the cells."""
        total = self.parts.slope_of_rest(state.weights)
        if self.parts.features is not None and self.risk is None:
            total = total + self.parts.features.T @ self.parts.residual(state.weights)
        return as_array(total).reshape(self.rho0.shape)

    def density(self, solved: Solved) -> Density:
        """The density of a potential, and its figures."""
        step, grid = solved.stepper, self.previous.grid
        scale = factors(step.data.V, step.crop(step.rho), self.rho0, grid.periodic)
        with np.errstate(over="ignore", invalid="ignore"):  # a step that failed; its status says so
            end = finished(step, solved.outcome.phi, scale, self.V)
            cost = self.problem.tau**2 * grid.cell * end.action
        state = GridDensity.of(grid, self.tensor(end.values))
        local = self.parts.local(state.weights) if end.local is None else grid.cell * end.local
        energy = local + self.parts.beyond(state.weights)
        correction, gap, moved = (grid.cell * n for n in (end.correction, end.gap, end.moved))
        return Density(state, energy, cost, correction, gap, moved, scale)

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
        return self.field("potential")

    def field(self, name: str) -> Array | None:
        """What the previous step left by this name, if it did so on this grid."""
        values = self.problem.memory.get(name)
        if values is None or tuple(values.shape) != self.rho0.shape:
            return None
        return np.array(as_array(values), dtype=np.float64)


def opened(V: Array, rho0: Array, periodic: Sequence[bool] = ()) -> Array:
    """V with the chambers that hold no mass made obstacles too: nothing can enter them."""
    if np.isfinite(V).all():
        return V
    return np.where(reached(np.isfinite(V), rho0 > 0, periodic), V, np.inf)


def factors(V: Array, rho: Array, rho0: Array, periodic: Sequence[bool] = ()) -> Array:
    """What rho must be multiplied with, cell by cell, so that each chamber has the mass it had in rho0."""
    free: NDArray[np.bool_] = np.isfinite(V)
    if free.all():
        return np.broadcast_to(rho0.sum() / rho.sum(), V.shape)
    names = chambers(free, periodic)
    new, old = (np.bincount(names.ravel(), r.ravel()) for r in (rho, rho0))
    return np.divide(old, new, out=np.ones_like(new), where=new > 0)[names]
