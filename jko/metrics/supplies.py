"""Masses as whole numbers, so that sums and differences of masses are exact.

A float64 holds every whole number up to 2^53.  Probabilities become multiples of about 2^-52, which is the rounding
that normalised weights have anyway; flows between them are then exact, and equal masses are equal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, sums

UNITS = 2**52
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


def plan_of_flow(rows: Index, cols: Index, flow: Array, exact: Supplies, a: Array) -> Plan:
    """The plan of a whole-number flow, with row sums ``a``; slivers as small as the rounding of masses are dropped."""
    N, M = len(exact.a), len(exact.b)
    smaller = np.minimum(exact.a[rows], exact.b[cols])
    keep = (flow > N + M) | (flow > 1e-6 * smaller)
    rows, cols, flow = rows[keep], cols[keep], flow[keep]
    share = flow / sums(rows, flow, N)[rows]
    return Plan(rows, cols, a[rows] * share, (N, M))
