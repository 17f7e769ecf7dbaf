"""The right side of the three systems on cells, and how long the steps in time may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Energy, Mixture, value_of
from jko.limits.course import travelled
from jko.limits.rule import CARRIES, Noise, Rule
from jko.limits.rungekutta import CellEquations, March, Slope, Stages
from jko.limits.stopped import nowhere
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import check_noise, fluxes, split, steepest, velocity
from jko.limits.volumes.forces import Forces
from jko.measures import ChargedDensity, State
from jko.spaces import FacesAcross, Grid
from jko.trajectory import Trajectory

BEND = 0.005  # of max |H|: how far p may bend the path of H in a step; Runge-Kutta's error is far below
NOISE = 1e-6  # of max |H|: a bend as small as this may even turn p around, as where p is zero up to rounding


@dataclass(frozen=True, eq=False)
class PairSlope(Slope):
    """d_t rho and d_t H, and p; the speed counts the steps too that leave H between its neighbours."""

    p: Tensor


@dataclass(frozen=True, eq=False)
class PairVolumes(CellEquations[PairSlope]):
    """The right side of one of the three systems on the cells of a grid, for U = (rho, H), (2, *grid.shape).

    rho: fluxes with upwind values (MUSCL, MC limiter), and minus the differences of the pressure of internal energies.
    H: ``-a . grad H - p`` with the same upwind values, as ``-[a_R (H_R - H_i) + a_L (H_i - H_L)] / dx``.  It never
    divides by rho, and a constant H stays constant.  Averaged over noise, H spreads too: ``+ c Lap H``, and is carried
    by twice the velocity of diffusion, backwards.
    """

    safe: ClassVar[float] = 0.8  # a Courant number of 0.4
    least: ClassVar[float] = 1e-7
    longer: ClassVar[float] = 2.0
    remedy: ClassVar[str] = (
        "The steps are as short as the cells and diffusion ask: take a coarser grid, t1 below"
    )

    rule: Rule
    grid: Grid
    forces: Forces
    internal: Mixture
    noise: Noise
    scale: float  # of H: its largest value at the start

    def __call__(self, t: float, U: Tensor) -> PairSlope:
        """d_t rho = -div(rho u), d_t H = -a . grad H - p."""
        rho, H = U
        velocities, p = self.forces(ChargedDensity.of(self.grid, rho, H))
        P = self.internal.pressure(rho)
        spreading, D = fluxes(P, self.grid), steepest(self.internal, self.grid, rho, P)
        rates, speed = torch.stack([torch.zeros_like(rho), -p]), rho.new_zeros(())
        drho, dH = rates
        for face, v, q in zip(self.grid.across, velocities, spreading, strict=True):
            if not v.numel():
                continue
            h = face.width
            slopes = faces.slopes(rho, face).clamp(-2 * rho, 2 * rho)  # bites at walls alone
            flux = v * faces.upwind(rho, slopes, v, face) + q
            drho -= face.outflow(flux) / h
            fastest = 2 * v.abs().amax() / h + 2 * D / h**2
            if self.rule.carried:
                a = v + CARRIES[self.noise] * velocity(q, rho, face)
                up = faces.upwind(H, faces.slopes(H, face), a, face)
                dH -= face.upper(a * (up - face.before(H)) / h)
                dH -= face.lower(a * (face.after(H) - up) / h)
                along = 2 * self._signal(a, H, p, face) / h
                if self.noise == "averaged":
                    dH += self._spread(face, H)
                    along = along + 2 * D / h**2
                fastest = torch.maximum(fastest, along)
            speed = speed + fastest
        return PairSlope(rates, float(speed), p)

    def _spread(self, face: FacesAcross, H: Tensor) -> Tensor:
        """``c Lap H`` across one axis, with no flux through the walls."""
        c = sum(c for c, _ in self.internal.summands)
        return -c * face.outflow(-face.diff(H) / face.width) / face.width

    def _signal(self, a: Tensor, H: Tensor, p: Tensor, face: FacesAcross) -> Tensor:
        """How fast signals move in H; where the velocity holds -p grad H, that is (3.21), faster than it."""
        steepness = face.diff(H) / face.width if self.rule.total else 0
        return (a.abs() + (face.mean(p) * steepness).abs()).amax()

    def error(self, step: Stages[PairSlope]) -> float:
        """How far p bends the path of H, relative to H; at least twice too far if p turns around."""
        first, second, _ = (stage.p for stage in step.stages)
        turn = float((second - first).abs().amax())
        scale = max(self.scale, *(float(U[1].abs().amax()) for U in (step.U, step.after)))
        bend = 0.5 * step.dt * turn / (scale or 1.0)
        unstable = turn > float(first.abs().amax()) and bend > NOISE
        return (max(bend, 2 * BEND) if unstable else bend) / BEND

    def stuck(self, t: float, t1: float, bound: float) -> str:
        """Velocities that are no numbers, or steepen without bound."""
        if not bound > 0:
            return nowhere(t)
        return (
            f"the time step fell to {bound:.1e} at t = {t:g}: the solution changes without bound there, as (3.19) and "
            "(3.21) can where H becomes steep, and H where the potential is not bounded below. Take t1 below, a "
            "coarser grid, or add an internal energy such as 0.01 * jko.Entropy()"
        )


def evolve(
    rule: Rule,
    energy: Energy,
    start: ChargedDensity,
    t1: float,
    times: NDArray[np.float64],
    noise: Noise,
    evaluations: int,
) -> Trajectory:
    """Solve a system on the grid of ``start``, whose H is finite in all cells, up to each of the times."""
    grid, (internal, rest) = start.grid, split(energy)
    check_noise(rule, noise, internal)
    if not math.isfinite(value := value_of(energy, start)):
        raise ValueError(
            f"the energy of the start is {value:g}; mass lies where a potential is infinite, or a feature is not "
            "finite: set the density of those cells to zero and normalise"
        )
    largest = float(start.H.abs().amax())
    cells = PairVolumes(rule, grid, Forces.of(rule, rest, start), internal, noise, largest)

    def finite(state: State) -> float:
        if math.isfinite(value := value_of(energy, state)):
            return value
        raise ValueError(
            f"the energy is {value:g}: mass came to where a potential is infinite, a wall that a velocity "
            "does not see. Cut the grid at the wall instead: no mass leaves a grid"
        )

    with torch.no_grad():
        U = torch.stack([start.values, start.H])
        solution = March(cells, t1, evaluations).solve(U, times)
        return travelled(finite, start, solution, lambda t, U: ChargedDensity.of(grid, *U))
