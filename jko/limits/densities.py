"""The Wasserstein gradient flow of a density on a grid, by finite volumes: (3.7), (4.2), (4.7) with no flux (4.3).

``d_t rho = div(rho grad xi)``,  ``xi = phi + sum_i c_i U_i'(rho)``,  phi the first variation of all other energies.

Across a face with the difference ``z`` of xi, without the entropy's part, the flux is

- with an entropy of strength c, Scharfetter and Gummel's ``(c/h) (B(z/c) rho_- - B(-z/c) rho_+)`` with Bernoulli's
  function ``B(s) = s / (e^s - 1)``: it vanishes exactly at ``rho ~ e^{-z/c}``, so the Gibbs measure of the cells rests;
- without, a density on the face times ``-z/h``: it vanishes where xi is constant.  Where diffusion rules the cell it
  is the mean with ``mean [U'] = [P]``, P = rho U' - U the pressure and [ ] differences across the face: without a drift
  the flux is ``-[P]/h``, as smooth as P, also at a front, where U'' may be infinite.  Where the drift rules, it is an
  upwind value of second order (Carrillo, Chertock and Huang, Commun. Comput. Phys. 17, 2015, have it everywhere; its
  limiter clips maxima).

Both keep rho >= 0 in time steps that empty no cell, and are of second order where rho is smooth.  It shares the energy
with the JKO steps and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Energy, Entropy, Mixture, Parts, parts
from jko.limits.course import travelled
from jko.limits.rungekutta import CellEquations, March, Slope, Stages, next_length
from jko.limits.stopped import LimitStopped, nowhere
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import FLAT, diffusivity, largest, split
from jko.measures import GridDensity
from jko.spaces import FacesAcross, Grid
from jko.trajectory import Trajectory

SECOND = 0.5  # of that step, for upwind values of second order, which may be twice the cell's
ERRATIC = 1e-6  # of the step that the drift allows: an estimate that asks for less does not fall with the step
STILL = 1e-6  # of the error allowed: what a density at rest may yet move, by rounding
EVALUATIONS_CELLS = 1_000_000  # of the right side, unless told otherwise


@dataclass(frozen=True, eq=False)
class DensitySlope(Slope):
    """``d_t rho`` and its rounding in L1, of the cells' numbers: without their volume."""

    rounding: float


