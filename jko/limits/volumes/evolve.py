"""The right side of the three systems on cells, and Runge-Kutta steps that keep rho >= 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.energies import Energy
from jko.limits.volumes import faces
from jko.limits.volumes.diffusion import Diffusion, fluxes, split, velocity
from jko.limits.volumes.forces import Forces
from jko.measures import ChargedDensity
from jko.spaces import Grid
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
) -> Trajectory:
    """Solve a system on the grid of ``start``, whose H is finite in all cells, up to each of the times."""
    diffusion, rest = split(energy)
    energies = [_finite(float(energy(start)), 0.0)]
    forces = Forces.of(system, rest, start)
    scheme = Scheme(system, start.grid, forces, diffusion, literal, float(start.H.abs().amax()))
    states, longest = [start], t1
    with torch.no_grad():
        for t, then in pairwise(times.tolist()):
            state, longest = _advance(scheme, states[-1], t, then, longest, LEAST * t1)
            states.append(state)
            energies.append(_finite(float(energy(state)), then))
    return Trajectory(
        times=times, energies=np.array(energies), states=tuple(states), kept=np.arange(len(times))
    )


def _advance(
    scheme: Scheme, pair: ChargedDensity, t: float, end: float, longest: float, least: float
) -> tuple[ChargedDensity, float]:
    """The pair at ``end``, and the longest step that H's own motion would have allowed last."""
    rho, H = pair.values, pair.H
    while t < end:
        first = scheme(rho, H)
        if not math.isfinite(first.speed):
            raise RuntimeError(_nowhere(t))
        bound = min(longest, SAFE / first.speed if first.speed else math.inf)
        while True:
            if bound < least:
                raise RuntimeError(_collapsed(t, bound))
            steps = math.ceil((end - t) / bound)
            dt = (end - t) / steps
            trial = _runge_kutta(scheme, rho, H, first, dt)
            if dt * trial.speed <= 1 and trial.bend <= BEND:
                break
            bound = _shorter(dt, trial)
        longest = dt * min(2.0, 0.9 * math.sqrt(BEND / trial.bend)) if trial.bend else 2 * dt
        rho, H = trial.rho, trial.H
        t = end if steps == 1 else t + dt
    return ChargedDensity.of(pair.grid, rho, H), longest


def _runge_kutta(scheme: Scheme, rho: Tensor, H: Tensor, first: Change, dt: float) -> Trial:
    """A step of order three made of means of Euler steps (Shu and Osher)."""
    rho1, H1 = rho + dt * first.rho, H + dt * first.H
    second = scheme(rho1, H1)
    rho2 = 0.75 * rho + 0.25 * (rho1 + dt * second.rho)
    H2 = 0.75 * H + 0.25 * (H1 + dt * second.H)
    third = scheme(rho2, H2)
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
    raise RuntimeError(
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
