"""Closed forms: JKO steps, flows, minima and distances that are known exactly.

Small functions of numbers and numpy arrays, which import nothing of the library: what they say and what a solver
finds are two programs.  ``tau`` is a time step, ``t`` a time; arrays broadcast.

========================  ==================================================================================
``quadratic_*``           a potential ``V = a |xi - c|^2 / 2``
``linear_*``              one-dimensional linear features ``h(theta, x) = theta x``
``orthonormal_*``         theta held still, features orthonormal
``neuron_*``              one neuron on the circle
``wall_*``                a constant drift into a wall, the no-flux condition (3.11)
``splitting_values``      a step in which an atom should split
``squared_distance_*``    D^2 of Remark 3.4
========================  ==================================================================================
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A quadratic potential


def quadratic_step(xi: Any, *, a: float, c: Any, tau: float) -> Array:
    """The JKO step in W2 of ``int V dmu`` with ``V(xi) = a |xi - c|^2 / 2``.

    ``xi+ = (xi + tau a c) / (1 + tau a)``, atom by atom, exact for any measure and ``1 + tau a > 0``.

    Source: survey (2.7)-(2.8); implicit Euler of ``xi' = -a (xi - c)``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.quadratic_step(3.0, a=2.0, c=1.0, tau=0.5))
    2.0
    """
    return (np.asarray(xi, dtype=float) + tau * a * np.asarray(c)) / (1 + tau * a)


def quadratic_flow(xi: Any, *, a: float, c: Any, t: float) -> Array:
    """The gradient flow (3.7) of ``V(xi) = a |xi - c|^2 / 2``: ``xi(t) = c + e^{-a t} (xi - c)``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.quadratic_flow(3.0, a=2.0, c=1.0, t=0.0))
    3.0
    """
    c = np.asarray(c, dtype=float)
    return c + np.exp(-a * t) * (np.asarray(xi, dtype=float) - c)


# Linear features h(theta, x) = theta x in d = 1.  The risk is s2 (A - target)^2 / 2 with A = int w theta dmu, so it
# sees mu through its matrix of second moments Z = int xi xi^T dmu, xi = (w, theta), alone; in the coordinates
# u = (w + theta) / sqrt 2 and v = (w - theta) / sqrt 2 it is A = (U - V) / 2 with U = int u^2, V = int v^2.


def linear_balanced_flow(A: float, *, s2: float, target: float, t: float) -> float:
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
    return float(target / (1 + (target / A - 1) * np.exp(-2 * s2 * target * t)))


def linear_balanced_step(A: float, *, s2: float, target: float, tau: float) -> float:
    """The JKO step of the same risk from a balanced measure: the root of ``A+ (1 + tau s2 (A+ - target))^2 = A``.

    Exact for ``w = theta`` a.e., A > 0; it is :func:`linear_step` with ``Z = A [[1, 1], [1, 1]]``.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.linear_balanced_step(0.2, s2=0.8, target=1.5, tau=0.3), 12)
    0.375244584895
    """
    return float(linear_step(np.full((2, 2), A), s2=s2, target=target, tau=tau)[0, 1])


def linear_flow(Z: Any, *, s2: float, target: float, t: float) -> Array:
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


def linear_step(Z: Any, *, s2: float, target: float, tau: float) -> Array:
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
    return P @ np.asarray(Z, dtype=float) @ P


def linear_step_map(Z: Any, *, s2: float, target: float, tau: float) -> Array:
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
    p = _root(excess, low, high)
    return _in_w_theta(1 / (1 + p), 1 / (1 - p))


class Escape(NamedTuple):
    """A step out of a saddle: A after the step and its value, minimised over all measures, and the value of staying."""

    A: float
    value: float
    stay: float


def linear_escape(*, s2: float, target: float, tau: float) -> Escape:
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


def _along_and_across(Z: Any) -> tuple[float, float]:
    """U and V: second moments along w = theta and across it."""
    Z = np.asarray(Z, dtype=float)
    half, A = 0.5 * (Z[0, 0] + Z[1, 1]), Z[0, 1]
    return float(half + A), float(half - A)


def _in_w_theta(along: float, across: float) -> Array:
    """The matrix on (w, theta) with these eigenvalues on (1, 1) and (1, -1)."""
    even, odd = 0.5 * (along + across), 0.5 * (along - across)
    return np.array([[even, odd], [odd, even]])


def _root(increasing: Any, low: float, high: float) -> float:
    """Bisection to the last bit."""
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if increasing(middle) < 0 else (low, middle)
    return middle


# Theta held still, orthonormal features


def orthonormal_step(w: Any, f: Any, *, tau: float, weights: Any = None) -> Array:
    """The JKO step in w alone of the risk whose features ``h(theta_i, .)`` are orthonormal in L2(D).

    ``w+ = (w + tau f_i) / (1 + tau m_i)`` with ``f_i = <f, h_i>`` and masses m_i, default 1/N.

    Source: survey (2.3), (2.6) with theta fixed.

    Examples
    --------
    >>> from jko import exact
    >>> exact.orthonormal_step([0.0, 1.0], [1.0, 2.0], tau=2.0).tolist()
    [1.0, 2.5]
    """
    w, m = _charges(w, weights)
    return (w + tau * np.asarray(f)) / (1 + tau * m)


def orthonormal_flow(w: Any, f: Any, *, t: float, weights: Any = None) -> Array:
    """The flow of the same risk, ``w' = f_i - m_i w``: ``w(t) = f_i / m_i + (w - f_i / m_i) e^{-m_i t}``.

    Examples
    --------
    >>> from jko import exact
    >>> exact.orthonormal_flow([0.0, 1.0], [1.0, 2.0], t=0.0).tolist()
    [0.0, 1.0]
    """
    w, m = _charges(w, weights)
    rest = np.asarray(f) / m
    return rest + (w - rest) * np.exp(-m * t)


def _charges(w: Any, weights: Any) -> tuple[Array, Array]:
    w = np.asarray(w, dtype=float)
    return w, np.full(len(w), 1 / len(w)) if weights is None else np.asarray(weights, dtype=float)


# One neuron on the circle, D = [0, 2 pi], h(theta, x) = cos(x - theta) / sqrt(pi)


def neuron_step(w: Any, *, z: float, tau: float) -> Array:
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
    return (np.asarray(w, dtype=float) + tau * z) / (1 + tau)


def neuron_flow(w: Any, *, z: float, t: float) -> Array:
    """The flow of the same neuron: ``w(t) = z + (w - z) e^{-t}``.

    Examples
    --------
    >>> from jko import exact
    >>> float(exact.neuron_flow(0.5, z=2.0, t=0.0))
    0.5
    """
    return z + (np.asarray(w, dtype=float) - z) * np.exp(-t)


# A wall


def wall_step(x: Any, *, tau: float, wall: float = 1.0) -> Array:
    """The JKO step of ``V(x) = -x`` on ``(-inf, wall]``: ``x+ = min(x + tau, wall)``; ``tau`` may be a time.

    Steps and the flow with no flux through the wall are the same map.

    Source: survey (3.11).

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_step([0.2, 0.9], tau=0.3).tolist()
    [0.5, 1.0]
    """
    return np.minimum(np.asarray(x, dtype=float) + tau, wall)


# Splitting


class Splitting(NamedTuple):
    """Values of one step from delta_0: the minimum over all measures, and over a single atom."""

    free: float
    single: float


def splitting_values(tau: float) -> Splitting:
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


# D of Remark 3.4: the W2 distance of the graph lifts


def squared_distance_diracs(theta1: Any, H1: float, theta2: Any, H2: float) -> float:
    """D^2 of two Dirac masses with charges: ``|theta1 - theta2|^2 + (H1 - H2)^2``.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_diracs([0.0], 1.0, [3.0], 5.0)
    25.0
    """
    move = np.asarray(theta1, dtype=float) - np.asarray(theta2, dtype=float)
    return float((move**2).sum() + (H1 - H2) ** 2)


def squared_distance_translation(c: Any, k: float) -> float:
    """D^2 between (rho, H) and its translate by (c, k), ``(rho(. - c), H(. - c) + k)``: ``|c|^2 + k^2``.

    Exact for any (rho, H); with c = 0 it is the distance from H to H + k.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_translation([3.0], 4.0)
    25.0
    """
    return float((np.asarray(c, dtype=float) ** 2).sum() + k**2)


def squared_distance_swap(a: float, b: float) -> float:
    """D^2 between half masses at theta = a, -a with charges (b, -b) and with (-b, b): ``4 min(a^2, b^2)``.

    Either the charges change sign, or the atoms change places.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_swap(1.0, 2.0)
    4.0
    """
    return 4 * min(a * a, b * b)


def squared_distance_gaussians(
    m1: Any, S1: Any, a1: Any, b1: float, m2: Any, S2: Any, a2: Any, b2: float
) -> float:
    """D^2 between normal laws N(m_i, S_i) on Theta with affine charges ``H_i(theta) = a_i . theta + b_i``.

    ``|M1 - M2|^2 + tr C1 + tr C2 - 2 |L1^T L2|_*`` where ``L_i = [I; a_i^T] chol(S_i)``, ``C_i = L_i L_i^T``,
    ``M_i = (m_i, a_i . m_i + b_i)`` and ``|.|_*`` is the sum of the singular values (the lifts are degenerate, so
    square roots of their covariances would lose half of the digits).

    Parameters
    ----------
    m1, m2, a1, a2 : (d,)
    S1, S2 : (d, d)
    b1, b2
        Numbers.

    Notes
    -----
    Source: survey Remark 3.4, and the distance between normal laws of Dowson and Landau (1982).

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.squared_distance_gaussians([0], [[1]], [0.5], 0.0, [1], [[4]], [1], 0.3), 12)
    5.94
    """

    def lift(m: Any, S: Any, a: Any, b: float) -> tuple[Array, Array]:
        a, m = np.asarray(a, dtype=float), np.asarray(m, dtype=float)
        L = np.vstack([np.eye(len(a)), a]) @ np.linalg.cholesky(np.asarray(S, dtype=float))
        return np.append(m, a @ m + b), L

    (M1, L1), (M2, L2) = lift(m1, S1, a1, b1), lift(m2, S2, a2, b2)
    shared = np.linalg.svd(L1.T @ L2, compute_uv=False).sum()
    return float(((M1 - M2) ** 2).sum() + (L1**2).sum() + (L2**2).sum() - 2 * shared)