@dataclass(frozen=True, eq=False)
class Volumes(CellEquations[DensitySlope]):
    """The right side on the cells of a grid.

    ``terms`` are those of phi, ``entropy`` is the strength of the entropy, ``powers`` all other internal energies,
    ``closed`` the cells of an obstacle.
    ``allowed`` is the error of time that is allowed per unit of time, in L1 of the cells' numbers.
    """

    safe: ClassVar[float] = 0.9
    least: ClassVar[float] = 1e-13
    longer: ClassVar[float] = 5.0
    remedy: ClassVar[str] = (
        "The steps are as short as diffusion asks on these cells: take a coarser grid, t1 below"
    )

    grid: Grid
    terms: Parts
    entropy: float
    powers: Mixture
    closed: Tensor
    allowed: float = math.inf

    @classmethod
    def of(cls, energy: Energy, start: GridDensity) -> Volumes:
        """Sort the terms; refuse internal energies with negative coefficients."""
        internal = split(energy)[0].summands
        terms = replace(parts(energy, start), internal=()).compressed()
        entropy = sum(c for c, E in internal if isinstance(E, Entropy))
        powers = Mixture(tuple((c, E) for c, E in internal if not isinstance(E, Entropy)))
        closed = torch.isposinf(terms.potential).reshape(start.grid.shape)
        return cls(start.grid, terms, entropy, powers, closed)

    def pressure(self, rho: Tensor) -> tuple[Tensor, Tensor]:
        """xi without the entropy's part, and phi; both are 0 in closed cells."""
        phi = self.terms.slope(rho.reshape(-1) * self.grid.cell).reshape(rho.shape)
        phi = torch.where(self.closed, 0.0, phi)
        return torch.where(self.closed, 0.0, phi + self.powers.slope(rho)), phi

    def __call__(self, t: float, U: Tensor) -> DensitySlope:
        """d_t rho = -div F."""
        rho = U
        xi, phi = self.pressure(rho)
        drho, leaving = torch.zeros_like(rho), torch.zeros_like(rho)
        for face in self.grid.across:
            flux, up, down = self.across(rho, xi, phi, face)
            drho -= face.outflow(flux) / face.width
            leaving += (face.upper(up) + face.lower(down)) / face.width
        speed = float(leaving.amax()) + self._stiffness(rho)
        spread = sum(2 / h**2 for h in self.grid.spacing) * float(xi.abs().amax())
        rounding = torch.finfo(rho.dtype).eps * (speed + spread) * float(rho.sum())
        return DensitySlope(drho, speed, rounding)

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

    def across(
        self, rho: Tensor, xi: Tensor, phi: Tensor, face: FacesAcross
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The flux through the faces across an axis, and the shares of their two cells that would leave per time."""
        z, h = face.diff(xi), face.width
        if self.entropy > 0:
            up, down = (self.entropy * _bernoulli(s * z / self.entropy) / h for s in (1, -1))
            flux = up * face.before(rho) - down * face.after(rho)
        else:
            v = -z / h
            flux = v * self._carried(rho, v, phi, face)
            up, down = v.clamp(min=0) / SECOND, (-v).clamp(min=0) / SECOND
        shut = face.before(self.closed) | face.after(self.closed)
        return (
            torch.where(shut, 0.0, flux),
            torch.where(shut, 0.0, up),
            torch.where(shut, 0.0, down),
        )

    def speeds(self, rho: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Across each axis, of every face, the speed ``|grad xi|`` and the power ``flux . (-grad xi)``; xi = dF/dmu.

        The powers times the volume of a cell add up to -dF/dt of the discrete F along these finite volumes.  Where
        the entropy's xi is -inf, in an empty cell, the power is ``|sqrt(rho) grad z + 2 c grad sqrt(rho)|^2`` instead,
        which is finite.  Faces that nothing crosses have speed zero.
        """
        xi, phi = self.pressure(rho)
        found = []
        for face in self.grid.across:
            flux, _, _ = self.across(rho, xi, phi, face)
            speed = -face.diff(xi) / face.width
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

    def _carried(self, rho: Tensor, v: Tensor, phi: Tensor, face: FacesAcross) -> Tensor:
        """The density on the faces: a mean where diffusion rules a cell, upwind where the drift does.

        At most twice that of the cell it comes from.  The measure is the number of Peclet, ``|d phi| / (rho U'')``.
        """
        upwind = faces.upwind(rho, faces.slopes(rho, face).clamp(-2 * rho, 2 * rho), v, face)
        if not self.powers.summands:
            return upwind
        donor = torch.where(v > 0, face.before(rho), face.after(rho))
        D = diffusivity(self.powers, face.mean(rho))
        share = torch.where(D > 0, (2 - face.diff(phi).abs() / D).clamp(0, 1), 0.0)
        return share * torch.minimum(self._between(rho, face), 2 * donor) + (1 - share) * upwind

    def _between(self, rho: Tensor, face: FacesAcross) -> Tensor:
        """The mean of two cells for which ``mean [U'] = [P]``: of ``1/2 int rho^2`` the arithmetic one."""
        mean = face.mean(rho)
        secant = face.diff(self.powers.pressure(rho)) / face.diff(self.powers.slope(rho))
        apart = (face.diff(rho).abs() > FLAT * mean) & secant.isfinite()
        low, high = (f(face.before(rho), face.after(rho)) for f in (torch.min, torch.max))
        return torch.where(apart, secant, mean).clamp(low, high)

    def _stiffness(self, rho: Tensor) -> float:
        """The rate at which powers of the density spread: explicit steps must resolve it."""
        if not self.powers.summands:
            return 0.0
        return 2 * float(largest(self.powers, rho)) * sum(1 / h**2 for h in self.grid.spacing)


def _bernoulli(s: Tensor) -> Tensor:
    """``s / (e^s - 1)``, 1 at 0."""
    small = s.abs() < 1e-5
    safe = torch.where(small, 1.0, s)
    return torch.where(small, 1 - 0.5 * s, safe / torch.expm1(safe))


def evolve(
    energy: Energy,
    start: GridDensity,
    t1: float,
    times: NDArray[np.float64],
    rtol: float,
    evaluations: int | None = None,
) -> Trajectory:
    """Solve up to each of the times, by the three-stage method of Shu and Osher.

    A step of length dt may err by ``rtol dt / t1`` in L1, times the mass.  The flow with no flux and without a risk
    brings two densities no farther apart in L1, so that at t1 the error of time is rtol.
    """
    volumes = replace(Volumes.of(energy, start), allowed=rtol * float(start.values.sum()) / t1)
    with torch.no_grad():
        solution = March(volumes, t1, evaluations or EVALUATIONS_CELLS).solve(start.values, times)
        return travelled(energy, start, solution, lambda t, rho: GridDensity.of(start.grid, rho))
