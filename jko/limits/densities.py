"""The Wasserstein gradient flow of a density on a grid, by finite volumes: (3.7), (4.2), (4.7) with no flux (4.3).

``d_t rho = div(rho grad xi)``,  ``xi = phi + sum_i c_i U_i'(rho)``,  phi the first variation of all other energies, and
beside it, if asked for, ``- div(rho b)`` with any drift b and ``+ div(D grad rho)`` with a diffusion that depends on
the place.  What passes a face is in :mod:`jko.limits.volumes.passage`: it is of second order where rho is smooth, rests
where the minimiser of the energy on the cells is, and keeps rho >= 0 in time steps that empty no cell.

In time: three-stage steps of Shu and Osher as long as there are few of them, which is where accuracy decides their
length; else implicit steps of second order, :mod:`jko.limits.implicit`.  It shares the energy with the JKO steps and
nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from jko.energies import Energy, Entropy, Mixture, Parts, parts
from jko.limits.course import Array, travelled
from jko.limits.implicit import STILL, LocalRates, StiffEquations, StiffMarch, numbers
from jko.limits.rungekutta import Slope, Stages, next_length
from jko.limits.stopped import LimitStopped, nowhere
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import largest, split
from jko.limits.volumes.passage import CellPressures, Passage, Pressing, Spreading
from jko.limits.volumes.regions import Regions
from jko.limits.volumes.transport import Transport
from jko.measures import GridDensity
from jko.numerics.exchange import Crossing, Exchange
from jko.spaces import FacesAcross, Grid
from jko.trajectory import Trajectory

ERRATIC = 1e-6  # of the step that the drift allows: an estimate that asks for less does not fall with the step
EVALUATIONS_CELLS = 1_000_000  # of the right side, unless told otherwise
SMALLEST = 1e-12  # relative: of what scales unknowns
NUDGE = 1e-6  # of the largest density: how far it is moved for a difference quotient of phi


@dataclass(frozen=True, eq=False)
class DensitySlope(Slope):
    """``d_t rho`` and its rounding in L1, of the cells' numbers: without their volume."""

    rounding: float


