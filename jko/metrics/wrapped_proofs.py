"""Proofs that a step's coupling is optimal where coordinates come round: as :mod:`jko.metrics.certificates`.

A step moves its atoms on the unrolled space, from y_i to x_i, and pays ``sum_i m_i |x_i - y_i|^2``: at least W2^2, for
the squared lengths of shortest ways.  It is W2^2 if no atom goes more than half around and no coupling is cheaper.
Atoms that come round are known to the rounding of a period, and so is each way: what that can make of the cost proves
nothing against a coupling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from jko.metrics.base import EXACT
from jko.metrics.certificates import TOLERANCE, Certificate, Proof
from jko.metrics.couplings import Array, Plan
from jko.metrics.wrapped import PAIRS, Seam, largest, wrapped_transport

PARTS = (1.0, 0.75, 0.5)  # of the step's potential
EPS = float(np.finfo(np.float64).eps)


def certify_wrapped(
    x: Array, y: Array, m: Array, seam: Seam, cost: float, potential: Array | None = None
) -> Certificate:
    """Prove that ``cost``, of a coupling of atoms at x and y with masses m, is W2^2, or find a cheaper plan.

    Parameters
    ----------
    x, y : (N, dim)
        New atoms, perhaps in another turn, and the old ones.
    m : (N,)
        Masses, on both sides.
    seam
        What comes round.
    cost
        What the step paid.
    potential : (N,), optional
        Of a step with the index coupling, as in :func:`jko.metrics.certify`.
    """
    found = Certificate(Proof.NONE, cost, cost, None, cost == 0)
    least = cost
    for found in _proofs(x, y, m, seam, cost, potential):
        least = min(least, found.bound)
        if found.optimal:
            break
    return replace(found, bound=least)


def _proofs(
    x: Array, y: Array, m: Array, seam: Seam, cost: float, potential: Array | None
) -> Iterator[Certificate]:
    """Attempts, the cheapest first; the last one decides."""
    index = np.arange(len(m))
    rounding = (len(m) + 2 * x.shape[1]) * EPS * cost
    size = EPS * max(float(np.abs(z).max(initial=0.0)) for z in (x, y, seam.finite))
    blur = 4 * size * (float(m.sum()) * cost) ** 0.5 + size**2
    line = x.shape[1] == 1
    if potential is not None:
        own = seam.costs(x, y, index, index)
        paid = max(0.0, cost - float(m @ own))
        nearest = seam.costs(x, y, seam.nearest(x, y, 1)[:, 0], index)
        if (own <= nearest).all():
            yield _judged(Proof.NEAREST, cost, paid, rounding, blur)
        for part in () if line or not np.isfinite(potential).all() else PARTS:
            alpha = -2 * part * potential
            open_ = float(m @ np.maximum(0.0, own - alpha - largest(seam, y, x, alpha)))
            whole = float(m @ (own + np.abs(alpha)))
            yield _judged(Proof.POTENTIAL, cost, paid + open_, rounding + 8 * EPS * whole, blur)
    if not line and len(m) ** 2 > PAIRS:
        return
    best = wrapped_transport(x, m, y, m, seam.periods)
    above = max(0.0, cost - best.squared) + (0.0 if line else best.gap)
    optimal = above <= TOLERANCE * cost + blur
    bound = min(cost, above + rounding + blur + EXACT * best.squared)
    proof = Proof.LINE if line else Proof.SIMPLEX
    yield Certificate(proof, bound, cost, None if optimal else best.plan, optimal)


def _judged(proof: Proof, cost: float, above: float, rounding: float, blur: float) -> Certificate:
    bound = min(cost, above + rounding + blur)
    return Certificate(proof, bound, cost, None, above <= TOLERANCE * cost + blur)


def means_beside(plan: Plan, x: Array, y: Array, seam: Seam) -> tuple[Array, float]:
    """The conditional means ``E[y | x_i]``, in the turn that is near x_i, and the variance of y around them."""
    z = seam.shortest(y[plan.cols] - x[plan.rows])
    total = np.bincount(plan.rows, plan.mass, len(x))
    mean = np.stack([np.bincount(plan.rows, plan.mass * c, len(x)) / total for c in z.T], axis=1)
    return x + mean, float(plan.mass @ np.square(z - mean[plan.rows]).sum(1))
