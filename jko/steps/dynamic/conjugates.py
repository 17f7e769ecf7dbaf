"""Internal energies as the dual sees them: ``E*``, its derivative (the density) and its second derivative.

For ``E = int U(rho)`` with U convex on [0, inf), ``U*(p) = max over r >= 0 of p r - U(r)``; the maximiser r is the
density at the price p, never negative and zero where p lies below U'(0).  One named tuple a kind of energy: compiled
code specialises on its type, so that no kernel asks in its inner loop which energy it has.

Where U* grows so fast that numbers end (an entropy), or is finite for p < 0 only (powers m < 1), it goes on by its
expansion of second order above the density e^60.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from numba import types
from numba.extending import overload

from jko.energies import Congestion, Entropy, PorousMedium
from jko.energies.base import Energy
from jko.steps.dynamic.exponential import exp
from jko.steps.dynamic.roots import HUGE, mixed, raised


class Logarithmic(NamedTuple):
    """``sigma int rho log rho``."""

    sigma: float


class Quadratic(NamedTuple):
    """``c/2 int rho^2``."""

    c: float


class Power(NamedTuple):
    """``c / (m (m - 1)) int rho^m``, m > 1."""

    c: float
    m: float


class Mixed(NamedTuple):
    """``sigma int rho log rho + sum_i c_i / (m_i (m_i - 1)) int rho^m_i``; sigma may be 0, and one m_i less than 1."""

    sigma: float
    c: tuple[float, ...]
    m: tuple[float, ...]


class Congested(NamedTuple):
    """The same where the density is at most ``limit``, +inf elsewhere; sigma and all c_i may be 0."""

    sigma: float
    c: tuple[float, ...]
    m: tuple[float, ...]
    limit: float


Kind = Logarithmic | Quadratic | Power | Mixed | Congested


def kind_of(internal: Sequence[tuple[float, Energy]]) -> Kind | None:
    """The kind of a sum of internal energies ``c_1 E_1 + c_2 E_2 + ...``; None where one of them has no kernels.

    Raises
    ------
    ValueError
        There is none, so that the dual has no unique density.
    """
    sigma, limit = 0.0, math.inf
    powers: dict[float, float] = {}
    for c, E in internal:
        if isinstance(E, Entropy):
            sigma += float(c)
        elif isinstance(E, PorousMedium):
            powers[float(E.m)] = powers.get(float(E.m), 0.0) + float(c)
        elif isinstance(E, Congestion):
            limit = min(limit, float(E.limit))
        else:
            return None
    if limit < math.inf:
        powers = powers or {2.0: 0.0}
        return Congested(sigma, tuple(powers.values()), tuple(powers), limit)
    if not sigma and not powers:
        raise ValueError(
            "the energy has no internal term, and without one the dual of a step on a grid has kinks where Dynamic "
            "needs a second derivative; add a little of one, such as 1e-3 * jko.Entropy() or 1e-3 * "
            "jko.PorousMedium(2), or move jko.Particles, which need none"
        )
    if not powers:
        return Logarithmic(sigma)
    if sigma or len(powers) > 1 or min(powers) < 1:
        return Mixed(sigma, tuple(powers.values()), tuple(powers))
    ((m, c),) = powers.items()
    return Quadratic(c) if m == 2.0 else Power(c, m)


def entropic(kind: Kind) -> bool:
    """Whether U'(0) = -inf, so that densities are positive."""
    if isinstance(kind, Mixed | Congested):
        return kind.sigma > 0 or min(kind.m) < 1
    return isinstance(kind, Logarithmic)


def flat(kind: Kind) -> bool:
    """Whether U''(0) = 0, so that (U*)' rises infinitely steeply from the front: only powers above 2."""
    if isinstance(kind, Mixed):
        return not kind.sigma and min(kind.m) > 2
    return isinstance(kind, Power) and kind.m > 2


def conjugate(kind: Any, p: float) -> tuple[float, float, float]:
    """``U*(p)``, the density ``(U*)'(p)`` and ``(U*)''(p)``; for compiled code, which replaces this body."""
    raise NotImplementedError


def primal(kind: Any, r: float) -> float:
    """``U(r)`` for r >= 0; for compiled code, which replaces this body."""
    raise NotImplementedError


def marginal(kind: Any, r: float) -> tuple[float, float]:
    """``U'(r)`` and ``U''(r)`` for r >= 0, -inf and inf for an entropy at 0; for compiled code, as the others."""
    raise NotImplementedError


