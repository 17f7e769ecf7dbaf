"""D of Remark 3.4, the W2 distance of the graph lifts, between pairs for which it is known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


def squared_distance_reflection(variance: float, a: float) -> float:
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


def squared_distance_square_waves(period: float) -> float:
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
    return period**2 / 12


def squared_flow_distance_gaussians(
    m1: float, s1: float, a1: float, b1: float, m2: float, s2: float, a2: float, b2: float
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
