"""Entropic transport between given masses, and of a measure with itself, on whatever has a kernel.

``OT(a, b) = max over f, g of <a, f> + <b, g> - epsilon <a x b, exp((f + g - c) / epsilon) - 1>``, one potential at a
time: ``f_i = -epsilon log sum_j b_j exp((g_j - c_ij) / epsilon)``, with epsilon lowered on the way, and Newton's method
where that has not done (:mod:`jko.metrics.entropic.dual`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.metrics.entropic.dual import Coupled, EntropicDual
from jko.metrics.entropic.kernel import PLAIN, Costs, Kernel, deep_sums
from jko.metrics.entropic.marginal import Given

ITERATIONS = 2000
HALVING = 0.5  # of epsilon, on the way down from the squared diameter
PASSES = 3  # at each epsilon on the way
FIRST = 50  # iterations at the last epsilon, before Newton's method
NEWTONS = 100
FOLLOW = 30  # Newton iterations before the next, smaller epsilon
COARSE = 0.01  # of the squared diameter: the epsilon where Newton's method starts, halved on the way down
LOOSE = 1e-2  # residual at which the next, smaller epsilon begins
LARGE = 2**22  # pairs above which the way to the last epsilon is made on part of the points
PART = 1000  # points of each side in that part
PART_PASSES = 50  # on that part, at the last epsilon
ROUNDS = 300  # of a measure with itself; some twenty are needed


@dataclass(frozen=True, eq=False)
class Potentials:
    """The potentials of ``OT(a, b)``, defined on all points.

    Attributes
    ----------
    f, g : (N,), (M,)
        ``OT = <a, f> + <b, g>``.
    residual : float
        L1 distance of the plan's marginals to the masses.
    iterations : int
        Pairs of kernel applications, one for each side, that moved the potentials.
    """

    f: Tensor
    g: Tensor
    residual: float
    iterations: int


@dataclass(frozen=True, eq=False)
class SelfTransport:
    """The plan ``a_i e^(phi_i) exp(-c_ij / epsilon) e^(phi_j) a_j`` of a measure with itself.

    Attributes
    ----------
    phi : (N,)
        The potential over epsilon; 0 outside the support.
    value : float
        OT(a, a).
    residual : float
        L1 distance of the plan's marginal to the masses.
    applications : int
        Of the kernel.
    depth : float
        How deep its sums had to be.
    """

    phi: Tensor
    value: float
    residual: float
    applications: int
    depth: float


def self_transport(
    kernel: Kernel, masses: Tensor, start: Tensor, tol: float, rounds: int = ROUNDS
) -> SelfTransport:
    """Solve by the averaged iteration ``phi <- (phi - log K(a e^phi)) / 2``, which halves the error or better.

    Source: Knight, Ruiz and Ucar (2014); Feydy et al. (2019), section 3.
    """
    where, log_masses = masses > 0, masses.log()
    phi, depth, count = torch.where(where, start, 0), PLAIN, 0
    while True:
        sums, depth = deep_sums(kernel, log_masses + phi, where, depth)
        count += 1
        change = torch.where(where, -sums.log - phi, 0)
        excess = masses * torch.expm1(-change)  # of the marginal
        residual = float(excess.abs().sum())
        if residual <= tol or count >= rounds:
            break
        phi = phi + 0.5 * change
    value = kernel.epsilon * float(2 * (masses * phi).sum() - excess.sum())
    return SelfTransport(phi, value, residual, count, depth)


def with_itself(costs: Costs, a: Tensor, epsilon: float, tol: float) -> Potentials:
    """OT(a, a), whose potentials are equal."""
    kernel = costs.kernel(epsilon)
    found = self_transport(kernel, a, torch.zeros_like(a), tol, ITERATIONS)
    f = epsilon * found.phi
    if not bool((a > 0).all()):
        sums, _ = deep_sums(kernel, a.log() + found.phi, None, found.depth)
        f = torch.where(a > 0, f, -epsilon * sums.log)
    f = f + 0.5 * (found.value - 2 * float(a @ f))  # what the excess of the marginal takes away
    return Potentials(f, f, found.residual, found.applications)


def between(costs: Costs, a: Tensor, b: Tensor, epsilon: float, tol: float) -> Potentials:
    """OT(a, b): scaling iterations on the way to epsilon and there; Newton's method if these have not met ``tol``."""
    dual = EntropicDual(costs.kernel(epsilon), Given(a), b)
    beta, count = _started(costs, a, b, epsilon)
    here, more = dual.scaled(dual.at(beta), tol, FIRST)
    count += more
    if here.residual > tol:
        here, more = _newton(dual, costs, here, tol)
        here, again = dual.scaled(here, tol, ITERATIONS - FIRST)
        count += more + again
    kernel, depths = dual.kernel, here.depths
    second, _ = deep_sums(kernel.transposed, here.marginal.alpha, None, depths[1])
    g = torch.where(b > 0, epsilon * here.beta, -epsilon * second.log)
    first, _ = deep_sums(kernel, dual.log_masses + here.beta, None, depths[0])
    return Potentials(-epsilon * first.log, g, here.residual, count + 1)


def _started(costs: Costs, a: Tensor, b: Tensor, epsilon: float) -> tuple[Tensor, int]:
    """A first beta: a few iterations at each epsilon on the way down; for large clouds on part of the points."""
    i, j = _part(a), _part(b)
    some = costs.thinned(i, j) if len(a) * len(b) > LARGE else None
    if some is None:
        return _descended(costs, a, b, epsilon)
    few = a[i] / a[i].sum()
    beta, count = _descended(some, few, b[j] / b[j].sum(), epsilon)
    dual = EntropicDual(some.kernel(epsilon), Given(few), b[j] / b[j].sum())
    here, more = dual.scaled(dual.at(beta), 0.0, PART_PASSES)
    onto = costs.thinned(i, None)
    assert onto is not None
    sums, _ = deep_sums(onto.kernel(epsilon).transposed, here.marginal.alpha)
    return -sums.log, count + more


def _descended(costs: Costs, a: Tensor, b: Tensor, epsilon: float) -> tuple[Tensor, int]:
    """Beta at epsilon, after a few iterations at each one above it; ``g = epsilon beta`` goes from one to the next."""
    beta, count, level = torch.zeros_like(b), 0, costs.square
    while level > epsilon:
        dual = EntropicDual(costs.kernel(level), Given(a), b)
        here, more = dual.scaled(dual.at(beta), -1.0, PASSES - 1)
        beta = (here.beta + here.shift) * (level / max(HALVING * level, epsilon))
        count, level = count + more + 1, HALVING * level
    return beta, count


def _newton(dual: EntropicDual, costs: Costs, here: Coupled, tol: float) -> tuple[Coupled, int]:
    """Newton's method from a larger epsilon down, each followed loosely."""
    epsilon, beta, count = dual.kernel.epsilon, here.beta, 0
    levels = math.ceil(math.log2(max(COARSE * costs.square / epsilon, 1)))
    beta = beta / 2**levels
    for level in range(levels, 0, -1):
        above = EntropicDual(costs.kernel(epsilon * 2**level), dual.first, dual.masses)
        there, more = above.minimise(above.at(beta), LOOSE, FOLLOW)
        beta, count = 2 * there.beta, count + more
    here, more = dual.minimise(dual.at(beta), 0.5 * tol, NEWTONS)
    return here, count + more


def _part(masses: Tensor) -> Tensor:
    """Indices of at most PART points that carry mass, spread evenly over their order."""
    full = torch.nonzero(masses > 0)[:, 0]
    return full[:: -(-len(full) // PART)]
