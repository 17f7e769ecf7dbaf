"""Newton's method where the density is no smooth function of the price: powers m > 2, whose (U*)'' is infinite at 0+.

There a cell that mass enters defeats the dual Newton method: its model of the density at the price 0 is wrong by any
factor.  U' itself is smooth, so the densities r_c of the corners are unknowns of their own here, beside phi:

``F(r, phi) = 0,   U'(r_c) = p_c(phi)  where r_c > 0,   p_c <= 0  where r_c = 0``

A Newton step for these equations has the same matrix as the dual one, with ``w_c = 1 / U''(r_c)``; corners change
sides by what the step predicts for them (a primal-dual active set).  Full steps, no line search.  The answer is phi
alone: the densities that count are (U*)'(p_c).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from jko.steps.dynamic.conjugates import Kind, Mixed, Power, conjugate, price
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.newton import Outcome, minimise, precision
from jko.steps.dynamic.stepper import Stepper

Fields = Any
GROWTH = 4.0  # of a density in one step, where its price does not ask for more
NEAR, STEPS = 1e-4, 20  # residual from which these steps start; how many of them
ENTER = 1e-1  # largest density of a corner that mass enters / largest density


def steep(kind: Kind) -> bool:
    """Whether U''(0) = 0."""
    return (isinstance(kind, Power) and kind.m > 2) or (
        isinstance(kind, Mixed) and kind.sigma == 0 and min(kind.m) > 2
    )


def minimise_steep(stepper: Stepper, phi: Array, tol: float, limit: int) -> Outcome:
    """Like :func:`jko.steps.dynamic.newton.minimise`, which comes near enough and has the last word.

    From a start that is near these steps converge fast, from afar they may not.
    """
    at = minimise(stepper, phi, max(tol, NEAR), limit)
    best = at
    r, M = np.zeros_like(stepper.w), np.empty_like(stepper.M)
    state = (stepper.data.kind, stepper.strides[0], stepper.layout.rows[0], stepper.data.tau)
    densities(*state, at.phi, stepper.V, stepper.g, r)
    enter = ENTER * float(stepper.rho0.max())
    for _ in range(STEPS):
        if not at.finite or at.residual <= tol:
            break
        M[:], stepper.M[:] = stepper.M0, stepper.M0
        fields = (at.phi, stepper.V, stepper.g, r)
        linearise(*state, *fields, stepper.w, stepper.rho, stepper.M, M)
        left = stepper.imbalance()
        stepper.prepare(mobility=M)
        step, cg = stepper.solve(stepper.F, precision(min(left, at.residual), tol))
        update(*state, *fields, stepper.w, step, enter)
        phi = at.phi - step
        work = (at.newton + 1, at.cg + cg, at.evaluations + 1)
        at = Outcome(phi, stepper.evaluate(phi), stepper.imbalance(), *work)
        best = min(best, at, key=lambda o: o.residual if o.finite else np.inf)
    if at.finite and at.residual <= tol:
        return at
    last = minimise(stepper, best.phi, tol, limit)
    return last._replace(newton=at.newton + last.newton, cg=at.cg + last.cg)


@njit(cache=True)
def _price(
    c: int, q: int, d: int, strides: Any, k: float, phi: Fields, V: Fields, g: Fields
) -> float:
    p = phi[q] - V[q]
    for a in range(d):
        p += k * g[a, q if (c >> (d - 1 - a)) & 1 else q - strides[a]] ** 2
    return p


@njit(cache=True)
def densities(
    kind: Any, strides: Any, rows: Fields, tau: float, phi: Fields, V: Fields, g: Fields, r: Fields
) -> None:
    """r_c = (U*)'(p_c)."""
    d = len(strides)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << d):
                p = _price(c, q, d, strides, 0.25 * tau, phi, V, g)
                r[c, q] = conjugate(kind, p)[1]


@njit(cache=True)
def linearise(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    w: Fields,
    rho: Fields,
    M: Fields,
    safe: Fields,
) -> None:
    """Weights, and density and mobility of ``r + w (p - U'(r))``; ``safe`` is the mobility of r, which is positive."""
    d = len(strides)
    share = 1.0 / (1 << d)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            total = 0.0
            for c in range(1 << d):
                now = r[c, q]
                w[c, q] = 0.0
                if now > 0.0:
                    p = _price(c, q, d, strides, 0.25 * tau, phi, V, g)
                    slope = price(kind, now)
                    weight = conjugate(kind, slope)[2]
                    w[c, q] = share * weight
                    wanted = now + weight * (p - slope)
                    total += wanted
                    for a in range(d):
                        face = q if (c >> (d - 1 - a)) & 1 else q - strides[a]
                        M[a, face] += 0.5 * share * wanted
                        safe[a, face] += 0.5 * share * now
            rho[q] = share * total


@njit(cache=True)
def update(
    kind: Any,
    strides: Any,
    rows: Fields,
    tau: float,
    phi: Fields,
    V: Fields,
    g: Fields,
    r: Fields,
    w: Fields,
    step: Fields,
    enter: float,
) -> None:
    """The densities that the step predicts: negative ones leave, and corners whose price rises above 0 enter."""
    d = len(strides)
    for row in range(rows[1]):
        first = rows[0] + row * rows[2]
        for q in range(first, first + rows[3]):
            for c in range(1 << d):
                p = _price(c, q, d, strides, 0.25 * tau, phi, V, g) - step[q]
                for a in range(d):
                    s = strides[a]
                    face = q if (c >> (d - 1 - a)) & 1 else q - s
                    change = phi[face + s] - phi[face]
                    if g[a, face] != 0.0:
                        moved = step[face + s] - step[face]
                        p -= 0.5 * tau * g[a, face] ** 2 * moved / change
                now = r[c, q]
                if now > 0.0:
                    wanted = now + (w[c, q] * (1 << d)) * (p - price(kind, now))
                    largest = max(conjugate(kind, p)[1], GROWTH * now)
                    r[c, q] = min(max(wanted, 0.0), largest)
                elif p > 0.0:
                    r[c, q] = min(conjugate(kind, p)[1], enter)
