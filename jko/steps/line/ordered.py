"""The quadratic model of a step with the nodes in their order.

``minimise over d  g . d + d . H d / 2   with   x_{c+1} - x_c >= 0.1 of what it was, in each cell c``

Without it the first two nodes that a direction would exchange stop all others.  An interior point method: the barrier
of a cell is a spring between its nodes, so that a round costs one more solution of the same banded system.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko.numerics.banded import Banded
from jko.steps.line.objective import between

Array = NDArray[np.float64]

CRUSH = 0.9  # of its width, what a cell may lose
ROUNDS = 60  # of the barrier, at most
SHRINK = 0.1  # its factor a round
INSIDE = 0.95  # of the way to a bound
CLOSED = 1e-2  # of the model's decrease, the gap left
FULL = 0.9  # a step that leaves the equations solved


class Inside(NamedTuple):
    """A direction d (n k,), and for each cell the room that it leaves and the force that keeps it."""

    d: Array
    room: Array
    force: Array


def stretched(d: Array, widths: Array) -> Array:
    """The part of its width that each cell gains; below -1 its nodes change places."""
    k = len(d) // (len(widths) + 1)
    x = d[k - 1 :: k]
    return (x[1:] - x[:-1]) / widths


def crushed(d: Array, widths: Array) -> float:
    """The largest part of its width that a cell would lose; above 1 nodes change places."""
    return -float(stretched(d, widths).min())


def in_order(H: Banded, g: Array, held: Sequence[int], widths: Array) -> Array | None:
    """The minimiser with the unknowns ``held`` at zero, or None where H is not positive definite."""
    plain = H.held(held).solve(-g)
    if plain is None or crushed(plain, widths) <= CRUSH:
        return plain
    decrease = -float(g @ plain)
    if not 0 < decrease < np.inf:
        return plain
    room = CRUSH * widths
    at = Inside(np.zeros_like(g), room, decrease / (len(room) * room))
    for _ in range(ROUNDS):
        aim = _aim(H, g, held, widths, at)
        if aim is None:
            return plain
        t = min(_way(at.room, aim.room), _way(at.force, aim.force))
        at = Inside(*(a + t * (b - a) for a, b in zip(at, aim, strict=True)))
        if t > FULL and at.room @ at.force <= CLOSED * abs(float(g @ at.d)):
            return at.d
    return plain


def _aim(H: Banded, g: Array, held: Sequence[int], widths: Array, at: Inside) -> Inside | None:
    """Newton's aim for ``H d + g = forces`` and ``room * force = mu``, a tenth of what it is on average."""
    k = len(H.bands) - 1
    mu = SHRINK * float(at.room @ at.force) / len(widths)
    springs = at.force / at.room
    pushed = mu / at.room + at.force - springs * CRUSH * widths
    right = -g
    places = right[k - 1 :: k]  # a view
    places[:-1] -= pushed
    places[1:] += pushed
    right[held] = 0.0
    d = H.stiffer(between(springs, k)).held(held).solve(right)
    if d is None:
        return None
    room = (stretched(d, widths) + CRUSH) * widths
    return Inside(d, room, mu / at.room + at.force - springs * room)


def _way(a: Array, b: Array) -> float:
    """How far from a > 0 to b all entries stay positive, at most 1."""
    falls = b < a
    return min(1.0, INSIDE * float((a[falls] / (a - b)[falls]).min())) if falls.any() else 1.0
