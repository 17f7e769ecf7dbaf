"""Newton's method on nodes in their order, with the walls as bounds on the first and the last of them.

Only those can meet a wall before a cell is empty.  So the quadratic model with its bounds is solved exactly: of the
four sets of ends held at a wall, one satisfies the conditions of optimality.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jko.numerics.banded import Banded
from jko.numerics.krylov import conjugate_gradients
from jko.numerics.search import Searched, armijo
from jko.steps.line.objective import EPS, Objective, Spot, between
from jko.steps.line.ordered import CRUSH, crushed, in_order, stretched

Array = NDArray[np.float64]

TAME = 0.3  # changes of widths up to which tangents of the pressure will do
KEPT = 0.2  # of its width, what a cell should keep by chords
ROUNDS = 100  # of chords, at most
SETTLED = 3  # of chords, at least
LEAST = 0.01  # of the pressure: the load that a chord counts with
WEAK = 1e-200  # a pressure that is none
NOISE = 16  # of a value, in units of its last place
GAIN = 0.9  # of a residual, what is left of it where values are blurred
PRODUCTS = 100  # of conjugate gradients, at most
LEFT = 1e-5  # of the first residual, in the norm of the preconditioner: where they stop


def descend(objective: Objective, spot: Spot, residual: float) -> tuple[Spot | None, int]:
    """A lower spot along the first direction that has one; and the trials it took."""
    trials = 0
    for d in directions(objective, spot):
        found = search(objective, spot, d, residual)
        trials += found.trials
        if found.point is not None:
            return found.point, trials
    return None, trials


def search(objective: Objective, spot: Spot, d: Array, residual: float) -> Searched[Spot]:
    """The first of ``u + t d``, t halved, that is lower; where values are blurred, the residual decides."""
    loss = crushed(d, spot.widths)
    least = 4 * EPS * max(abs(spot.x[0]), abs(spot.x[-1]))

    def along(t: float) -> Spot | None:
        u = objective.inside(spot.u + t * d)
        x = u[objective.places]
        return objective.at(u) if (x[1:] - x[:-1]).min() > least else None

    return armijo(
        along,
        spot.value,
        float(spot.gradient @ d),
        longest=min(1.0, CRUSH / loss) if loss > 0 else 1.0,
        noise=NOISE * float(EPS) * abs(spot.value),
        drowned=lambda new: objective.residual(new) < GAIN * residual,
    )


def directions(objective: Objective, spot: Spot) -> Iterator[Array]:
    """Minimisers of quadratic models, the best model first; at last the steepest descent."""
    if objective.folded(spot):
        return
    g, held = objective.free(spot), spot.held
    for convex in (False, True):
        H, far = objective.hessian(spot, convex)
        H, near = direction(objective, spot, H)
        d = None if near is None or far is None else conjugate(H, far, g, held)
        if d is not None and crushed(d, spot.widths) <= CRUSH:
            yield d
        if near is not None:
            yield near
    down = -objective.representative(g)  # where a pressure drowns the metric in rounding
    if down.any():
        down /= np.abs(down).max()
        bend = float(down @ (H @ down))
        if bend > 0:
            yield -float(g @ down) / bend * down


def direction(objective: Objective, spot: Spot, H: Banded) -> tuple[Banded, Array | None]:
    """The model and Newton's direction; where it changes widths much, with chords of the pressure for its tangents.

    A pressure that grows like ``1 / l^n`` is far above its tangent in a cell that is squeezed, and the tangent would
    have it crushed.  With ``n = stiffness l / pressure`` of each cell, the force that a solution loads on a cell
    tells the width that carries it, and so the chord; a few rounds of this settle.  Where a cell is crushed all the
    same, for want of a pressure, the model is minimised with the nodes in order.
    """
    d = bounded(objective, spot, H)
    if d is None:
        return H, None
    chord = spot.stiffness
    for rounds in itertools.count():
        stretch = stretched(d, spot.widths)
        tight = float(stretch.min())
        tame = max(-tight, float(stretch.max())) <= TAME
        if tame or rounds == ROUNDS or (rounds >= SETTLED and tight > KEPT - 1):
            break
        new = chords(spot, chord, stretch)
        stiffer = H.stiffer(between(new - chord, objective.k))
        changed = None if (new == chord).all() else bounded(objective, spot, stiffer)
        if changed is None:
            break
        H, chord, d = stiffer, new, changed
    if tight < -CRUSH:
        d = in_order(H, objective.free(spot), spot.held, spot.widths)
    return H, d


def chords(spot: Spot, chord: Array, stretch: Array) -> Array:
    """Slopes of the pressure between the width now and the width that carries the load ``chord l stretch`` puts on."""
    p, K, widths = spot.pressure, spot.stiffness, spot.widths
    firm = p > WEAK
    load = np.divide(-chord * widths * stretch, p, out=np.zeros_like(p), where=firm) + 1
    exponent = np.divide(p, K * widths, out=np.ones_like(p), where=firm)
    load = np.maximum(load, LEAST)  # in units of the pressure now
    change = load**-exponent - 1  # of the width, relative
    bent = firm & (np.abs(change) > 1e-3)
    return np.divide((1 - load) * p, widths * change, out=K.copy(), where=bent)


def bounded(objective: Objective, spot: Spot, H: Banded) -> Array | None:
    """The minimiser of ``g . d + d . H d / 2`` with the ends of u + d between the walls; None where H is not convex."""
    g, (lower, upper) = spot.gradient, objective.bounds
    first, last = objective.k - 1, len(g) - 1
    left, right = lower - float(spot.u[first]), upper - float(spot.u[last])
    likely = spot.held
    for ends in sorted(([], [first], [last], [first, last]), key=lambda ends: ends != likely):
        ways = [left if i == first else right for i in ends]
        if any(map(math.isinf, ways)):
            continue
        d = with_held(g, H, ends, ways)
        if d is None:
            return None
        push = g + H @ d if ends else d
        inside = (first in ends or d[first] >= left) and (last in ends or d[last] <= right)
        pressed = (first not in ends or push[first] >= 0) and (last not in ends or push[last] <= 0)
        if inside and pressed:
            return d
    return None


def with_held(g: Array, H: Banded, rows: Sequence[int], values: Sequence[float]) -> Array | None:
    """The minimiser of ``g . d + d . H d / 2`` with some entries of d given."""
    if not rows:
        return H.solve(-g)
    d = np.zeros_like(g)
    d[rows] = values
    right = -(g + H @ d)
    right[rows] = values
    return H.held(rows).solve(right)


def conjugate(
    H: Banded, far: Callable[[Array], Array], g: Array, held: Sequence[int]
) -> Array | None:
    """The solution d of ``(H + far) d = -g`` with the unknowns ``held`` at zero, preconditioned by H.

    None where H, or H + far along a direction that was met, is not positive.
    """
    near = H.held(held).inverse()
    if near is None:
        return None

    def product(p: Array) -> Array:
        image = H @ p + far(p)
        image[held] = 0.0
        return image

    size = max(float(g @ near(g)), 0.0) ** 0.5
    found = conjugate_gradients(product, -g, near, LEFT * size, PRODUCTS, natural=True)
    return found.x if found.positive else None
