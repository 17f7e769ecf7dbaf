"""D of Remark 3.4, the W2 distance of the graph lifts, between pairs for which it is known."""

import numpy as np

from jko.exact.rules import (
    Array,
    Covariance,
    NotNegative,
    Numbers,
    Positive,
    Real,
    Vector,
    broadcast,
    cholesky,
    formula,
    sized,
)


@formula
def squared_distance_diracs(theta1: Numbers, H1: Real, theta2: Numbers, H2: Real) -> float:
    """D^2 of two Dirac masses with charges: ``|theta1 - theta2|^2 + (H1 - H2)^2``.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_diracs([0.0], 1.0, [3.0], 5.0)
    25.0
    """
    broadcast(theta1=theta1, theta2=theta2)
    return float(((theta1 - theta2) ** 2).sum() + (H1 - H2) ** 2)


@formula
def squared_distance_translation(c: Numbers, k: Real) -> float:
    """D^2 between (rho, H) and its translate by (c, k), ``(rho(. - c), H(. - c) + k)``: ``|c|^2 + k^2``.

    Exact for any (rho, H); with c = 0 it is the distance from H to H + k.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_translation([3.0], 4.0)
    25.0
    """
    return float((c**2).sum() + k**2)


@formula
def squared_distance_swap(a: Real, b: Real) -> float:
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


@formula
def squared_distance_gaussians(
    m1: Vector,
    S1: Covariance,
    a1: Vector,
    b1: Real,
    m2: Vector,
    S2: Covariance,
    a2: Vector,
    b2: Real,
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
    d = len(m1)
    for name, value in (("a1", a1), ("m2", m2), ("a2", a2)):
        if len(value) != d:
            raise ValueError(f"{name} has shape {value.shape}; it must have that of m1, ({d},)")

    def lift(name: str, m: Array, S: Array, a: Array, b: float) -> tuple[Array, Array]:
        L = np.vstack([np.eye(d), a]) @ cholesky(name, sized(name, S, d))
        return np.append(m, a @ m + b), L

    (M1, L1), (M2, L2) = lift("S1", m1, S1, a1, b1), lift("S2", m2, S2, a2, b2)
    shared = np.linalg.svd(L1.T @ L2, compute_uv=False).sum()
    return float(((M1 - M2) ** 2).sum() + (L1**2).sum() + (L2**2).sum() - 2 * shared)


@formula
def squared_distance_reflection(variance: NotNegative, a: Real) -> float:
    """D^2 between ``(rho, a theta)`` and ``(rho, -a theta)``, rho symmetric about 0 on the line: ``4 v min(1, a^2)``.

    Either the charges change sign, or the atoms change places; v is the variance of rho.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_distance_reflection(1.0, 2.0)
    4.0
    """
    return 4 * variance * min(1.0, a * a)


@formula
def squared_distance_square_waves(period: Positive) -> float:
    """W2^2 of the lift of a square wave to the limit of such waves as the period goes to zero: ``period^2 / 12``.

    rho is uniform on [0, 1] and H = 1, -1 on the halves of each period, ``1 / period`` a whole number.  The limit is
    ``rho x (delta_1 + delta_{-1}) / 2``, a measure on R x Theta that is no graph: the pairs (rho, H) are not complete
    in D.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.squared_distance_square_waves(0.5), 12)
    0.020833333333
    """
    if abs(round(1 / period) * period - 1) > 1e-9:
        raise ValueError(
            f"period = {period:g}; 1 / period must be a whole number, as waves fill [0, 1]"
        )
    return period**2 / 12


@formula
def squared_flow_distance_gaussians(
    m1: Real,
    s1: NotNegative,
    a1: Real,
    b1: Real,
    m2: Real,
    s2: NotNegative,
    a2: Real,
    b2: Real,
) -> float:
    """The squared distance through flows that keep the order of the line, between normal laws with affine charges.

    ``|M1 - M2|^2 + (s1 - s2)^2 + (a1 s1 - a2 s2)^2`` with ``M_i = (m_i, a_i m_i + b_i)``: the monotone coupling.  With
    ``|1 + a1 a2|`` for ``1 + a1 a2`` in its product ``-2 s1 s2 (1 + a1 a2)`` it is D^2, so they differ for a1 a2 < -1.

    Parameters
    ----------
    m1, s1, m2, s2
        Means and standard deviations.
    a1, b1, a2, b2
        ``H_i(theta) = a_i theta + b_i``.

    Notes
    -----
    Source: survey Remark 3.4, with H carried by the flow.

    Examples
    --------
    >>> from jko import exact
    >>> exact.squared_flow_distance_gaussians(0.0, 1.0, 2.0, 0.0, 0.0, 1.0, -2.0, 0.0)
    16.0
    """
    mean = (m1 - m2) ** 2 + (a1 * m1 + b1 - a2 * m2 - b2) ** 2
    return mean + (s1 - s2) ** 2 + (a1 * s1 - a2 * s2) ** 2
