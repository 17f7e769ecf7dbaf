"""What a step reports beside its state: epsilon's blur, the value without bias, whether mass could move at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.status import Status
from jko.steps.sinkhorn.divergence import SelfTransport, self_transport
from jko.steps.sinkhorn.kernels import TINY
from jko.steps.sinkhorn.passes import Outcome, remembered
from jko.steps.sinkhorn.setting import Setting

DIAGONAL = (
    0.9  # weight of the diagonal in a row of the kernel beyond which it moves no mass by itself
)
FLAT = 4.0  # epsilon over the squared diameter beyond which the plan hardly knows of distances
HALF = 0.5  # of the energy that the gradient would release in the step: less has been released if it is locked
STILL = 1e-4  # of the spacing: a shorter way asked for is none


def blurred(setting: Setting) -> Tensor:
    """The masses for E = 0: each point of mu_k spread by the kernel, (N,)."""
    log_v, m = setting.volumes.log(), setting.masses
    total = setting.kernel.sums(log_v, 0.0).log
    spread = setting.kernel.sums(torch.where(m > 0, m.log() - total, -torch.inf), 0.0).log
    return (log_v + spread).exp()


@dataclass(frozen=True, eq=False)
class Report:
    """The numbers of one step.

    Attributes
    ----------
    plan_cost
        ``<c, gamma>``.
    debiased
        Sinkhorn divergence of mu_{k+1} and mu_k, an estimate of W2^2.
    way
        Root mean square of tau |grad dE/dmu|, by differences on the support.
    mobility
        Energy released to first order, ``<dE/dmu, blurred mu_k - mu_{k+1}>``, over ``way^2 / tau``: near 1 where mass
        moves freely, near 0 where the support holds it.
    ceiling
        E of the blurred mu_k, which no entropic step exceeds (of mu_k itself for a debiased one).
    gap
        Value of the plan less that of the dual; nan where terms were linearised.
    """

    plan_cost: float
    debiased: float
    way: float
    mobility: float
    ceiling: float
    gap: float
    dual: float
    itself: SelfTransport
    applications: int


def report(setting: Setting, found: Outcome, energy: float, before: float) -> Report:
    """Measure the outcome."""
    m, mu, tau = setting.masses, found.masses, setting.problem.tau
    smooth = blurred(setting)
    phi = -found.alpha * setting.kernel.epsilon / (2 * tau)
    slope = setting.kernel.steepness(phi)
    way = tau * math.sqrt(float(mu @ slope.square()))
    released = float((smooth - mu) @ torch.where(phi.isfinite(), phi, 0))
    debiased, own, base = _divergence(setting, found)
    plain = found.itself is None
    exact = plain and setting.parts.rest is None
    kappa = setting.kappa(setting.kernel.epsilon)
    value = energy + (_sum(mu, found.alpha) + _sum(m, found.beta)) / kappa
    dual = found.dual + setting.parts.constant + 1 / kappa
    return Report(
        plan_cost=float(mu @ found.spread),
        debiased=debiased,
        way=way,
        mobility=released * tau / max(way**2, TINY),
        ceiling=setting.energy(smooth) if plain else before,
        gap=value - dual if exact else math.nan,
        dual=dual,
        itself=own,
        applications=own.applications + base.applications,
    )


def _divergence(setting: Setting, found: Outcome) -> tuple[float, SelfTransport, SelfTransport]:
    """S(mu, mu_k) from the potentials of the plan, relative to mu x mu_k."""
    kernel, v = setting.kernel, setting.volumes
    own = self_transport(
        kernel, found.masses, v, None if found.itself is None else found.itself.log
    )
    base = self_transport(kernel, setting.masses, v, remembered(setting))
    density = (found.masses / v).log()
    cross = _sum(found.masses, found.alpha + found.tilt - density) + _sum(
        setting.masses, found.beta
    )
    return kernel.epsilon * cross - 0.5 * (own.value + base.value), own, base


def judged(setting: Setting, found: Outcome, seen: Report, energy: float, tol: float) -> Status:
    """The status: what happened, in this order."""
    numbers = (energy, seen.plan_cost, found.here.value, float(found.masses.sum()))
    residual = found.here.residual + found.change
    allowed = max(seen.gap, 0) if math.isfinite(seen.gap) else tol * (1 + abs(seen.ceiling))
    if not all(map(math.isfinite, numbers)):
        return Status.NOT_FINITE
    if abs(float(found.masses.sum()) - 1) > tol:
        return Status.MASS_LOST
    if residual > tol:
        return Status.MAX_ITERATIONS
    if energy > seen.ceiling + allowed + 1e-10 * (1 + abs(energy)):
        return Status.ENERGY_ROSE
    return Status.LOCKED if is_locked(setting, seen) else Status.CONVERGED


def is_locked(setting: Setting, seen: Report) -> bool:
    """Whether mass that the energy asks to move cannot: a diagonal kernel, and a plan that stayed with it."""
    asked = seen.way > STILL * setting.kernel.spacing
    return kernel_kind(setting) == "diagonal" and asked and seen.mobility < HALF


def kernel_kind(setting: Setting) -> str:
    """``diagonal``, ``resolved`` or ``flat``."""
    kernel = setting.kernel
    if float(kernel.staying.median()) > DIAGONAL:
        return "diagonal"
    wide = (
        FLAT * kernel.diameter * kernel.diameter
    )  # a product may be inf, a power of Python's raises
    return "flat" if kernel.epsilon > wide else "resolved"


def figures(
    setting: Setting, found: Outcome, seen: Report, energy: float
) -> dict[str, float | str]:
    """The columns of the trajectory."""
    blur = math.sqrt(0.5 * setting.kernel.epsilon)
    return {
        "epsilon": setting.kernel.epsilon,
        "blur": blur,
        "blur_in_cells": blur / setting.kernel.spacing,
        "kernel": kernel_kind(setting),
        "plan_cost": seen.plan_cost,
        "debiased": seen.debiased,
        "debiased_objective": energy + seen.debiased / (2 * setting.problem.tau),
        "energy_of_blurred": seen.ceiling,
        "way_in_cells": seen.way / setting.kernel.spacing,
        "mobility": seen.mobility,
        "mass_correction": abs(float(found.masses.sum()) - 1),
        "emptied": float(((setting.problem.base.weights > 0) & (found.masses == 0)).sum()),
        "applications": float(found.evaluations + seen.applications),
    }


def _sum(masses: Tensor, values: Tensor) -> float:
    return float((masses * torch.where(masses > 0, values, 0)).sum())