@dataclass(frozen=True, eq=False)
class Volumes(StiffEquations[DensitySlope]):
    """The right side on the cells of a grid.

    ``terms`` are those of phi, ``entropy`` is the strength of the entropy, ``powers`` all other internal energies,
    ``closed`` the cells of an obstacle, ``transport`` the drift and the diffusion on the faces.
    ``allowed`` is the error of time that is allowed per unit of time, in L1 of the cells' numbers.
    """

    safe: ClassVar[float] = 0.9
    least: ClassVar[float] = 1e-13
    longer: ClassVar[float] = 5.0
    remedy: ClassVar[str] = (
        "The solution changes fast all the way: take a coarser grid, t1 below, a larger rtol"
    )

    grid: Grid
    terms: Parts
    entropy: float
    powers: Mixture
    closed: Tensor
    transport: Transport
    allowed: float = math.inf

    @classmethod
    def of(cls, energy: Energy, start: GridDensity, transport: Transport | None = None) -> Volumes:
        """Sort the terms; refuse internal energies with negative coefficients."""
        internal = split(energy)[0].summands
        terms = replace(parts(energy, start), internal=()).compressed().tabulated()
        entropy = sum(c for c, E in internal if isinstance(E, Entropy))
        powers = Mixture(tuple((c, E) for c, E in internal if not isinstance(E, Entropy)))
        closed = torch.isposinf(terms.potential).reshape(start.grid.shape)
        return cls(start.grid, terms, entropy, powers, closed, transport or Transport(None, None))

    @property
    def spreads(self) -> bool:
        """Whether there is any diffusion."""
        return bool(self.entropy > 0 or self.powers.summands or self.transport.diffusion)

    def potential(self, rho: Tensor) -> Tensor:
        """phi, 0 in closed cells."""
        phi = self.terms.slope(rho.reshape(-1) * self.grid.cell).reshape(rho.shape)
        return torch.where(self.closed, 0.0, phi) if self._obstacles else phi

    def through(self, cells: CellPressures, phi: Tensor) -> list[Passage]:
        """What passes the faces across each axis."""
        return [self._passage(face, cells, phi) for face in self.grid.across]

    def _passage(self, face: FacesAcross, cells: CellPressures, phi: Tensor) -> Passage:
        k = face.axis + self.grid.dim
        lift = face.diff(phi)
        if self.transport.drift is not None:
            lift = lift - face.width * self.transport.drift[k]
        if self.transport.diffusion is not None:
            return Spreading(cells, face, lift, self.entropy + self.transport.diffusion[k])
        if self.entropy > 0:
            return Spreading(cells, face, lift, self.entropy)
        return Pressing(cells, face, lift)

    def across(self, face: FacesAcross, values: Tensor) -> Tensor:
        """Values on faces, 0 on those of an obstacle."""
        return torch.where(self._shut[face.axis], 0.0, values) if self._obstacles else values

    @cached_property
    def _obstacles(self) -> bool:
        return bool(self.closed.any())

    @cached_property
    def _shut(self) -> list[Tensor]:
        """The faces of closed cells, across each axis."""
        return [face.before(self.closed) | face.after(self.closed) for face in self.grid.across]

    def __call__(self, t: float, U: Tensor) -> DensitySlope:
        """d_t rho = -div F."""
        rho, cells = U, CellPressures(U, self.powers)
        phi = self.potential(rho)
        passages, leaving = self.through(cells, phi), torch.zeros_like(rho)
        for passage in passages:
            face = passage.face
            up, down = (self.across(face, share) for share in passage.leaving)
            leaving += (face.upper(up) + face.lower(down)) / face.width
        speed = float(leaving.amax()) + self._stiffness(rho)
        return DensitySlope(self._rate(passages), speed, self._rounding(cells, phi, speed))

    def _rate(self, passages: list[Passage]) -> Tensor:
        """-div F."""
        drho = torch.zeros_like(passages[0].cells.rho)
        for face, flux in ((passage.face, passage.flux) for passage in passages):
            faces.lose(drho, self.across(face, flux) / face.width, face)
        return drho

    def _rounding(self, cells: CellPressures, phi: Tensor, speed: float) -> float:
        """How far rounding moves the density, in L1 per time."""
        rho, h = cells.rho, self.grid.spacing
        height = float((phi + cells.slope).abs().amax())
        spread = sum(2 / width**2 for width in h) * height + 2 * self.transport.fastest / min(h)
        return float(torch.finfo(rho.dtype).eps * (speed + spread) * float(rho.sum()))

    def linearised(self, U: Tensor) -> LocalRates:
        """d_t rho and its derivative; negative densities do not move."""
        cells = CellPressures(U.clamp(min=0), self.powers)
        phi = self.potential(cells.rho)
        passages = self.through(cells, phi)
        return LocalRates(
            self._rate(passages),
            lambda: self._matrix(passages),
            self._far(cells.rho, phi, passages) if self._couples else None,
            lambda: self._rounding(cells, phi, float(self._matrix(passages).diagonal.max())),
            lambda: self._scale(cells),
        )

    def _matrix(self, passages: list[Passage]) -> Exchange:
        """Minus the derivative of d_t rho, phi held."""
        crossings = []
        for passage in passages:
            face = passage.face
            up, down = (numbers(self.across(face, a) / face.width) for a in passage.slopes)
            crossings.append(Crossing(up, down, face.wraps))
        return Exchange(np.zeros(self.grid.shape), tuple(crossings))

    @property
    def _couples(self) -> bool:
        """Whether phi depends on rho."""
        return self.terms.features is not None or self.terms.rest is not None

    def _far(self, rho: Tensor, phi: Tensor, passages: list[Passage]) -> Callable[[Array], Array]:
        """The part of the derivative of -d_t rho that comes from phi, which couples all cells."""

        def product(x: Array) -> Array:
            v = torch.from_numpy(x).to(rho)
            size = float(v.abs().amax())
            if not size > 0:
                return x
            change = torch.zeros_like(rho)
            step = NUDGE * float(rho.amax()) / size
            bend = (self.potential(rho + step * v) - phi) / step
            for passage in passages:
                face = passage.face
                flux = self.across(face, passage.along) * face.diff(bend) / face.width
                faces.lose(change, -flux, face)
            return numbers(change)

        return product

    def _scale(self, cells: CellPressures) -> Array:
        """What a linear flux is blind to: 1 / P' of powers; with an entropy, near to rest, the density itself."""
        if self.powers.summands and not self.entropy:
            D = numbers(cells.diffusivity)
            return 1 / np.maximum(D, SMALLEST * (D.max() or 1.0))
        return np.maximum(numbers(cells.rho), SMALLEST)

    def restored(self, U: Tensor, before: Tensor) -> Tensor:
        """Nothing below zero, and in each region that obstacles leave the mass that it had."""
        return self._regions.restored(U, before)

    @cached_property
    def _regions(self) -> Regions:
        return Regions.of(self.grid, self.closed)

    def error(self, step: Stages[DensitySlope]) -> float:
        """The distance to the step of order two by Heun, in L1 per unit of time.

        Raises
        ------
        LimitStopped
            If it does not fall with the step as it should.
        """
        first, second, third = (stage.U for stage in step.stages)
        error = float((first + second - 2 * third).abs().sum()) / 3 / self.allowed
        bound = step.dt * next_length(error, self.longer)
        if error > 1 and step.dt * step.speed <= 1 and 0 < bound * step.speed < ERRATIC * self.safe:
            raise LimitStopped(
                f"at t = {step.t:g} the error of time would need steps of {bound:.1e}, and the drift allows "
                f"{self.safe / step.speed:.1e}: where the limiter of the upwind values switches, the estimate "
                "falls slowly with the step. Raise rtol; the error itself is far below the estimate"
            )
        return error

    def rests(self, slope: DensitySlope, left: float) -> bool:
        """Whether d_t rho is its own rounding, and far too small to matter in the time that is left."""
        moving = float(slope.U.abs().sum())
        still = moving * left <= STILL * self.allowed
        return moving == 0 or (still and moving <= slope.rounding)

    def stuck(self, t: float, t1: float, bound: float) -> str:
        """Potentials or features that are no numbers, or whose drift has no bound."""
        if not bound > 0:
            return nowhere(t)
        return (
            f"the time step fell to {bound:.1e} at t = {t:g}: the velocity grows without bound there. Check the "
            "potential and the features, take t1 below, or a coarser grid"
        )

    def speeds(self, rho: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Across each axis, of every face, the speed ``|grad xi|`` and the power ``flux . (-grad xi)``; xi = dF/dmu.

        The powers times the volume of a cell add up to -dF/dt of the discrete F along these finite volumes.  Where
        the entropy's xi is -inf, in an empty cell, the power is ``|sqrt(rho) grad z + 2 c grad sqrt(rho)|^2`` instead,
        which is finite.  Faces that nothing crosses have speed zero.
        """
        cells, found = CellPressures(rho, self.powers), []
        phi = self.potential(rho)
        for passage in self.through(cells, phi):
            face, flux = passage.face, self.across(passage.face, passage.flux)
            speed = -face.diff(phi + cells.slope) / face.width
            power = flux * speed
            if self.entropy > 0:
                c, root = self.entropy, rho.sqrt()
                full = (face.before(rho) > 0) & (face.after(rho) > 0)
                logarithm = torch.where(rho > 0, rho, 1.0).log()
                edge = face.mean(root) * speed - 2 * c * face.diff(root) / face.width
                speed = speed - c * face.diff(logarithm) / face.width
                power = torch.where(full, flux * speed, edge.square())
                speed = torch.where(full, speed, edge / face.mean(root))
            still = flux == 0
            found.append((torch.where(still, 0.0, speed.abs()), torch.where(still, 0.0, power)))
        return found

    def _stiffness(self, rho: Tensor) -> float:
        """The rate at which powers of the density spread: explicit steps must resolve it."""
        if not self.powers.summands:
            return 0.0
        return 2 * float(largest(self.powers, rho)) * sum(1 / h**2 for h in self.grid.spacing)


def evolve(
    energy: Energy,
    start: GridDensity,
    t1: float,
    times: Array,
    rtol: float,
    evaluations: int | None = None,
    drift: Callable[[Tensor], Tensor] | None = None,
    diffusion: Callable[[Tensor], Tensor] | float | None = None,
) -> Trajectory:
    """Solve up to each of the times.

    A step of length dt may err by ``rtol dt / t1`` in L1, times the mass; an implicit one a little more, where it is
    short.  The flow with no flux and without a risk brings two densities no farther apart in L1.
    """
    volumes = Volumes.of(energy, start)
    transport = Transport.of(start.grid, volumes.closed, start.values, drift, diffusion)
    allowed = rtol * float(start.values.sum()) / t1
    volumes = replace(volumes, transport=transport, allowed=allowed)
    with torch.no_grad():
        march = StiffMarch(volumes, t1, evaluations or EVALUATIONS_CELLS)
        solution = march.solve(start.values, times)
        return travelled(energy, start, solution, lambda t, rho: GridDensity.of(start.grid, rho))
