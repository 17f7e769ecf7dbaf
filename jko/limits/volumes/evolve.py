"""The right side of the three systems on cells, and Runge-Kutta steps that keep rho >= 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Energy
from jko.limits.stopped import LimitStopped, out_of_work
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import Diffusion, fluxes, split, velocity
from jko.limits.volumes.forces import Forces
from jko.measures import ChargedDensity
from jko.spaces import Grid
from jko.status import Status
from jko.trajectory import Trajectory

if TYPE_CHECKING:
    from jko.limits.systems import System

SAFE = 0.8  # of the step in which a cell could lose all it has: a Courant number of 0.4
BEND = 0.005  # of max |H|: how far p may bend the path of H in a step; Runge-Kutta's error is far below
NOISE = 1e-6  # of max |H|: a bend as small as this may even turn p around, as where p is zero up to rounding
LEAST = 1e-7  # of t1: a shorter step is a collapse


class Change(NamedTuple):
    """d_t rho and d_t H; p; the inverse of the longest Euler step that keeps rho >= 0 and H between its neighbours."""

    rho: Tensor
    H: Tensor
    p: Tensor
    speed: float


class Trial(NamedTuple):
    """rho and H after a step, the largest speed on its way, and by how much p bends H there, relative to H."""

    rho: Tensor
    H: Tensor
    speed: float
    bend: float


@dataclass(frozen=True, eq=False)
class Scheme:
    """The right side of one of the three systems on the cells of a grid.

    rho: fluxes with upwind values (MUSCL, MC limiter), and minus the differences of the pressure of internal energies.
    H: ``-a . grad H - p`` with the same upwind values, as ``-[a_R (H_R - H_i) + a_L (H_i - H_L)] / dx``.  It never
    divides by rho, and a constant H stays constant.
    """

    system: System
    grid: Grid
    forces: Forces
    diffusion: Diffusion
    literal: bool
    scale: float  # of H: its largest value at the start

    def __call__(self, rho: Tensor, H: Tensor) -> Change:
        """d_t rho = -div(rho u), d_t H = -a . grad H - p."""
        velocities, p = self.forces(ChargedDensity.of(self.grid, rho, H))
        P = self.diffusion.pressure(rho)
        spreading, D = fluxes(P, self.grid.spacing), self.diffusion.diffusivity(rho, P)
        drho, dH, speed = torch.zeros_like(rho), -p, rho.new_zeros(())
        for k, (h, v, q) in enumerate(zip(self.grid.spacing, velocities, spreading, strict=True)):
            if not v.numel():
                continue
            slopes = faces.slopes(rho, k).clamp(-2 * rho, 2 * rho)  # bites at walls alone
            flux = v * faces.upwind(rho, slopes, v, k) + q
            drho -= faces.outflow(flux, rho, k) / h
            fastest = 2 * v.abs().amax() / h + 2 * D / h**2
            if self.system.carried:
                a = v if self.literal else v + velocity(q, rho, k)
                up = faces.upwind(H, faces.slopes(H, k), a, k)
                faces.before(dH, k).sub_(a * (up - faces.before(H, k)) / h)
                faces.after(dH, k).sub_(a * (faces.after(H, k) - up) / h)
                fastest = torch.maximum(fastest, 2 * self._signal(a, H, p, k) / h)
            speed = speed + fastest
        return Change(drho, dH, p, float(speed))

    def _signal(self, a: Tensor, H: Tensor, p: Tensor, k: int) -> Tensor:
        """How fast signals move in H; where the velocity holds -p grad H, that is (3.21), faster than it."""
        steepness = H.diff(dim=k) / self.grid.spacing[k] if self.system.total else 0
        return (a.abs() + (faces.mean(p, k) * steepness).abs()).amax()


def evolve(
    system: System,
    energy: Energy,
    start: ChargedDensity,
    t1: float,
    times: NDArray[np.float64],
    literal: bool,
    evaluations: int,
) -> Trajectory:
    """Solve a system on the grid of ``start``, whose H is finite in all cells, up to each of the times."""
    diffusion, rest = split(energy)
    energies = [_finite(float(energy(start)), 0.0)]
    forces = Forces.of(system, rest, start)
    scheme = Scheme(system, start.grid, forces, diffusion, literal, float(start.H.abs().amax()))
    march = _March(scheme, t1, evaluations)
    states, failure = [start], None
    with torch.no_grad():
        for t, then in pairwise(times.tolist()):
            try:
                state = states[-1] if march.rested else march.advance(states[-1], t, then)
                value = energies[-1] if march.rested else _finite(float(energy(state)), then)
            except LimitStopped as stop:
                failure = str(stop)
                at, state = march.reached
                times = times[: len(states)]
                if at > times[-1]:
                    times = np.append(times, at)
                    states.append(state)
                    energies.append(float(energy(state)))
                break
            states.append(state)
            energies.append(value)
    status = Status.AT_REST if march.rested else Status.FINISHED
    status = Status.ERROR if failure else status
    kept = np.arange(len(times))
    run = Trajectory(times, np.array(energies), tuple(states), kept, status=status)
    if failure is not None:
        raise LimitStopped(failure, run)
    return run


class _March:
    """The steps in time: how long the next may be, how much work is left, and where the last one ended, ``reached``."""

    def __init__(self, scheme: Scheme, t1: float, evaluations: int) -> None:
        self.scheme, self.t1, self.evaluations = scheme, t1, evaluations
        self.longest, self.left, self.rested = t1, evaluations, False
        self.reached: tuple[float, ChargedDensity]

    def advance(self, pair: ChargedDensity, t: float, end: float) -> ChargedDensity:
        """The pair at ``end``."""
        self.reached = t, pair
        rho, H = pair.values, pair.H
        while t < end:
            first = self.change(rho, H)
            if not math.isfinite(first.speed):
                raise LimitStopped(_nowhere(t))
            if not bool(first.rho.any()) and not bool(first.H.any()):
                self.rested = True
                return self.reached[1]
            dt, trial = self.step(rho, H, first, t, end)
            bend = trial.bend
            self.longest = dt * min(2.0, 0.9 * math.sqrt(BEND / bend)) if bend else 2 * dt
            rho, H, t = trial.rho, trial.H, end if dt == end - t else t + dt
            self.reached = t, ChargedDensity.of(pair.grid, rho, H)
        return self.reached[1]

    def change(self, rho: Tensor, H: Tensor) -> Change:
        """The right side, as long as there are evaluations left."""
        self.left -= 1
        if self.left < 0:
            remedy = "The steps are as short as the cells and diffusion ask: take a coarser grid, t1 below"
            raise LimitStopped(out_of_work(self.evaluations, self.reached[0], self.t1, remedy))
        return self.scheme(rho, H)

    def step(
        self, rho: Tensor, H: Tensor, first: Change, t: float, end: float
    ) -> tuple[float, Trial]:
        """The length of a step that keeps rho >= 0 and the path of H smooth, and what it gives."""
        bound = min(self.longest, SAFE / first.speed if first.speed else math.inf)
        while True:
            if bound < LEAST * self.t1:
                raise LimitStopped(_collapsed(t, bound))
            dt = (end - t) / math.ceil((end - t) / bound)
            trial = _runge_kutta(self.scheme, self.change, rho, H, first, dt)
            if dt * trial.speed <= 1 and trial.bend <= BEND:
                return dt, trial
            bound = _shorter(dt, trial)


def _runge_kutta(
    scheme: Scheme,
    change: Callable[[Tensor, Tensor], Change],
    rho: Tensor,
    H: Tensor,
    first: Change,
    dt: float,
) -> Trial:
    """A step of order three made of means of Euler steps (Shu and Osher)."""
    rho1, H1 = rho + dt * first.rho, H + dt * first.H
    second = change(rho1, H1)
    rho2 = 0.75 * rho + 0.25 * (rho1 + dt * second.rho)
    H2 = 0.75 * H + 0.25 * (H1 + dt * second.H)
    third = change(rho2, H2)
    rho3 = (rho + 2 * (rho2 + dt * third.rho)) / 3
    H3 = (H + 2 * (H2 + dt * third.H)) / 3
    speeds = (first.speed, second.speed, third.speed)
    speed = math.nan if any(map(math.isnan, speeds)) else max(speeds)
    turn = float((second.p - first.p).abs().amax())
    scale = max(scheme.scale, float(H.abs().amax()), float(H3.abs().amax()))
    bend = 0.5 * dt * turn / (scale or 1.0)
    unstable = turn > float(first.p.abs().amax()) and bend > NOISE
    return Trial(rho3, H3, speed, max(bend, 2 * BEND) if unstable else bend)


def _shorter(dt: float, trial: Trial) -> float:
    """A step to try after one of dt that emptied a cell, bent H too far, or ended in no numbers."""
    if not math.isfinite(trial.speed + trial.bend):
        return dt / 4
    if dt * trial.speed > 1:
        return SAFE / trial.speed
    return dt * max(0.2, 0.9 * math.sqrt(BEND / trial.bend))


def _finite(value: float, t: float) -> float:
    if math.isfinite(value):
        return value
    if t == 0:
        raise ValueError(
            f"the energy of the start is {value:g}; mass lies where a potential is infinite, or a feature is not "
            "finite: set the density of those cells to zero and normalise"
        )
    raise LimitStopped(
        f"the energy is {value:g} at t = {t:g}: mass came to where a potential is infinite, a wall that a velocity "
        "does not see. Cut the grid at the wall instead: no mass leaves a grid"
    )


def _nowhere(t: float) -> str:
    if t == 0:
        return "the gradient of the energy is not finite at the start; check data, features and potentials"
    return (
        f"the velocity is not finite at t = {t:g}; take t1 below, and check features and potentials"
    )


def _collapsed(t: float, bound: float) -> str:
    return (
        f"the time step fell to {bound:.1e} at t = {t:g}: the solution changes without bound there, as (3.19) and "
        "(3.21) can where H becomes steep, and H where the potential is not bounded below. Take t1 below, a coarser "
        "grid, or add an internal energy such as 0.01 * jko.Entropy()"
    )
