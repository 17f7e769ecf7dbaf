"""Barenblatt profiles: the porous-medium energy with a quadratic well, whose steps and flows are dilations.

``E(rho) = c/(m (m - 1)) int rho^m + (a/2) int |x|^2 drho`` on R^d has the flow
``d_t rho = (c/m) Lap rho^m + a div(rho x)`` (survey (4.6)-(4.7) for m = 2).  For m > 1 write p = 1/(m - 1) and

``B_R(x) = k / R^d (1 - |x|^2 / R^2)_+^p``,    ``k = Gamma(p + 1 + d/2) / (pi^{d/2} Gamma(p + 1))``.

The pressure ``c rho^{m-1}/(m-1)`` of B_R is a parabola, so its gradient is linear in x, and so are the velocity of the
flow and, since dilations are gradients of convex functions, the optimal map ``x -> (R/R+) x`` of the step.  The
Euler-Lagrange equation of the step is then one equation for R+; E + W2^2/(2 tau) is convex along generalised geodesics
for 1 + tau a > 0 (McCann), so its solution is the minimum over all measures.  With ``q = d (m - 1) + 2`` and
``b = 2 c k^{m-1} / (m - 1)``:

``(1 + tau a) R+ - R = tau b R+^{1-q}``,    ``R' = b R^{1-q} - a R``,    at rest ``R^q = b / a``.

Fast diffusion, m < 1, has profiles of the same kind that are positive everywhere,

``B_R(x) = k / R^d (1 + |x|^2 / R^2)^p``,    ``k = Gamma(-p) / (pi^{d/2} Gamma(-p - d/2))``,  p = 1/(m - 1) < 0,

and the same equations for R with ``b = 2 c k^{m-1} / (1 - m)``.  Their mass is finite for ``m > 1 - 2/d``, their second
moment and energy, and so W2, for ``m > d / (d + 2)``; this and McCann's ``m >= 1 - 1/d`` are asked for here.

A well around another centre moves the centre by itself, as :func:`jko.exact.quadratic_step` moves an atom.
"""

import numpy as np
from scipy.special import betainc, gammaln

from jko.exact.roots import root
from jko.exact.rules import (
    Array,
    Exponent,
    NotNegative,
    NotNegativeNumbers,
    Numbers,
    Positive,
    Real,
    Whole,
    curvature,
    formula,
    point,
    pointwise,
)


@formula
def barenblatt(x: Numbers, *, R: Positive, m: Exponent = 2.0, centre: Numbers = 0.0) -> Array:
    """The density ``B_R(x - centre)`` of the module, with mass one.

    Parameters
    ----------
    x : (..., d)
        Points.
    R : float
        Radius of the support, for m < 1 of the core, > 0.
    centre : number or (d,)

    Returns
    -------
    Array (...)
        Mass per unit volume.

    Examples
    --------
    >>> from jko import exact
    >>> exact.barenblatt([[0.0], [1.0], [2.0]], R=1.0).round(12).tolist()
    [0.75, 0.0, 0.0]
    """
    x = np.atleast_1d(x)
    d = x.shape[-1]
    square = (((x - point("centre", centre, d)) / R) ** 2).sum(-1)
    base = np.maximum(1 - square, 0) if m > 1 else 1 + square
    return _height(m, d) / R**d * base ** (1 / (m - 1))


