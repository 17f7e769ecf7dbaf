"""Exact transport from coarse to fine: few arcs and good potentials at each level, and pricing of all pairs at the end.

Cells of both clouds, each with its mass at its barycentre, are a transport problem of the same kind.  Its plan says
which pairs of half as large cells are likely, and its potentials nearly solve that problem (Schmitzer, J. Math. Imaging
Vis. 56, 2016, for the idea).  Between the atoms themselves, pairs with a negative reduced cost are then looked for
among *all* pairs and added, until there is none: then the plan is optimal among all plans.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.augmentation import Arcs
from jko.metrics.constraints import price_beside
from jko.metrics.couplings import Array, Index, Plan
from jko.metrics.halving import Halving
from jko.metrics.neighbours import Coarse, candidates, distinct
from jko.metrics.refinement import TARGET, centred_cost, translation
from jko.metrics.simplex import optimal_tree
from jko.metrics.supplies import Supplies, plan_of_flow, supplies

COARSEST = 2**16  # pairs: up to here all of them are arcs
HALVINGS = 2  # from a level to the next
BUDGET = 8
PATIENCE = 3  # rounds of pricing that gain nothing: rounding decides by then


class OnPairs(NamedTuple):
    """A whole-number flow on the pairs with keys i M + j, and potentials that are tight where it is not zero."""

    keys: Index
    flow: Index
    alpha: Array
    beta: Array


def multiscale(x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Array, Array]:
    """An optimal plan and potentials (not yet shifted to exact feasibility) for any weights and dimension."""
    exact, M = supplies(a, b), len(y)
    cells = Halving.of(x), Halving.of(y)
    order_x, order_y = cells[0].order, cells[1].order
    coarse = None
    for level in _levels(cells):
        (X, A), (Y, B) = (
            side.barycentres(level, *cloud)
            for side, cloud in zip(cells, ((x, exact.a), (y, exact.b)), strict=True)
        )
        masses = Supplies(A, B)
        if coarse is None:
            keys, beta = np.arange(len(X) * len(Y)), np.zeros(len(Y))
        else:
            keys, beta = candidates(X, Y, masses, coarse)
        if len(X) == len(x) == len(y) == len(Y):
            keys = distinct(np.append(keys, np.argsort(order_x) * M + np.argsort(order_y)))
        solved = _solved(X, Y, masses, keys, beta)
        plan = _plan(solved, masses)
        coarse = Coarse(X, Y, plan, solved.alpha, solved.beta)
    solved = _priced(X, Y, masses, solved)
    moved = solved.flow > 0
    rows, cols = order_x[solved.keys[moved] // M], order_y[solved.keys[moved] % M]
    plan = plan_of_flow(rows, cols, solved.flow[moved].astype(np.float64), exact, a, b)
    alpha, beta = np.empty(len(x)), np.empty(M)
    alpha[order_x], beta[order_y] = solved.alpha, solved.beta
    return plan, alpha, beta


def _levels(cells: tuple[Halving, Halving]) -> list[int]:
    """Numbers of halvings, from few pairs of cells to the atoms."""
    levels = [max(len(side.bounds) for side in cells) - 1]
    while True:
        pairs = 1
        for side in cells:
            pairs *= len(side.bounds[min(levels[0], len(side.bounds) - 1)]) - 1
        if pairs <= COARSEST:
            return levels
        levels.insert(0, levels[0] - HALVINGS)


def _solved(x: Array, y: Array, masses: Supplies, keys: Index, beta: Array) -> OnPairs:
    """The optimum on some pairs, from about the optimal ``beta``."""
    arcs = Arcs.of(x, y, keys)
    alpha, beta = arcs.feasible(beta)
    return _completed(x, y, masses, arcs, OnPairs(keys, np.zeros(len(keys), np.int64), alpha, beta))


def _completed(x: Array, y: Array, masses: Supplies, arcs: Arcs, start: OnPairs) -> OnPairs:
    """Send the mass that is left: by augmentation where that is quick, else by the simplex."""
    keys, flow, alpha, beta = start
    a, b = (m.astype(np.int64) for m in masses)
    assignment = (a == a[0]).all() and (b == a[0]).all()
    if arcs.completed(a, b, flow, alpha, beta, 2**62 if assignment else BUDGET * len(keys)):
        return start
    tree = optimal_tree(x, y, masses, arcs.rows, arcs.cols, alpha, beta)
    flow = np.zeros(len(keys), dtype=np.int64)
    flow[np.searchsorted(keys, tree.rows * len(y) + tree.cols)] = tree.flow
    return OnPairs(keys, flow, tree.alpha, tree.beta)


def _priced(x: Array, y: Array, masses: Supplies, solved: OnPairs) -> OnPairs:
    """Add violated pairs, and solve again, until there are none, or none that matters.

    What rounding hides here is the matter of the proof that follows, and of its refinement.
    """
    M, least, idle = len(y), np.inf, 0
    while idle < PATIENCE:
        keys, flow, alpha, beta = solved
        plan = _plan(solved, masses)
        priced = price_beside(x, y, alpha, beta, plan)
        more = distinct(np.append(keys, priced.rows * M + priced.cols))
        lost = float(masses.b @ priced.deficit)
        centred = centred_cost(x, y, translation(x, y, plan), plan)
        if len(more) == len(keys) or lost <= TARGET * centred:
            break
        least, idle = min(lost, least), 0 if lost < least else idle + 1
        kept = np.zeros(len(more), dtype=np.int64)
        kept[np.searchsorted(more, keys)] = np.where(priced.deficit[keys % M] > 0, 0, flow)
        start = OnPairs(more, kept, alpha, beta - priced.deficit)
        solved = _completed(x, y, masses, Arcs.of(x, y, more), start)
    return solved


def _plan(solved: OnPairs, masses: Supplies) -> Plan:
    M, moved = len(masses.b), solved.flow > 0
    keys, mass = solved.keys[moved], solved.flow[moved].astype(np.float64)
    return Plan(keys // M, keys % M, mass, (len(masses.a), M))
