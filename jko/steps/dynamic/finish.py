"""The end of a step in one pass over the cells: the density with its exact mass, and all sums that a result reports."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jko.numerics.compiled import njit
from jko.steps.dynamic.conjugates import primal
from jko.steps.dynamic.kernels import action, dot
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import StepDual, Stepper

Fields = Any


class Finished(NamedTuple):
    """The density (grid shape), and sums over cells and faces, per unit cell volume.

    ``local``: U(rho) + V rho, None where no kernel knows U; ``correction``, ``moved``: |rho - what the dual gave| and
    |rho - rho_0|; ``action``: M |grad phi|^2; ``gap``: |<phi - c, F>| with c the middle of the range of phi.
    """

    values: Array
    local: float | None
    correction: float
    moved: float
    action: float
    gap: float


def finished(step: StepDual, phi: Any, scale: Array, V: Array) -> Finished:
    """What the stepper's fields, those of ``phi``, come to with each cell's density times ``scale``.

    ``scale`` (grid shape) gives each chamber the mass that it had; ``V`` is the energy's potential.
    """
    rho = step.crop(step.rho)
    values = rho * scale
    values /= np.prod(step.data.spacing) * values.sum()  # rounding adds up over thousands of steps
    if not isinstance(step, Stepper):
        inner = step.crop(phi)[np.isfinite(step.data.V)]
        middle = 0.5 * float(inner.min() + inner.max())
        gap = abs(float(step.F @ phi) - middle * float(step.F.sum()))
        correction, moved = (float(np.abs(values - r).sum()) for r in (rho, step.data.rho0))
        return Finished(values, None, correction, moved, step.action(), gap)
    sums = np.zeros(8)
    sums[6:] = np.inf, -np.inf
    fields = (step.rho, step.rho0, step.V, phi, step.F, step.M, step.g)
    grid = (step.layout.rows[0], step.layout.folds[0])
    finish(step.data.kind, *grid, values.ravel(), V.ravel(), *fields, sums)
    local, correction, moved, action, product, total, low, high = (float(s) for s in sums)
    gap = abs(product - 0.5 * (low + high) * total)
    return Finished(values, local, correction, moved, action, gap)


@njit(cache=True, fastmath={"contract", "reassoc"})
def finish(
    kind: Any,
    rows: Fields,
    fold: Fields,
    values: Fields,
    potential: Fields,
    rho: Fields,
    rho0: Fields,
    V: Fields,
    phi: Fields,
    F: Fields,
    M: Fields,
    g: Fields,
    sums: Fields,
) -> None:
    """Add up, row by row; ``values`` and the energy's ``potential`` are without ghosts."""
    m, begin = rows[3], 0
    for row in range(rows[1]):
        if row % fold[0] >= fold[1]:
            continue  # a row of ghosts
        q = rows[0] + row * rows[2]
        new, V_, phi_ = values[begin : begin + m], V[q : q + m], phi[q : q + m]
        sums[0] += _energy(kind, new, potential[begin : begin + m])
        begin += m
        sums[1] += _distance(new, rho[q : q + m])
        sums[2] += _distance(new, rho0[q : q + m])
        for a in range(M.shape[0]):
            sums[3] += action(M[a, q : q + m], g[a, q : q + m])
        sums[4] += dot(phi_, F[q : q + m])
        for j in range(m):
            sums[5] += F[q + j]
        for j in range(m):
            if V_[j] < np.inf:
                sums[6] = min(sums[6], phi_[j])
                sums[7] = max(sums[7], phi_[j])


@njit(cache=True, fastmath={"contract", "reassoc"})
def _energy(kind: Any, rho: Fields, V: Fields) -> float:
    total = 0.0
    for j in range(rho.shape[0]):
        total += primal(kind, rho[j]) + (V[j] * rho[j] if rho[j] > 0.0 else 0.0)
    return total


@njit(cache=True, fastmath={"contract", "reassoc"})
def _distance(x: Fields, y: Fields) -> float:
    total = 0.0
    for j in range(x.shape[0]):
        total += abs(x[j] - y[j])
    return total