def _is(kind: Any, wanted: type) -> bool:
    return isinstance(kind, types.BaseNamedTuple) and kind.instance_class is wanted


@overload(conjugate, inline="never")
def _conjugate(kind: Any, p: Any) -> Any:
    if _is(kind, Logarithmic):

        def logarithmic(kind: Any, p: Any) -> Any:
            sigma = kind.sigma
            x = p / sigma - 1.0
            over = max(x - HUGE, 0.0)
            top = exp(min(x, HUGE))
            return sigma * top * (1.0 + over + 0.5 * over * over), top * (1.0 + over), top / sigma

        return logarithmic
    if _is(kind, Quadratic):

        def quadratic(kind: Any, p: Any) -> Any:
            w = 1.0 / kind.c
            r = max(p, 0.0) * w
            return 0.5 * r * r * kind.c, r, w if p > 0.0 else 0.0

        return quadratic
    if _is(kind, Power):

        def power(kind: Any, p: Any) -> Any:
            if not p > 0.0:
                return 0.0, 0.0, 0.0
            c, m = kind.c, kind.m
            r = ((m - 1.0) * p / c) ** (1.0 / (m - 1.0))
            return r * p * (1.0 - 1.0 / m), r, r / ((m - 1.0) * p)

        return power
    if _is(kind, Mixed):

        def sum_of_powers(kind: Any, p: Any) -> Any:
            return mixed(kind.sigma, kind.c, kind.m, p)

        return sum_of_powers
    if _is(kind, Congested):

        def congested(kind: Any, p: Any) -> Any:
            top = kind.limit
            price = marginal(kind, top)[0]
            if p > price:
                return p * top - primal(kind, top), top, 0.0
            if kind.sigma == 0.0 and max(kind.c) == 0.0:
                return 0.0, 0.0, 0.0
            return mixed(kind.sigma, kind.c, kind.m, p)

        return congested
    return None


@overload(primal, inline="never")
def _primal(kind: Any, r: Any) -> Any:
    if _is(kind, Logarithmic):

        def logarithmic(kind: Any, r: Any) -> Any:
            return kind.sigma * r * math.log(r) if r > 0.0 else 0.0

        return logarithmic
    if _is(kind, Quadratic):

        def quadratic(kind: Any, r: Any) -> Any:
            return 0.5 * kind.c * r * r

        return quadratic
    if _is(kind, Power):

        def power(kind: Any, r: Any) -> Any:
            return kind.c * r**kind.m / (kind.m * (kind.m - 1.0))

        return power
    if _is(kind, Mixed) or _is(kind, Congested):

        def sum_of_powers(kind: Any, r: Any) -> Any:
            total = kind.sigma * r * math.log(r) if r > 0.0 else 0.0
            for i in range(len(kind.c)):
                total += kind.c[i] * r ** kind.m[i] / (kind.m[i] * (kind.m[i] - 1.0))
            return total

        return sum_of_powers
    return None


@overload(marginal, inline="never")
def _marginal(kind: Any, r: Any) -> Any:
    if _is(kind, Logarithmic):

        def logarithmic(kind: Any, r: Any) -> Any:
            if not r > 0.0:
                return -math.inf, math.inf
            return kind.sigma * (math.log(r) + 1.0), kind.sigma / r

        return logarithmic
    if _is(kind, Quadratic):

        def quadratic(kind: Any, r: Any) -> Any:
            return kind.c * r, kind.c

        return quadratic
    if _is(kind, Power):

        def power(kind: Any, r: Any) -> Any:
            if not r > 0.0:
                return 0.0, 0.0 if kind.m > 2.0 else math.inf
            slope = kind.c * raised(r, kind.m - 1.0)
            return slope / (kind.m - 1.0), slope / r

        return power
    if _is(kind, Mixed) or _is(kind, Congested):

        def sum_of_powers(kind: Any, r: Any) -> Any:
            if not r > 0.0:
                low = kind.sigma > 0.0 or min(kind.m) < 1.0
                return -math.inf if low else 0.0, math.inf
            price, bend = 0.0, 0.0
            if kind.sigma > 0.0:
                price, bend = kind.sigma * (math.log(r) + 1.0), kind.sigma / r
            for i in range(len(kind.c)):
                slope = kind.c[i] * r ** (kind.m[i] - 1.0)
                price += slope / (kind.m[i] - 1.0)
                bend += slope / r
            return price, bend

        return sum_of_powers
    return None
