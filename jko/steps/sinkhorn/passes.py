"""From a first guess to the minimiser: epsilon lowered in halves, then passes over what enters by linearisation.

Two things are linearised: terms of the energy that have no proximal map (``rest``), and the concave part
``-OT(mu, mu) / 2`` of the Sinkhorn divergence.  The latter lies below its tangents: the objective falls in every pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.steps.sinkhorn.divergence import SelfTransport, self_transport
from jko.steps.sinkhorn.kernels import deep_sums
from jko.steps.sinkhorn.proximal import ProximalMap
from jko.steps.sinkhorn.scaling import Coupled, Scaling
from jko.steps.sinkhorn.setting import Setting

LOOSE = 0.05  # residual at which the next, smaller epsilon begins
FOLLOW = 10  # iterations at most before that
SPREAD = (
    100.0  # epsilon begins where it is this fraction of the spread of 2 tau dE/dmu over the mass
)
SLOWLY = 0.9  # a pass that changes more than this part of what the last one did overshoots
INEXACT = 0.1  # of the change of the last pass: what the next pass is solved to


@dataclass(frozen=True, eq=False)
class Outcome:
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
    change : float
        L1 change of the masses in the last pass; 0 where nothing is linearised.
    """

    masses: Tensor
    alpha: Tensor
    tilt: Tensor
    beta: Tensor
    spread: Tensor
    dual: float
    here: Coupled
    change: float
    iterations: int
    evaluations: int
    itself: SelfTransport | None


def minimise(setting: Setting, phi: Tensor, tol: float, rounds: int, debiased: bool) -> Outcome:
    """Minimise from a guess ``phi`` (N,) of dE/dmu."""
    phi, iterations, evaluations = _anneal(setting, phi)
    none = torch.zeros_like(phi)
    slope = None if setting.parts.rest is None else setting.slope_of_rest(setting.masses)
    itself = None
    if debiased:
        itself = _with_itself(setting, setting.masses, remembered(setting), tol)
    kappa, before, change = setting.kappa(setting.kernel.epsilon), setting.masses, 2.0
    last, share = slope is None and itself is None, 1.0
    tilt, here = none if itself is None else _filled(itself.log), None
    while True:
        scaling = _scaling(setting, setting.kernel.epsilon, slope, tilt)
        here = scaling.from_first(-kappa * phi) if here is None else scaling.at(here.beta, here)
        target = tol if last else max(0.5 * tol, INEXACT * change)
        here, count = scaling.maximise(here, target, max(rounds - iterations, 1))
        iterations, evaluations = iterations + count, evaluations + scaling.applications
        found = _outcome(setting, scaling, here)
        old, change = change, 0.0 if last else float((found.masses - before).abs().sum())
        if change + here.residual <= tol or last or iterations >= rounds:
            return replace(
                found, change=change, iterations=iterations, evaluations=evaluations, itself=itself
            )
        before = found.masses
        if slope is not None:
            share = 0.5 * share if change > SLOWLY * old else share
            slope = slope + share * (setting.slope_of_rest(before) - slope)
        if itself is not None:
            itself = _with_itself(setting, before, itself.log, tol)
            evaluations += itself.applications
            tilt = _filled(itself.log)


def _anneal(setting: Setting, phi: Tensor) -> tuple[Tensor, int, int]:
    """Halve epsilon down to its value, following the minimiser loosely."""
    m, tau, final = setting.masses, setting.problem.tau, setting.kernel.epsilon
    flat = torch.where((m > 0) & phi.isfinite(), phi, 0)
    spread = float((m @ (flat - m @ flat).square()).sqrt())
    epsilon, levels = 2 * final, []
    while epsilon <= 4 * tau * spread / SPREAD:
        levels.append(epsilon)
        epsilon *= 2
    slope = None if setting.parts.rest is None else setting.slope_of_rest(m)
    iterations = evaluations = 0
    for epsilon in reversed(levels):
        scaling = _scaling(setting, epsilon, slope, torch.zeros_like(phi))
        kappa = setting.kappa(epsilon)
        here, count = scaling.maximise(scaling.from_first(-kappa * phi), LOOSE, FOLLOW)
        phi = -here.proximal.alpha / kappa
        iterations, evaluations = iterations + count, evaluations + scaling.applications
    return phi, iterations, evaluations


def _scaling(setting: Setting, epsilon: float, slope: Tensor | None, tilt: Tensor) -> Scaling:
    parts = setting.parts
    if slope is not None:
        parts = replace(parts, potential=parts.potential + slope)
    proximal = ProximalMap(parts, setting.volumes, setting.kappa(epsilon))
    kernel = setting.kernel.with_epsilon(epsilon)
    return Scaling(kernel, proximal, setting.masses, tilt, setting.cutoff)


def _outcome(setting: Setting, scaling: Scaling, here: Coupled) -> Outcome:
    """One more half of an iteration makes the second marginal, and with it the mass, exact."""
    alpha, beta = here.proximal.alpha, here.beta + here.shift
    full = here.proximal.log > -torch.inf
    sums, _ = deep_sums(setting.kernel, scaling.log_masses + beta, full, here.depths[0])
    masses = setting.volumes * (alpha + scaling.tilt + sums.log).exp()
    masses = torch.where(full, masses, 0)
    value = here.value / scaling.proximal.kappa
    return Outcome(masses, alpha, scaling.tilt, beta, sums.cost(), value, here, 0.0, 0, 0, None)


def remembered(setting: Setting) -> Tensor | None:
    """Log d of mu_k with itself, from the step that led to it."""
    start = setting.problem.memory.get("self_scaling")
    return start if start is not None and start.shape == setting.masses.shape else None


def _with_itself(
    setting: Setting, masses: Tensor, start: Tensor | None, tol: float
) -> SelfTransport:
    return self_transport(setting.kernel, masses, setting.volumes, start, INEXACT * tol)


def _filled(log: Tensor) -> Tensor:
    """Outside the support of the last pass the rows of the kernel weigh as much as the lightest inside."""
    inside = log > -torch.inf
    return torch.where(inside, log, log[inside].min())
