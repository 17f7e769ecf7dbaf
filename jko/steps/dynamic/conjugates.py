"""Internal energies as the dual sees them: ``E*``, its derivative (the density) and its second derivative.

For ``E = int U(rho)`` with U convex on [0, inf), ``U*(p) = max over r >= 0 of p r - U(r)``; the maximiser r is the
density at the price p, never negative and zero where p lies below U'(0).  One named tuple a kind of energy: compiled
code specialises on its type, so that no kernel asks in its inner loop which energy it has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from numba import njit, types
from numba.extending import overload

from jko.energies import Entropy, PorousMedium
from jko.energies.base import Energy
from jko.steps.dynamic.exponential import exp

HUGE = 60.0  # of p / sigma - 1, above which exp is continued by its second-order expansion
SCALAR_STEPS = 60
WHOLE = 32  # largest exponent that is taken by products


class Logarithmic(NamedTuple):
    """``sigma int rho log rho``."""

    sigma: float


class Quadratic(NamedTuple):
    """``c/2 int rho^2``."""

    c: float


class Power(NamedTuple):
    """``c / (m (m - 1)) int rho^m``."""

    c: float
    m: float


class Mixed(NamedTuple):
    """``sigma int rho log rho + sum_i c_i / (m_i (m_i - 1)) int rho^m_i``; sigma may be 0."""

    sigma: float
    c: tuple[float, ...]
    m: tuple[float, ...]


Kind = Logarithmic | Quadratic | Power | Mixed


def kind_of(internal: Sequence[tuple[float, Energy]]) -> Kind | None:
    """The kind of a sum of internal energies ``c_1 E_1 + c_2 E_2 + ...``; None where one of them has no kernels.

    Raises
    ------
    ValueError
        There is none, so that the dual has no unique density.
    """
    sigma: float = 0.0
    powers: dict[float, float] = {}
    for c, E in internal:
        if isinstance(E, Entropy):
            sigma += float(c)
        elif isinstance(E, PorousMedium):
            powers[float(E.m)] = powers.get(float(E.m), 0.0) + float(c)
        else:
            return None
    if not sigma and not powers:
        raise ValueError(
            "the energy has no internal term, and without one the dual of a step on a grid has kinks where Dynamic "
            "needs a second derivative; add a little of one, such as 1e-3 * jko.Entropy() or 1e-3 * "
            "jko.PorousMedium(2), or move jko.Particles, which need none"
        )
    if not powers:
        return Logarithmic(sigma)
    if sigma or len(powers) > 1:
        return Mixed(sigma, tuple(powers.values()), tuple(powers))
    ((m, c),) = powers.items()
    return Quadratic(c) if m == 2.0 else Power(c, m)


def entropic(kind: Kind) -> bool:
    """Whether (U*)' is an exponential at low densities."""
    return isinstance(kind, Logarithmic) or (isinstance(kind, Mixed) and kind.sigma > 0)


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


@njit(cache=True)
def raised(x: float, e: float) -> float:
    """``x^e`` for x >= 0, by products where e is a small whole number: a tenth of the time of a power."""
    n = int(e)
    if n != e or n > WHOLE:
        return x**e
    out = 1.0
    while n > 0:
        if n & 1:
            out *= x
        x *= x
        n >>= 1
    return out


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

        def mixed(kind: Any, p: Any) -> Any:
            return _mixed(kind, p)

        return mixed
    return None


@njit(cache=True)
def _mixed(kind: Any, p: float) -> tuple[float, float, float]:
    # s = log r solves sigma (s + 1) + sum c e^{(m-1) s} / (m - 1) = p: increasing and convex in s, so that Newton
    # from an upper bound comes down to the root
    sigma, n = kind.sigma, len(kind.c)
    if p == -math.inf or (sigma == 0.0 and p <= 0.0):
        return 0.0, 0.0, 0.0
    s = p / sigma - 1.0 if sigma > 0.0 else math.inf
    if p > 0.0:
        bound = math.inf
        for i in range(n):
            bound = min(bound, math.log((kind.m[i] - 1.0) * p / kind.c[i]) / (kind.m[i] - 1.0))
        s = min(s, max(bound, -1.0) if sigma > 0.0 else bound)
    for _ in range(SCALAR_STEPS):
        f, df = sigma * (s + 1.0) - p, sigma
        for i in range(n):
            e = kind.c[i] * math.exp((kind.m[i] - 1.0) * s)
            f += e / (kind.m[i] - 1.0)
            df += e
        step = f / df
        s -= step
        if abs(step) < 1e-15 * max(1.0, abs(s)) or not step > 0.0:
            break
    r = math.exp(s)
    value, curvature = sigma * r, sigma
    for i in range(n):
        e = kind.c[i] * math.exp((kind.m[i] - 1.0) * s)
        value += r * e / kind.m[i]
        curvature += e
    return value, r, r / curvature


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
    if _is(kind, Mixed):

        def mixed(kind: Any, r: Any) -> Any:
            total = kind.sigma * r * math.log(r) if r > 0.0 else 0.0
            for i in range(len(kind.c)):
                total += kind.c[i] * r ** kind.m[i] / (kind.m[i] * (kind.m[i] - 1.0))
            return total

        return mixed
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
    if _is(kind, Mixed):

        def mixed(kind: Any, r: Any) -> Any:
            if not r > 0.0:
                return -math.inf if kind.sigma > 0.0 else 0.0, math.inf
            price, bend = 0.0, 0.0
            if kind.sigma > 0.0:
                price, bend = kind.sigma * (math.log(r) + 1.0), kind.sigma / r
            for i in range(len(kind.c)):
                slope = kind.c[i] * r ** (kind.m[i] - 1.0)
                price += slope / (kind.m[i] - 1.0)
                bend += slope / r
            return price, bend

        return mixed
    return None
