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
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Energy, Entropy, Internal, Parts, parts
from jko.limits.stopped import LimitStopped, out_of_work
from jko.limits.volumes import faces
from jko.measures import GridDensity
from jko.spaces import Grid
from jko.status import Status
from jko.trajectory import Trajectory

SAFE = 0.9  # of the step in which a cell could lose all it has
SECOND = 0.45  # the same for upwind values of second order, which may be twice those of the cell
LEAST = 1e-13  # of the whole time: a shorter step is a collapse
ERRATIC = 1e-6  # of the step that the drift allows: an estimate that asks for less does not fall with the step
EMPTY = 1e-12  # of the largest density
FLAT = 1e-6  # relative difference of two cells below which a secant is rounding
SHORTER, LONGER = 0.2, 5.0  # a step's length against that before
STILL = 1e-6  # of the error allowed: what a density at rest may yet move, by rounding
EVALUATIONS_CELLS = 1_000_000  # of the right side, unless told otherwise


@dataclass(frozen=True, eq=False)
class Change:
    """``d_t rho``, the inverse of the longest step of Euler's that keeps rho >= 0, and the rounding of d_t rho.

    The last is in L1, of the cells' numbers: without their volume.
    """

    rho: Tensor
    speed: float
    rounding: float


@dataclass(frozen=True, eq=False)
class Volumes:
    """The right side on the cells of a grid."""

    grid: Grid
    terms: Parts
    entropy: float
    powers: tuple[tuple[float, Internal], ...]
    closed: Tensor

    @classmethod
    def of(cls, energy: Energy, start: GridDensity) -> Volumes:
        """Sort the terms; refuse internal energies with negative coefficients."""
        for c, E in energy.terms:
            if isinstance(E, Internal) and c < 0:
                raise ValueError(
                    f"{E!r} has the coefficient {c:g}; a negative one is diffusion backwards in time, which has no "
                    "solution: use a coefficient >= 0"
                )
        terms = parts(energy, start).compressed()
        entropy = sum(c for c, E in terms.internal if isinstance(E, Entropy))
        powers = tuple((c, E) for c, E in terms.internal if not isinstance(E, Entropy))
        closed = torch.isposinf(terms.potential).reshape(start.grid.shape)
        return cls(start.grid, terms, entropy, powers, closed)

    def pressure(self, rho: Tensor) -> tuple[Tensor, Tensor]:
        """xi without the entropy's part, and phi; both are 0 in closed cells."""
        terms = self.terms
        phi = terms.potential
        if terms.features is not None and terms.targets is not None:
            masses = rho.reshape(-1) * self.grid.cell
            phi = phi + terms.features.T @ (terms.features @ masses - terms.targets)
        if terms.rest is not None:
            phi = phi + terms.rest.variation(GridDensity.of(self.grid, rho))
        phi = torch.where(self.closed, 0.0, phi.reshape(rho.shape))
        slopes = (c * E.slope(rho) for c, E in self.powers)
        return torch.where(self.closed, 0.0, sum(slopes, phi)), phi

    def __call__(self, rho: Tensor) -> Change:
        """d_t rho = -div F."""
        xi, phi = self.pressure(rho)
        drho, leaving = torch.zeros_like(rho), torch.zeros_like(rho)
        for k, h in enumerate(self.grid.spacing):
            if rho.shape[k] == 1:
                continue
            flux, up, down = self.across(rho, xi, phi, k)
            drho -= faces.outflow(flux, rho, k) / h
            faces.before(leaving, k).add_(up / h)
            faces.after(leaving, k).add_(down / h)
        speed = float(leaving.amax()) + self._stiffness(rho)
        spread = sum(2 / h**2 for h in self.grid.spacing) * float(xi.abs().amax())
        rounding = torch.finfo(rho.dtype).eps * (speed + spread) * float(rho.sum())
        return Change(drho, speed, rounding)

    def across(self, rho: Tensor, xi: Tensor, phi: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The flux through the faces across axis k, and the shares of their two cells that would leave per time."""
        z, h = xi.diff(dim=k), self.grid.spacing[k]
        if self.entropy > 0:
            up, down = (self.entropy * _bernoulli(s * z / self.entropy) / h for s in (1, -1))
            flux = up * faces.before(rho, k) - down * faces.after(rho, k)
        else:
            v = -z / h
            flux = v * self._carried(rho, v, phi, k)
            up, down = v.clamp(min=0) / SECOND * SAFE, (-v).clamp(min=0) / SECOND * SAFE
        shut = faces.before(self.closed, k) | faces.after(self.closed, k)
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
        for k, h in enumerate(self.grid.spacing):
            flux, _, _ = self.across(rho, xi, phi, k)
            speed = -xi.diff(dim=k) / h
            power = flux * speed
            if self.entropy > 0:
                c, root = self.entropy, rho.sqrt()
                full = (faces.before(rho, k) > 0) & (faces.after(rho, k) > 0)
                logarithm = torch.where(rho > 0, rho, 1.0).log()
                edge = faces.mean(root, k) * speed - 2 * c * root.diff(dim=k) / h
                speed = speed - c * logarithm.diff(dim=k) / h
                power = torch.where(full, flux * speed, edge.square())
                speed = torch.where(full, speed, edge / faces.mean(root, k))
            still = flux == 0
            found.append((torch.where(still, 0.0, speed.abs()), torch.where(still, 0.0, power)))
        return found

    def _carried(self, rho: Tensor, v: Tensor, phi: Tensor, k: int) -> Tensor:
        """The density on the faces: a mean where diffusion rules a cell, upwind where the drift does.

        At most twice that of the cell it comes from.  The measure is the number of Peclet, ``|d phi| / (rho U'')``.
        """
        upwind = faces.upwind(rho, faces.slopes(rho, k).clamp(-2 * rho, 2 * rho), v, k)
        if not self.powers:
            return upwind
        donor = torch.where(v > 0, faces.before(rho, k), faces.after(rho, k))
        D = self._diffusivity(faces.mean(rho, k))
        share = torch.where(D > 0, (2 - phi.diff(dim=k).abs() / D).clamp(0, 1), 0.0)
        return share * torch.minimum(self._between(rho, k), 2 * donor) + (1 - share) * upwind

    def _between(self, rho: Tensor, k: int) -> Tensor:
        """The mean of two cells for which ``mean [U'] = [P]``: of ``1/2 int rho^2`` the arithmetic one."""
        mean, P, slope = faces.mean(rho, k), torch.zeros_like(rho), torch.zeros_like(rho)
        for c, E in self.powers:
            own = E.slope(rho)
            P, slope = P + c * (rho * own - E.U(rho)), slope + c * own
        secant = P.diff(dim=k) / slope.diff(dim=k)
        apart = (rho.diff(dim=k).abs() > FLAT * mean) & secant.isfinite()
        low, high = (f(faces.before(rho, k), faces.after(rho, k)) for f in (torch.min, torch.max))
        return torch.where(apart, secant, mean).clamp(low, high)

    def _diffusivity(self, rho: Tensor) -> Tensor:
        """``sum c rho U''(rho)`` over the powers."""
        terms = (c * rho / E.density_slope(E.slope(rho)) for c, E in self.powers)
        return sum(terms, torch.zeros_like(rho))

    def _stiffness(self, rho: Tensor) -> float:
        """The rate at which powers of the density spread: explicit steps must resolve it."""
        if not self.powers:
            return 0.0
        inside = rho[rho > EMPTY * rho.amax()]
        widths = sum(1 / h**2 for h in self.grid.spacing)
        return 2 * float(self._diffusivity(inside).amax()) * widths


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
    allowed = rtol * float(start.values.sum()) / t1
    march = _March(Volumes.of(energy, start), t1, allowed, evaluations or EVALUATIONS_CELLS)
    states, failure, rested = [start], None, False
    with torch.no_grad():
        for t, end in pairwise(times.tolist()):
            try:
                rho = states[-1].values if rested else march.advance(states[-1].values, t, end)
            except LimitStopped as stop:
                failure, (t, rho) = str(stop), march.reached
                times = np.append(times[: len(states)], t)
            states.append(states[-1] if rested else GridDensity.of(start.grid, rho))
            rested = march.rested
            if failure is not None:
                break
        energies = np.array([float(energy(state)) for state in states])
    status = Status.AT_REST if rested else Status.FINISHED
    status = Status.ERROR if failure else status
    run = Trajectory(times, energies, tuple(states), np.arange(len(times)), status=status)
    if failure is not None:
        raise LimitStopped(failure, run)
    return run


class Trial(NamedTuple):
    """The density after a step, the largest speed on its way, and what it errs in L1 per unit of time."""

    rho: Tensor
    speed: float
    error: float


class _March:
    """The steps in time: how long the next may be, and how much work is left.

    ``allowed`` is the error per unit of time in L1, ``reached`` the time and the density after the last step.
    """

    def __init__(self, volumes: Volumes, t1: float, allowed: float, evaluations: int) -> None:
        self.volumes, self.t1, self.allowed, self.evaluations = volumes, t1, allowed, evaluations
        self.bound, self.left, self.rested = math.inf, evaluations, False
        self.reached: tuple[float, Tensor]

    def advance(self, rho: Tensor, t: float, end: float) -> Tensor:
        """The density at ``end``."""
        self.reached = t, rho
        while t < end:
            first = self.change(rho)
            if self.rests(first, rho, t):
                self.rested = True
                return rho
            if first.speed > 0:
                self.bound = min(self.bound, SAFE / first.speed)
            dt, trial = self.step(rho, first, t, end)
            rho, t = trial.rho, end if dt == end - t else t + dt
            self.bound = dt * _change(trial.error, self.allowed)
            self.reached = t, rho
        return rho

    def change(self, rho: Tensor) -> Change:
        """The right side, as long as there are evaluations left."""
        self.left -= 1
        if self.left < 0:
            remedy = "The steps are as short as diffusion asks on these cells: take a coarser grid, t1 below"
            raise LimitStopped(out_of_work(self.evaluations, self.reached[0], self.t1, remedy))
        return self.volumes(rho)

    def rests(self, first: Change, rho: Tensor, t: float) -> bool:
        """Whether d_t rho is its own rounding, and far too small to matter in the time that is left."""
        moving = float(first.rho.abs().sum())
        left = moving * (self.t1 - t) <= STILL * self.allowed * self.t1
        return moving == 0 or (left and moving <= first.rounding)

    def step(self, rho: Tensor, first: Change, t: float, end: float) -> tuple[float, Trial]:
        """The length of a step that keeps rho >= 0 and errs no more than allowed, and what it gives."""
        while True:
            if not self.bound >= LEAST * self.t1:
                raise LimitStopped(
                    f"the time step fell to {self.bound:.1e} at t = {t:g}: the velocity grows without bound or is no "
                    "number there. Check the potential and the features, take t1 below, or a coarser grid"
                )
            dt = (end - t) / max(1, math.ceil((end - t) / self.bound))
            trial = self.runge_kutta(rho, first, dt)
            if math.isnan(trial.speed + trial.error):
                self.bound = math.nan
            elif dt * trial.speed > 1:
                self.bound = SAFE / trial.speed
            elif trial.error > self.allowed:
                self.bound = dt * _change(trial.error, self.allowed)
                if self.bound < ERRATIC * SAFE / trial.speed:
                    raise LimitStopped(
                        f"at t = {t:g} the error of time would need steps of {self.bound:.1e}, and the drift allows "
                        f"{SAFE / trial.speed:.1e}: where the limiter of the upwind values switches, the estimate "
                        "falls slowly with the step. Raise rtol; the error itself is far below the estimate"
                    )
            else:
                return dt, trial

    def runge_kutta(self, rho: Tensor, first: Change, dt: float) -> Trial:
        """A step of order three made of means of Euler steps (Shu and Osher), and its distance to Heun's of order 2."""
        rho1 = rho + dt * first.rho
        second = self.change(rho1)
        rho2 = 0.75 * rho + 0.25 * (rho1 + dt * second.rho)
        third = self.change(rho2)
        speeds = (first.speed, second.speed, third.speed)
        speed = math.nan if any(map(math.isnan, speeds)) else max(speeds)
        error = float((first.rho + second.rho - 2 * third.rho).abs().sum()) / 3
        return Trial((rho + 2 * (rho2 + dt * third.rho)) / 3, speed, error)


def _change(error: float, allowed: float) -> float:
    """The length of the next step over that of the last: the error per unit of time goes like its square."""
    wanted = SAFE * math.sqrt(allowed / error) if error > 0 else math.inf
    return min(LONGER, max(SHORTER, wanted))
