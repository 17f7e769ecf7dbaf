"""Steps and flows of atoms: quadratic potentials, features held still, one neuron, splitting."""

from typing import NamedTuple

import numpy as np

from jko.exact.rules import Array, Numbers, Positive, PositiveNumbers, Vector, curvature, pointwise
from jko.shown import shown

# A quadratic potential


@pointwise
def quadratic_step(xi: Numbers, *, a: Numbers, c: Numbers, tau: PositiveNumbers) -> Array:
    """The JKO step in W2 of ``int V dmu`` with ``V(xi) = a |xi - c|^2 / 2``.

    ``xi+ = (xi + tau a c) / (1 + tau a)``, atom by atom, exact for any measure and ``1 + tau a > 0``.

    Source: survey (2.7)-(2.8); implicit Euler of ``xi' = -a (xi - c)``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.quadratic_step(3.0, a=2.0, c=1.0, tau=0.5))
    2.0
    """
    return (xi + tau * a * c) / curvature(a, tau)


@pointwise
def quadratic_flow(xi: Numbers, *, a: Numbers, c: Numbers, t: Numbers) -> Array:
    """The gradient flow (3.7) of ``V(xi) = a |xi - c|^2 / 2``: ``xi(t) = c + e^{-a t} (xi - c)``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.quadratic_flow(3.0, a=2.0, c=1.0, t=0.0))
    3.0
    """
    return c + np.exp(-a * t) * (xi - c)


# Theta held still, orthonormal features


@pointwise
def orthonormal_step(
    w: Vector, f: Numbers, *, tau: PositiveNumbers, weights: PositiveNumbers | None = None
) -> Array:
    """The JKO step in w alone of the risk whose features ``h(theta_i, .)`` are orthonormal in L2(D).

    ``w+ = (w + tau f_i) / (1 + tau m_i)`` with ``f_i = <f, h_i>`` and masses m_i, default 1/N.

    Source: survey (2.3), (2.6) with theta fixed.

    Examples
    --------
    >>> from jko import exact
    >>> exact.orthonormal_step([0.0, 1.0], [1.0, 2.0], tau=2.0).tolist()
    [1.0, 2.5]
    """
    m = 1 / len(w) if weights is None else weights
    return (w + tau * f) / (1 + tau * m)


@pointwise
def orthonormal_flow(
    w: Vector, f: Numbers, *, t: Numbers, weights: PositiveNumbers | None = None
) -> Array:
    """The flow of the same risk, ``w' = f_i - m_i w``: ``w(t) = f_i / m_i + (w - f_i / m_i) e^{-m_i t}``.

    Examples
    --------
    >>> from jko import exact
    >>> exact.orthonormal_flow([0.0, 1.0], [1.0, 2.0], t=0.0).tolist()
    [0.0, 1.0]
    """
    m = 1 / len(w) if weights is None else weights
    rest = f / m
    return rest + (w - rest) * np.exp(-m * t)


# One neuron on the circle, D = [0, 2 pi], h(theta, x) = cos(x - theta) / sqrt(pi)


@pointwise
def neuron_step(w: Numbers, *, z: Numbers, tau: PositiveNumbers) -> Array:
    """The JKO step of one neuron on the circle that points at its target: ``w+ = (w + tau z) / (1 + tau)``.

    With ``h(theta, x) = cos(x - theta) / sqrt(pi)`` and ``f(x) = z cos(x) / sqrt(pi)`` on D = [0, 2 pi] the risk is
    ``|w e^{i theta} - z|^2 / 2``; theta = 0 stays.

    Source: survey (2.1)-(2.6) with N = 1.

    Examples
    --------
    >>> from jko import exact
    >>> round(float(exact.neuron_step(0.5, z=2.0, tau=0.4)), 6)
    0.928571
    """
    return (w + tau * z) / (1 + tau)


@pointwise
def neuron_flow(w: Numbers, *, z: Numbers, t: Numbers) -> Array:
    """The flow of the same neuron: ``w(t) = z + (w - z) e^{-t}``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.neuron_flow(0.5, z=2.0, t=0.0))
    0.5
    """
    return z + (w - z) * np.exp(-t)


# Splitting


@shown
class Splitting(NamedTuple):
    """Values of one step from delta_0: the minimum over all measures, and over a single atom.

    Examples
    --------
    >>> from jko import exact
    >>> values = exact.splitting_values(2.0)
    >>> values.free < values.single  # it pays to split
    True
    """

    free: float
    single: float


@pointwise
def splitting_values(tau: Positive) -> Splitting:
    """The JKO step from delta_0 on the line with features ``(xi^2, xi)`` and target ``(1, 0)``: the atom should split.

    ``E(mu) = ((m2 - 1)^2 + m1^2) / 2`` with moments m1, m2.  Over all measures m1 = 0, ``m2 = (1 - 1/(2 tau))_+``;
    for a single atom ``xi^2 = (1/2 - 1/(2 tau))_+``.

    Source: survey (2.6) and Remark 3.4; the flow (3.7) never splits an atom (section 2.2), the step may.

    Examples
    --------
    >>> from jko import exact
    >>> exact.splitting_values(2.0)
    Splitting(free=0.21875, single=0.46875)
    """
    m2, s = max(1 - 0.5 / tau, 0.0), max(0.5 - 0.5 / tau, 0.0)
    return Splitting((m2 - 1) ** 2 / 2 + m2 / (2 * tau), (s - 1) ** 2 / 2 + s / 2 + s / (2 * tau))
