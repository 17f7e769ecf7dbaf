"""Newton's method on the edges, with the walls as bounds on the two ends.

Only the first and the last edge can meet a wall before a cell is empty.  So the quadratic model with its bounds is
solved exactly: of the four sets of ends held at a wall, one satisfies the conditions of optimality.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from jko.steps.line import FRACTION, Found, descent
from jko.steps.quantile.objective import EPS, Objective, Spot
from jko.steps.quantile.tridiagonal import Tridiagonal

Array = NDArray[np.float64]

DECREASE, TRIALS = 1e-4, 40  # of Armijo's rule; halvings of a move
THINNEST = 0.05  # of its width is what a cell keeps in an iteration
TAME = 0.3  # changes of widths up to which tangents of the pressure will do
KEPT = 0.2  # of its width, what a cell should keep by chords
ROUNDS, SETTLED = 100, 3  # of chords, at most and at least
LEAST, WEAK = 0.01, 1e-200  # load that a chord counts with, of the pressure; no pressure
NOISE = 16  # of a value, in units of its last place


def minimise(
    objective: Objective, spot: Spot, tol: float | None, max_iterations: int
) -> Found[Spot]:
    """Newton with a line search from ``spot``, until the Euler-Lagrange equation holds."""
    return descent(
        spot,
        objective.residual,
        lambda spot: tolerance(objective, spot, tol),
        lambda spot, residual: descend(objective, spot, residual),
        max_iterations,
        objective.further,
    )


def tolerance(objective: Objective, spot: Spot, tol: float | None) -> float:
    """The residual at which to stop: ``tol``, or ``1e-8 |d| / tau``, and never below rounding."""
    wanted = FRACTION * spot.cost**0.5 / objective.problem.tau if tol is None else tol
    return max(wanted, objective.rounding(spot))


def descend(objective: Objective, spot: Spot, residual: float) -> tuple[Spot | None, int]:
    """A lower spot along Newton's direction, else along that of a convex model; and the trials it took."""
    trials = 0
    for convex in (False, True):
        d = direction(objective, spot, objective.hessian(spot, convex))
        if d is None:
            continue
        new, tried = search(objective, spot, d, residual)
        trials += tried
        if new is not None:
            return new, trials
    d = steepest(objective, spot)
    new, tried = (None, 0) if d is None else search(objective, spot, d, residual)
    return new, trials + tried


def steepest(objective: Objective, spot: Spot) -> Array | None:
    """The steepest descent, as far as the model falls along it: where a pressure drowns the metric in rounding."""
    g, (first, last) = spot.gradient.copy(), objective.held(spot)
    g[[0] * first + [-1] * last] = 0.0
    down = objective.gram.solve(-g)
    if down is None or not down.any():
        return None
    down /= np.abs(down).max()
    bend = float(down @ (objective.hessian(spot, True) @ down))
    return -float(g @ down) / bend * down if bend > 0 else None


def direction(objective: Objective, spot: Spot, H: Tridiagonal) -> Array | None:
    """Newton's direction; where it changes widths much, with chords of the pressure in place of its tangents.

    A pressure that grows like ``1 / l^n`` is far above its tangent in a cell that is squeezed, and the tangent would
    have it crushed.  With ``n = stiffness l / pressure`` of each cell, the force that a solution loads on a cell
    tells the width that carries it, and so the chord; a few rounds of this settle.
    """
    d = bounded(objective, spot, H)
    chord = spot.stiffness
    for rounds in range(ROUNDS):
        if d is None:
            break
        stretch = (d[1:] - d[:-1]) / spot.widths
        tight = float(stretch.min())
        if max(-tight, float(stretch.max())) <= TAME or (rounds >= SETTLED and tight > KEPT - 1):
            return d
        new = chords(spot, chord, stretch)
        H, chord, previous = H.stiffer(new - chord), new, d
        d = bounded(objective, spot, H)
        if d is None:
            return previous
    return d


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


def bounded(objective: Objective, spot: Spot, H: Tridiagonal) -> Array | None:
    """The minimiser of ``g . d + d . H d / 2`` with the ends of X + d between the walls; None where H is not convex."""
    lower, upper = objective.bounds
    left, right = lower - spot.X[0], upper - spot.X[-1]
    likely = objective.held(spot)
    for ends in sorted(itertools.product((False, True), repeat=2), key=lambda ends: ends != likely):
        if (ends[0] and math.isinf(left)) or (ends[1] and math.isinf(right)):
            continue
        d = with_ends(spot.gradient, H, left if ends[0] else None, right if ends[1] else None)
        if d is None:
            return None
        push = spot.gradient + H @ d if any(ends) else d
        inside = (ends[0] or d[0] >= left) and (ends[1] or d[-1] <= right)
        pressed = (not ends[0] or push[0] >= 0) and (not ends[1] or push[-1] <= 0)
        if inside and pressed:
            return d
    return None


def with_ends(g: Array, H: Tridiagonal, first: float | None, last: float | None) -> Array | None:
    """The minimiser of ``g . d + d . H d / 2`` with one or both ends of d given."""
    free = slice(0 if first is None else 1, len(g) if last is None else len(g) - 1)
    if free.start >= free.stop:  # one cell between two walls
        return np.array([first, last], dtype=np.float64)
    d = np.zeros_like(g)
    right = g
    if first is not None or last is not None:
        d[0], d[-1] = first or 0.0, last or 0.0
        right = g + H @ d
    inner = H.between(free.start, free.stop).solve(-right[free])
    if inner is None:
        return None
    d[free] = inner
    return d


def search(objective: Objective, spot: Spot, d: Array, residual: float) -> tuple[Spot | None, int]:
    """The first of ``X + t d``, t halved, that is lower; where values are blurred, the residual decides."""
    slope = float(spot.gradient @ d)
    if not slope < 0:
        return None, 0
    noise = NOISE * EPS * abs(spot.value)
    lower, upper = objective.bounds
    shrink = float(((d[:-1] - d[1:]) / spot.widths).max())
    t = min(1.0, (1 - THINNEST) / shrink) if shrink > 0 else 1.0
    least = 4 * EPS * float(np.abs(spot.X).max())
    for trial in range(1, TRIALS + 1):
        X = spot.X + t * d
        X[0], X[-1] = max(X[0], lower), min(X[-1], upper)  # rounding
        if (X[1:] - X[:-1]).min() > least:
            new = objective.at(X)
            if new.value <= spot.value + DECREASE * t * slope:
                return new, trial
            if -t * slope <= noise and objective.residual(new) < residual:
                return new, trial
        t *= 0.5
    return None, TRIALS
