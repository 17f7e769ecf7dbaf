"""Linear features ``h(theta, x) = theta x`` in one dimension: steps, flows and the escape from the saddle."""

from typing import Any, NamedTuple

import numpy as np

from jko.exact.roots import root
from jko.exact.rules import Array, Moments, NotNegative, Positive, Real, formula
from jko.shown import shown

# Linear features h(theta, x) = theta x in d = 1.  The risk is s2 (A - target)^2 / 2 with A = int w theta dmu, so it
# sees mu through its matrix of second moments Z = int xi xi^T dmu, xi = (w, theta), alone; in the coordinates
# u = (w + theta) / sqrt 2 and v = (w - theta) / sqrt 2 it is A = (U - V) / 2 with U = int u^2, V = int v^2.


@formula
def linear_balanced_flow(A: Positive, *, s2: NotNegative, target: Real, t: NotNegative) -> float:
    """The flow (3.7) of the risk with ``h(theta, x) = theta x`` from a balanced measure, ``w = theta`` a.e.

    ``A(t) = a / (1 + (a / A - 1) e^{-2 s2 a t})`` with ``A = int w theta dmu > 0``, ``a = target``: the risk is
    ``s2 (A - a)^2 / 2`` when f(x) = a x and ``s2 = int x^2 dx``.  Balance is conserved, as is ``S^2 - 4 A^2`` with
    ``S = int (w^2 + theta^2) dmu`` for any measure.

    Source: survey (3.7) for (2.1) with a linear activation.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.linear_balanced_flow(0.2, s2=0.8, target=1.5, t=100.0), 12)
    1.5
    """
    rate = 2 * s2 * target
    grown = 2 * s2 * t if target == 0 else -np.expm1(-rate * t) / target
    return float(A / (np.exp(-rate * t) + A * grown))


@formula
def linear_balanced_step(A: Positive, *, s2: Positive, target: Real, tau: Positive) -> float:
    """The JKO step of the same risk from a balanced measure: the root of ``A+ (1 + tau s2 (A+ - target))^2 = A``.

    Exact for ``w = theta`` a.e., A > 0; it is :func:`linear_step` with ``Z = A [[1, 1], [1, 1]]``.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.linear_balanced_step(0.2, s2=0.8, target=1.5, tau=0.3), 12)
    0.375244584895
    """
    return float(linear_step(np.full((2, 2), A), s2=s2, target=target, tau=tau)[0, 1])


@formula
def linear_flow(Z: Moments, *, s2: NotNegative, target: Real, t: NotNegative) -> Array:
    """The flow (3.7) of the risk with ``h(theta, x) = theta x``, from any measure, as a linear map of the atoms.

    The velocity of (u, v) is ``(-q u, q v)`` with ``q = s2 (A - target)``.  With ``y = exp(-2 int q)`` this is the
    Riccati equation ``y' = -s2 (U y^2 - 2 target y - V)``, whose solution is

    ``y = (1 + (a + V) k) / (1 + (U - a) k)``, with ``k = tanh(D s2 t) / D``, ``D = sqrt(a^2 + U V)``, a = target.

    Parameters
    ----------
    Z : (2, 2)
        Second moments ``int xi xi^T dmu`` at time zero, xi = (w, theta).

    Returns
    -------
    Array (2, 2)
        The symmetric matrix P with ``xi(t) = P xi``, so that ``Z(t) = P Z P``.

    Notes
    -----
    Source: survey (3.7) for (2.1) with a linear activation.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import exact
    >>> P = exact.linear_flow(np.full((2, 2), 0.2), s2=0.8, target=1.5, t=0.4)
    >>> A = exact.linear_balanced_flow(0.2, s2=0.8, target=1.5, t=0.4)
    >>> bool(abs((P @ np.full((2, 2), 0.2) @ P)[0, 1] - A) < 1e-15)
    True
    """
    U, V = _along_and_across(Z)
    D = np.sqrt(target**2 + U * V)
    k = np.tanh(D * s2 * t) / D if D > 0 else s2 * t
    y = (1 + (target + V) * k) / (1 + (U - target) * k)
    return _in_w_theta(np.sqrt(y), 1 / np.sqrt(y))