@formula
def barenblatt_mass(x: Numbers, *, R: Positive, m: Exponent = 2.0, centre: Real = 0.0) -> Array:
    """The mass of B_R in (-inf, x] for d = 1: its distribution function, for the masses of cells.

    Examples
    --------
    >>> from jko import exact
    >>> exact.barenblatt_mass([-1.0, 0.0, 3.0], R=1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    p, z = 1 / (m - 1), (x - centre) / R
    if m > 1:
        return betainc(p + 1, p + 1, np.clip((1 + z) / 2, 0, 1))
    _height(m, 1)  # that there is one
    tail = betainc(-p - 0.5, 0.5, 1 / (1 + z**2)) / 2
    return np.where(z < 0, tail, 1 - tail)


@formula
def barenblatt_step(
    R: NotNegative,
    *,
    m: Exponent = 2.0,
    d: Whole,
    c: Positive = 1.0,
    a: Real = 0.0,
    tau: Positive,
) -> float:
    """The radius after a JKO step of ``c PorousMedium(m) + a |x|^2/2`` in W2 from B_R.

    The root of ``(1 + tau a) R+ - R = tau b R+^{1-q}``, see the module; R = 0 is a Dirac mass.

    Source: survey (4.6); the Euler-Lagrange equation of the step.

    Raises
    ------
    ValueError
        If ``1 + tau a <= 0``: then the step has no minimum.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.barenblatt_step(1.0, m=2, d=1, c=0.5, tau=0.1), 12)
    1.066000394654
    """
    (b, q), k = _rate(m, d, c), curvature(a, tau)
    still, spread = R / k, (tau * b / k) ** (1 / q)

    def excess(r: float) -> float:  # increasing
        return k * r - R - tau * b * r ** (1 - q)

    return root(excess, max(still, spread), still + spread)


@pointwise
def barenblatt_flow(
    R: NotNegativeNumbers,
    *,
    m: Exponent = 2.0,
    d: Whole,
    c: Positive = 1.0,
    a: Real = 0.0,
    t: NotNegativeNumbers,
) -> Array:
    """The radius at time t of the flow from B_R: ``R(t)^q = e^{-q a t} R^q + b (1 - e^{-q a t}) / a``.

    For a = 0 it is ``R^q + q b t``, from R = 0 the source solution of Barenblatt and Pattle.

    Source: survey (4.7).

    Examples
    --------
    >>> from jko import exact
    >>> round(float(exact.barenblatt_flow(0.0, m=2, d=1, c=0.5, t=1.0)), 12)
    1.310370697104
    """
    b, q = _rate(m, d, c)
    elapsed = q * t if a == 0 else -np.expm1(-q * a * t) / a
    return (np.exp(-q * a * t) * R**q + b * elapsed) ** (1 / q)


@formula
def barenblatt_rest(*, m: Exponent = 2.0, d: Whole, c: Positive = 1.0, a: Positive) -> float:
    """The radius of the minimiser of ``c PorousMedium(m) + a |x|^2/2``, a > 0: ``R^q = b / a``.

    For m > 1 its support is compact, unlike that of a Gibbs measure.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.barenblatt_rest(m=2, d=1, c=0.5, a=1.0) ** 3, 12)
    0.75
    """
    b, q = _rate(m, d, c)
    return (b / a) ** (1 / q)


@formula
def barenblatt_spread(*, m: Exponent = 2.0, d: Whole) -> float:
    """The second moment ``int |x|^2 B_1 = |d / (d + 2 p + 2)|`` of the profile with radius one.

    So ``int |x|^2 B_R`` is this times R^2, and ``W2^2(B_R, B_S)`` this times (R - S)^2.

    Examples
    --------
    >>> from jko import exact
    >>> exact.barenblatt_spread(m=2, d=1)
    0.2
    """
    _height(m, d)  # that there is one
    return abs(d / (d + 2 / (m - 1) + 2))


@pointwise
def barenblatt_energy(
    R: Numbers, *, m: Exponent = 2.0, d: Whole, c: Positive = 1.0, a: Real = 0.0
) -> Array:
    """The value ``c/(m (m - 1)) int B_R^m + (a/2) int |x|^2 B_R``.

    ``int B_R^m = k^{m-1} |R|^{-d (m-1)} (p + 1) / (p + 1 + d/2)``; R = 0, a Dirac mass, has none.

    Examples
    --------
    >>> from jko import exact
    >>> round(float(exact.barenblatt_energy(1.0, m=2, d=1)), 12)
    0.3
    """
    p = 1 / (m - 1)
    power = (_height(m, d) / np.abs(R) ** d) ** (m - 1) * (p + 1) / (p + 1 + d / 2)
    return c * power / (m * (m - 1)) + 0.5 * a * R**2 * barenblatt_spread(m=m, d=d)


def _height(m: float, d: int) -> float:
    """k: B_1 at the origin."""
    p = 1 / (m - 1)
    if m < 1:
        if not (m > d / (d + 2) and m >= 1 - 1 / d):
            raise ValueError(
                f"m = {m:g} in dimension {d}: the profile has a second moment for m > {d / (d + 2):.6g}, and the "
                f"energy is convex along geodesics for m >= {1 - 1 / d:.6g}; take a larger m"
            )
        return float(np.exp(gammaln(-p) - gammaln(-p - d / 2)) / np.pi ** (d / 2))
    return float(np.exp(gammaln(p + 1 + d / 2) - gammaln(p + 1)) / np.pi ** (d / 2))


def _rate(m: float, d: int, c: float) -> tuple[float, float]:
    """b and q of the module's equations."""
    return 2 * c * _height(m, d) ** (m - 1) / abs(m - 1), d * (m - 1) + 2
