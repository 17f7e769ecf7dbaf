"""How far an energy is from its minimum over the densities on the cells of a grid: (4.9)-(4.10) and its dual."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from jko.duality.cells import CellBound, Cells, masses, row_scale
from jko.duality.gap import Gap
from jko.energies import Energy, Entropy, Mixture, Parts, parts, value_of
from jko.measures import GridDensity, LineMesh

TOL = 1e-13  # of the gradient of the dual
SHARPER, ENOUGH = 0.2, 1e-3  # the smoothing falls by this factor, to this part of the gap ...
EACH, SLOPPY = 20, 1e-6  # ... with so many Newton steps, to this gradient


def grid_gap(energy: Energy, state: GridDensity | LineMesh, iterations: int) -> Gap:
    """The gap of F(state) to its minimum over all densities on the same cells; F convex.

    With an internal energy it is ``F(mu) - D(g)`` at the best g that Newton's method finds in ``iterations`` steps from
    g = the residual of the state, see :class:`jko.duality.cells.Cells`.  Without, the minimum over masses of
    ``phi_g . m`` is the smallest phi_g, and g is sought by the same method with a small entropy, ever smaller.
    Convex terms of another kind enter by their linearisation at the state.

    Examples
    --------
    >>> import jko
    >>> E, grid = jko.SquaredNorm() + jko.Entropy(), jko.Grid((-6.0, 6.0), 60)
    >>> jko.duality.grid_gap(E, jko.minimiser(E, grid).state, iterations=10).value < 1e-8
    True
    """
    with torch.no_grad():
        value = value_of(energy, state)
    terms = parts(energy, state)
    cells = Cells.of(_linearised(terms, state))
    m = masses(state)[cells.open]
    if cells.internal.smooth.summands or (terms.internal and not len(cells.targets)):
        best, steps, _ = cells.maximise(cells.residual(m), iterations, TOL)
        attained = cells.volumes * best.rho
    else:
        best, steps, attained = _sharpened(cells, m, iterations)
    gap = cells.gap(m, best)
    reachable = math.inf if terms.rest else value - gap + cells.gap(attained, best)
    how = f"after {steps} Newton steps for g" if steps else "at g = the residual"
    reason = f"by duality over all densities on these {len(state.volumes)} cells, {how}"
    prices = best.g / row_scale(energy, best.g)
    return Gap(gap, True, reason, value - gap, min(reachable, value), prices)


def _linearised(terms: Parts, state: GridDensity | LineMesh) -> Parts:
    """The first variation of the rest as a potential; its constant cancels in the gap."""
    if terms.rest is None:
        return terms
    with torch.no_grad():
        return replace(terms, potential=terms.potential + terms.rest.variation(state), rest=None)


def _sharpened(cells: Cells, m: Tensor, iterations: int) -> tuple[CellBound, int, Tensor]:
    """The best g of problems with less and less entropy, the steps taken, and masses that nearly attain it."""
    best, attained, used = _linear(cells, cells.residual(m)), m, 0
    g, beta = best.g, cells.gap(m, best)
    while used < iterations and ENOUGH * (gap := cells.gap(m, best)) < beta < math.inf:
        smooth = replace(cells, internal=Mixture((*cells.internal.summands, (beta, Entropy()))))
        found = smooth.maximise(g, min(EACH, iterations - used), SLOPPY)
        g, used, beta = found.best.g, used + found.iterations, SHARPER * beta
        trial = _linear(cells, g)
        if cells.gap(m, trial) < gap:
            best, attained = trial, cells.volumes * found.best.rho
    return best, used, attained


def _linear(cells: Cells, g: Tensor) -> CellBound:
    """D(g) where there is no internal energy: the level is the smallest phi_g, and all mass may go there.

    With congestion the lowest cells are full.
    """
    if cells.internal.summands:
        return cells.at(g)
    phi = cells.potential + g @ cells.features
    lowest, cell = phi.min(dim=0)
    rho = torch.zeros_like(phi)
    rho[cell] = 1 / cells.volumes[cell]
    value = float(lowest - 0.5 * g @ g - g @ cells.targets)
    return CellBound(
        value, g, float(lowest), lowest - phi, rho, cells.residual(cells.volumes * rho) - g
    )
