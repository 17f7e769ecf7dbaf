"""Masses as whole numbers, so that sums and differences of masses are exact.

A float64 holds every whole number up to 2^53.  Probabilities become multiples of about 2^-52, which is the rounding
that normalised weights have anyway; flows between them are then exact, and equal masses are equal.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, sums
from jko.metrics.expansions import two_product, two_sum

UNITS = 2**52
FINE = 2.0**36  # units: masses below are rounded by more than 1e-11 of themselves
FELT = 1e-11  # of the cost: more than this from a unit on every pair is too much
MISSED = 1e-10
SEED = 20150407  # of the jitter; fixed, so that the same input gives the same bits


class Supplies(NamedTuple):
    """Whole numbers (stored as float64) with one total on both sides."""

    a: Array
    b: Array


def supplies(a: Array, b: Array) -> Supplies:
    """Round two positive weight vectors to whole numbers with one total."""
    common = math.lcm(len(a), len(b))
    if common < UNITS >> 12 and (a == a[0]).all() and (b == b[0]).all():
        total = common * (UNITS // common)
        return Supplies(
            np.full(len(a), float(total // len(a))), np.full(len(b), float(total // len(b)))
        )
    return Supplies(_whole(a), _whole(b))


def _whole(weights: Array) -> Array:
    units = np.maximum(np.rint(weights / math.fsum(weights) * UNITS), 1.0)
    units[weights.argmax()] += UNITS - int(units.astype(np.int64).sum())
    return np.asarray(units)


def jittered(exact: Supplies) -> Supplies:
    """Supplies moved by a small part of the smallest mass, so that no two partial sums agree.

    Then the optimal basis is non-degenerate and the potentials are unique.  Without that, pricing of a nearly
    diagonal plan wanders through a large face of optimal potentials.
    """
    smallest = min(exact.a.min(), exact.b.min())
    amplitude = min(2**24, int(smallest) >> 12)
    if amplitude < 2:
        return exact
    generator = np.random.default_rng(SEED)

    def jitter(units: Array) -> Array:
        noise = generator.integers(0, amplitude, len(units)).astype(np.float64)
        return np.asarray(units + noise - np.roll(noise, 1))  # the total stays

    return Supplies(jitter(exact.a), jitter(exact.b))


def staircase(a: Array, b: Array) -> tuple[Index, Index, Array]:
    """The monotone coupling of whole-number masses in the order given: rows, cols and flow (some are zero).

    It has N + M - 1 entries that step along one index at a time, so it is a spanning tree.
    """
    up, across = np.cumsum(a), np.cumsum(b)
    levels = np.concatenate([up[:-1], across[:-1]])
    steps_down = np.arange(len(levels)) < len(a) - 1
    order = np.argsort(levels, kind="stable")
    down = steps_down[order]
    rows = np.concatenate([[0], np.cumsum(down)])
    cols = np.concatenate([[0], np.cumsum(~down)])
    flow = np.diff(np.concatenate([[0.0], levels[order], up[-1:]]))
    return rows.astype(np.int64), cols.astype(np.int64), flow


def plan_of_flow(
    rows: Index, cols: Index, flow: Array, exact: Supplies, a: Array, b: Array
) -> Plan:
    """The plan of a whole-number flow, with row sums ``a``.

    Slivers as small as the rounding of all masses, half a unit each, are dropped.  A mass is right to some units then:
    :func:`settled` gives those plans all digits where a unit matters.
    """
    smaller = np.minimum(exact.a[rows], exact.b[cols])
    keep = (flow > 0.5 * (len(a) + len(b))) | (flow > 1e-6 * smaller)
    rows, cols, flow = rows[keep], cols[keep], flow[keep]
    share = flow / sums(rows, flow, len(a))[rows]
    return Plan(rows, cols, a[rows] * share, (len(a), len(b)))


def settled(plan: Plan, a: Array, b: Array, costs: Array) -> Plan:
    """The plan with masses read off ``a`` and ``b`` themselves, where rounding to units is felt.

    It is felt by a mass of few units, and by the whole cost where little mass goes far: between two tight groups goes
    the difference of their masses.  ``costs`` (K,) are those of the plan's pairs.
    """
    felt = float(costs.sum()) / UNITS > FELT * float(plan.mass @ costs)
    if felt or min(a.min() / math.fsum(a), b.min() / math.fsum(b)) < FINE / UNITS:
        mass = _on_forest(plan.rows, plan.cols, plan.mass, a, b)
        return Plan(plan.rows, plan.cols, mass, plan.shape)
    return plan


def astray(plan: Plan, a: Array, b: Array) -> float:
    """The mass by which a plan misses those atoms whose mass it does not have to 1e-10 of it."""
    pairs = zip(plan.marginals(), (a, b * (math.fsum(a) / math.fsum(b))), strict=True)
    missed = np.concatenate([np.where(abs(p - m) > MISSED * m, abs(p - m), 0.0) for p, m in pairs])
    return float(missed.sum())


def _on_forest(rows: Index, cols: Index, mass: Array, a: Array, b: Array) -> Array:
    """The masses of a plan without cycles, from the leaves: each atom sends to its parent what its children leave.

    The heaviest atom of every tree is its root, so small masses keep all their digits.  ``mass`` (K,), right to some
    units, stays where nothing better comes of it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    N, K, nodes = len(a), len(rows), len(a) + len(b)
    ends, masses = (rows, N + cols), np.concatenate([a, b])
    graph = coo_array((np.ones(K), ends), shape=(nodes + 1, nodes + 1)).tocsr()
    count, label = connected_components(graph, directed=False)
    if nodes + 1 - count != K:
        return mass
    order = np.argsort(masses)
    heaviest = np.empty(count, dtype=np.int64)
    heaviest[label[order]] = order  # the last one written
    roots = heaviest[np.unique(label[:nodes])]
    links = coo_array((np.ones(len(roots)), (np.full(len(roots), nodes), roots)), shape=graph.shape)
    way, before = breadth_first_order(graph + links.tocsr(), nodes, directed=False)
    arc = {(int(i), int(j)): k for k, (i, j) in enumerate(zip(*ends, strict=True))}
    left = _balanced(a, b)
    result, unsure = mass.copy(), (nodes + K) / UNITS * math.fsum(a)
    for node in way[:0:-1].tolist():
        parent = int(before[node])
        if parent == nodes:
            continue
        k = arc[(node, parent) if node < N else (parent, node)]
        sent = left[node]
        if not (sum(sent) > 0 and abs(sum(sent) - mass[k]) <= unsure):
            sent = float(mass[k]), 0.0
        result[k] = sum(sent)
        high, error = two_sum(left[parent][0], -sent[0])
        left[parent] = high, left[parent][1] + (error - sent[1])
    return result


def _balanced(a: Array, b: Array) -> list[tuple[float, float]]:
    """The masses ``a`` and ``b sum a / sum b``, each as the sum of two numbers: to about 1e-32 of them.

    What goes between two groups of atoms is a difference of large masses, and may be far below the rounding of one.
    """
    ratio = sum(map(Fraction, a.tolist())) / sum(map(Fraction, b.tolist()))
    first = float(ratio)
    high, low = two_product(b, np.full_like(b, first))
    low += b * float(ratio - Fraction(first))
    return [(m, 0.0) for m in a.tolist()] + list(zip(high.tolist(), low.tolist(), strict=True))
