"""From a first guess to the minimiser: epsilon lowered in halves, then passes over what enters by linearisation.

Two things are linearised: terms of the energy that have no proximal map (``rest``), and the concave part
``-OT(mu, mu) / 2`` of the Sinkhorn divergence.  The latter lies below its tangents: the objective falls in every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies import Congestion, Parts, refuse, sorted_terms
from jko.measures import GridDensity, Particles, State
from jko.metrics.entropic import costs_between
from jko.metrics.entropic.dual import Coupled, EntropicDual
from jko.metrics.entropic.kernel import Costs, Kernel, deep_sums
from jko.metrics.entropic.scaling import SelfTransport, self_transport
from jko.steps.problem import StepProblem
from jko.steps.sinkhorn.proximal import ProximalMap

EMPTY = {GridDensity: 40.0, Particles: 650.0}  # densities below e^-EMPTY of the largest are none
KEEP = 2**24  # pairs of atoms up to which matrices are kept: 128 MiB each
LOOSE = 0.05  # residual at which the next, smaller epsilon begins
FOLLOW = 10  # iterations at most before that
SPREAD = 100.0  # epsilon begins at this fraction of the spread of 2 tau dE/dmu over the mass
SLOWLY = 0.9  # a pass that changes more than this part of what the last one did overshoots
INEXACT = 0.1  # of the change of the last pass: what the next pass is solved to
ITSELF = 1e-6  # L1, for the plan of a measure with itself; what it costs in the value is its square

Volumes = Callable[[Tensor], Any] | Tensor | None


@dataclass(frozen=True, eq=False)
class Support:
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
    costs: Costs
    kernel: Kernel
    volumes: Tensor
    masses: Tensor
    cutoff: float

    @classmethod
    def of(cls, problem: StepProblem, epsilon: float, volumes: Volumes) -> Support:
        """Read the base point; refuse states that have no fixed support."""
        state = problem.previous
        refuse(
            sorted_terms(problem.energy).of(Congestion),
            "{energy} in a step of Sinkhorn, whose densities meet a limit up to its tolerance only, and have the "
            "energy +inf then; take jko.Dynamic(), or jko.Conic(static=True)",
        )
        hint = (
            "the entropic step keeps the support and changes the masses: take jko.GridDensity, jko.Particles "
            "(for a pair: .lift()), or another solver"
        )
        state = checks.kind("the state of jko.Sinkhorn", state, GridDensity, Particles, hint=hint)
        masses, costs = state.weights.double(), costs_between(state, state, KEEP)
        if isinstance(state, GridDensity):
            if volumes is not None:
                raise ValueError(
                    "volumes are for particles; the cells of a GridDensity have theirs: leave volumes out"
                )
            v, cutoff = state.volumes.double(), EMPTY[GridDensity]
        else:
            v, cutoff = point_volumes(volumes, state).double(), EMPTY[Particles]
        density = masses / v
        masses = masses.masked_fill(density < density.max() * math.exp(-cutoff), 0)
        return cls(problem, costs, costs.kernel(epsilon), v, masses / masses.sum(), cutoff)

    @cached_property
    def parts(self) -> Parts:
        """The energy, its risks with few rows, in float64."""
        found = self.problem.parts
        A, b = (t if t is None else t.double() for t in (found.features, found.targets))
        V = found.potential.double()
        found = replace(found, potential=V, features=A, targets=b, volumes=self.volumes)
        return found.compressed().tabulated()

    @property
    def kappa(self) -> float:
        """``2 tau / epsilon``, which turns energies into exponents."""
        return 2 * self.problem.tau / self.kernel.epsilon

    @property
    def blurred(self) -> Tensor:
        """The masses for E = 0: each point of mu_k spread by the kernel, (N,)."""
        log_v, m = self.volumes.log(), self.masses
        total = self.kernel.sums(log_v, 0.0).log
        spread = self.kernel.sums(torch.where(m > 0, m.log() - total, -torch.inf), 0.0).log
        return (log_v + spread).exp()

    def dual(self, kernel: Kernel, slope: Tensor | None, tilt: Tensor) -> EntropicDual:
        """The dual at an epsilon, with terms of this ``slope`` linearised, and with kernel rows that are tilted."""
        parts = self.parts
        if slope is not None:
            parts = replace(parts, potential=parts.potential + slope)
        kappa = 2 * self.problem.tau / kernel.epsilon
        proximal = ProximalMap(parts, self.volumes, kappa)
        return EntropicDual(kernel, proximal, self.masses, tilt, self.cutoff)

    def with_itself(self, masses: Tensor, log: Tensor | None, tol: float) -> Itself:
        """The plan of a measure on the support with itself, from log d of one near it."""
        density = (masses / self.volumes).log()
        start = -0.5 * density if log is None else log - density
        start = torch.where(start.isfinite(), start, -0.5 * density)
        found = self_transport(self.kernel, masses, start, tol)
        return Itself(torch.where(masses > 0, density + found.phi, -torch.inf), found)

    @property
    def remembered(self) -> Tensor | None:
        """Log d of mu_k with itself, from the step that led to it."""
        start = self.problem.memory.get("self_scaling")
        return start if start is not None and start.shape == self.masses.shape else None

    def state(self, masses: Tensor) -> State:
        """The next state: particles of no mass are left out."""
        mu = self.parts.measure(masses)
        if isinstance(mu, Particles) and mu.has_empty_atoms:
            full = mu.weights > 0
            return Particles.of(mu.points[full], mu.weights[full], mu.domain)
        return mu


@dataclass(frozen=True, eq=False)
class Itself:
    """The plan ``d_i v_i K_ij v_j d_j`` of a measure with itself: ``log`` d (N,), -inf outside the support."""

    log: Tensor
    plan: SelfTransport

    @property
    def filled(self) -> Tensor:
        """Outside the support of the last pass the rows of the kernel weigh as much as the lightest inside."""
        inside = self.log > -torch.inf
        return torch.where(inside, self.log, self.log[inside].min())


@dataclass(frozen=True, eq=False)
class EntropicPlan:
    """The plan ``v e^(alpha + tilt) K e^beta m``, whose second marginal is m to rounding.

    Attributes
    ----------
    masses : (N,)
        The first marginal.
    alpha, tilt, beta : (N,)
        Logarithms of the scalings; alpha is ``-2 tau / epsilon dE/dmu``, also where there is no mass.
    spread : (N,)
        Mean squared distance over which the mass of each point came.
    dual : float
        Value of the dual of the last pass, without the constant of the energy.
    residual : float
        L1 distance of the second marginal to m before that, and change of the masses in the last pass (0 where
        nothing is linearised).
    """

    masses: Tensor
    alpha: Tensor
    tilt: Tensor
    beta: Tensor
    spread: Tensor
    dual: float
    residual: float
    iterations: int = 0
    applications: int = 0
    itself: Itself | None = None


def minimise(
    support: Support, phi: Tensor, tol: float, rounds: int, debiased: bool
) -> EntropicPlan:
    """Minimise from a guess ``phi`` (N,) of dE/dmu."""
    phi, iterations, applications = _anneal(support, phi)
    parts, before, change = support.parts, support.masses, 2.0
    slope = None if parts.rest is None else parts.slope_of_rest(before)
    itself = support.with_itself(before, support.remembered, INEXACT * tol) if debiased else None
    last, share, here = slope is None and itself is None, 1.0, None
    while True:
        tilt = torch.zeros_like(phi) if itself is None else itself.filled
        dual = support.dual(support.kernel, slope, tilt)
        here = dual.from_first(-support.kappa * phi) if here is None else dual.at(here.beta, here)
        target = tol if last else max(0.5 * tol, INEXACT * change)
        here, count = dual.minimise(here, target, max(rounds - iterations, 1))
        iterations, applications = iterations + count, applications + dual.applications
        found = _plan(support, dual, here)
        old, change = change, 0.0 if last else float((found.masses - before).abs().sum())
        residual = here.residual + change
        if residual <= tol or last or iterations >= rounds:
            return replace(
                found,
                residual=residual,
                iterations=iterations,
                applications=applications,
                itself=itself,
            )
        before = found.masses
        if slope is not None:
            share = 0.5 * share if change > SLOWLY * old else share
            slope = slope + share * (parts.slope_of_rest(before) - slope)
        if itself is not None:
            itself = support.with_itself(before, itself.log, INEXACT * tol)
            applications += itself.plan.applications


def _anneal(support: Support, phi: Tensor) -> tuple[Tensor, int, int]:
    """Halve epsilon down to its value, following the minimiser loosely."""
    m, tau, final = support.masses, support.problem.tau, support.kernel.epsilon
    flat = torch.where((m > 0) & phi.isfinite(), phi, 0)
    spread = float((m @ (flat - m @ flat).square()).sqrt())
    epsilon, levels = 2 * final, []
    while epsilon <= 4 * tau * spread / SPREAD:
        levels.append(epsilon)
        epsilon *= 2
    slope = None if support.parts.rest is None else support.parts.slope_of_rest(m)
    iterations = applications = 0
    for epsilon in reversed(levels):
        dual = support.dual(support.costs.kernel(epsilon), slope, torch.zeros_like(phi))
        kappa = 2 * tau / epsilon
        here, count = dual.minimise(dual.from_first(-kappa * phi), LOOSE, FOLLOW)
        phi = -here.marginal.alpha / kappa
        iterations, applications = iterations + count, applications + dual.applications
    return phi, iterations, applications


def _plan(support: Support, dual: EntropicDual, here: Coupled) -> EntropicPlan:
    """One more half of an iteration makes the second marginal, and with it the mass, exact."""
    alpha, beta, tilt = here.marginal.alpha, here.beta + here.shift, torch.as_tensor(dual.tilt)
    full = here.marginal.log > -torch.inf
    sums, _ = deep_sums(support.kernel, dual.log_masses + beta, full, here.depths[0])
    masses = support.volumes * (alpha + tilt + sums.log).exp()
    masses = torch.where(full, masses, 0)
    value = -here.value / support.kappa
    return EntropicPlan(masses, alpha, tilt, beta, sums.cost(), value, here.residual)


def point_volumes(volumes: Volumes, state: Particles) -> Tensor:
    """The volume of each atom, (N,): given, or 1/N."""
    if callable(volumes) and not isinstance(volumes, Tensor):
        volumes = checks.returned("volumes", volumes(state.points), (state.N,), state.points)
    return checks.quadrature("volumes", volumes, state.N, state.points)