@formula
def linear_step(Z: Moments, *, s2: Positive, target: Real, tau: Positive) -> Array:
    """The second moments after a JKO step of the risk with ``h(theta, x) = theta x``, from any measure.

    ``Z+ = (I + tau M_q)^{-1} Z (I + tau M_q)^{-1}`` with ``M_q = [[0, q], [q, 0]]`` and ``q = s2 (A+ - target)``.

    Parameters
    ----------
    Z : (2, 2)
        Second moments ``int xi xi^T dmu`` of the base point, xi = (w, theta).

    Returns
    -------
    Array (2, 2)
        Second moments after the step; ``A+ = Z+[0, 1]``.

    Notes
    -----
    Exact for any number of atoms and any weights, see :func:`linear_step_map`.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import exact
    >>> Z = exact.linear_step(np.eye(2), s2=1.0, target=0.0, tau=1.0)
    >>> Z.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    P = linear_step_map(Z, s2=s2, target=target, tau=tau)
    return P @ Z @ P


@formula
def linear_step_map(Z: Moments, *, s2: Positive, target: Real, tau: Positive) -> Array:
    """The linear map ``P = (I + tau M_q)^{-1}`` of the atoms in the step of :func:`linear_step`: ``xi+ = P xi``.

    ``q`` is the root in ``|q| < 1/tau`` of ``q = s2 (A+ - target)``, ``2 A+ = U / (1 + tau q)^2 - V / (1 - tau q)^2``.
    There ``phi + |. - y|^2 / (2 tau)`` is convex, so the step is the minimum over *all* measures.

    Raises
    ------
    ValueError
        If no root exists: then one of U, V vanishes, the base point is a saddle in that direction, and the minimum
        over all measures leaves it while no map of the atoms does; see :func:`linear_escape`.

    Notes
    -----
    Source: survey Remark 3.4, Euler-Lagrange equation of the step.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import exact
    >>> P = exact.linear_step_map(np.eye(2), s2=1.0, target=0.0, tau=1.0)
    >>> P.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    U, V = _along_and_across(Z)

    def excess(p: Any) -> Any:  # p = tau q in (-1, 1); increasing
        return p / tau - s2 * (0.5 * (U / (1 + p) ** 2 - V / (1 - p) ** 2) - target)

    low, high = -1 + 1e-15, 1 - 1e-15
    if not excess(low) < 0 < excess(high):
        raise ValueError(
            f"the step from second moments U = {U:g}, V = {V:g} with tau = {tau:g} is no linear map of the atoms: "
            "the minimum over all measures leaves a saddle; use linear_escape, or a smaller tau"
        )
    p = root(excess, low, high)
    return _in_w_theta(1 / (1 + p), 1 / (1 - p))


@shown
class Escape(NamedTuple):
    """A step out of a saddle: A after the step and its value, minimised over all measures, and the value of staying.

    Examples
    --------
    >>> from jko import exact
    >>> escape = exact.linear_escape(s2=0.8, target=1.5, tau=2.0)
    >>> isinstance(escape, exact.Escape), escape.value < escape.stay
    (True, True)
    """

    A: float
    value: float
    stay: float


@formula
def linear_escape(*, s2: Positive, target: NotNegative, tau: Positive) -> Escape:
    """The JKO step from delta_0 of the risk with ``h(theta, x) = theta x``, minimised over all measures.

    ``A+ = (target - 1/(s2 tau))_+`` and the value is ``s2 (A+ - target)^2 / 2 + A+ / tau``, for target > 0.  The
    flow (3.7) stays at delta_0 for ever, and so does a step that moves one atom by a gradient.

    Source: survey section 2.2, where gradient flow does not converge to a global minimiser.

    Examples
    --------
    >>> from jko import exact
    >>> escape = exact.linear_escape(s2=0.8, target=1.5, tau=2.0)
    >>> round(escape.value, 12), round(escape.stay - escape.value, 12)
    (0.59375, 0.30625)
    """
    A = max(target - 1 / (s2 * tau), 0.0)
    return Escape(A, s2 * (A - target) ** 2 / 2 + A / tau, s2 * target**2 / 2)


def _along_and_across(Z: Array) -> tuple[float, float]:
    """U and V: second moments along w = theta and across it."""
    half, A = 0.5 * (Z[0, 0] + Z[1, 1]), Z[0, 1]
    return float(half + A), float(half - A)


def _in_w_theta(along: float, across: float) -> Array:
    """The matrix on (w, theta) with these eigenvalues on (1, 1) and (1, -1)."""
    even, odd = 0.5 * (along + across), 0.5 * (along - across)
    return np.array([[even, odd], [odd, even]])
