"""Normal laws under entropy and a quadratic potential: heat and Ornstein-Uhlenbeck, in any dimension.

``E(mu) = 1/2 int (x - z) . A (x - z) dmu + beta Ent(mu)`` keeps N(mean, S) normal, in a step and in its flow
``d_t mu = div(mu A (x - z)) + beta Lap mu`` (survey (4.2)); A = 0 is heat.  The step's optimal map back is affine,
``y = x + tau (A (x - z) - beta S^{-1} (x - mean))``, so that with ``B = I + tau A``, ``h = tau beta``

``S_k = T S T``,  ``T = B - h S^{-1} > 0``,  that is  ``C = P - 2 h + h^2 P^{-1}``,

for ``P = B^{1/2} S B^{1/2}`` and ``C = B^{-1/2} S_k B^{-1/2}``.  These commute whether or not A and S_k do, and T > 0
selects the root ``P^{1/2} = (C^{1/2} + (C + 4 h)^{1/2}) / 2``: closed, and the minimum over all measures.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko import checks

Array = NDArray[np.float64]


class Gaussian(NamedTuple):
    """A normal law: mean (d,) and covariance (d, d)."""

    mean: Array
    covariance: Array


def gaussian(x: Any, mean: Any, covariance: Any) -> Array:
    """The density of N(mean, covariance) at the points x (..., d), shape (...).

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian([[0.0, 0.0]], [0, 0], [[1, 0], [0, 4]]).round(6).tolist()
    [0.079577]
    """
    mean, S = _law(mean, covariance)
    L = np.linalg.cholesky(S)
    z = np.linalg.solve(L, (np.asarray(x, dtype=float) - mean)[..., None])[..., 0]
    return np.exp(-0.5 * (z**2).sum(-1)) / np.diag(np.sqrt(2 * np.pi) * L).prod()


def gaussian_step(
    mean: Any, covariance: Any, *, A: Any = 0.0, centre: Any = 0.0, beta: float, tau: float
) -> Gaussian:
    """The JKO step in W2 of ``1/2 int (x - z) . A (x - z) dmu + beta Ent(mu)`` from N(mean, covariance).

    Parameters
    ----------
    mean : (d,)
    covariance : (d, d)
        May be singular: a Dirac mass too makes a step.
    A : number or (d, d)
        Symmetric; a number stands for that multiple of the identity.  ``I + tau A`` must be positive.
    centre : number or (d,)
        z.
    beta
        Strength of the entropy, >= 0.

    Returns
    -------
    Gaussian
        Mean and covariance after the step.

    Raises
    ------
    ValueError
        If ``I + tau A`` is not positive definite: then the step has no minimum.

    Notes
    -----
    Source: survey (4.1)-(4.2) without risk; the formula is derived in the module.

    Examples
    --------
    >>> from jko import exact
    >>> S = exact.gaussian_step([0.0], [[0.25]], A=1.5, beta=0.6, tau=0.1).covariance
    >>> round(float(S[0, 0]) ** 0.5, 12)
    0.532721119382
    """
    mean, S = _law(mean, covariance)
    tau, h = checks.number("tau", tau, above=0), tau * _strength(beta)
    A = matrix(A, len(mean))
    B = np.eye(len(mean)) + tau * A
    b, U = np.linalg.eigh(B)
    if b[0] <= 0:
        raise ValueError(
            f"I + tau A has the eigenvalue {b[0]:g} with tau = {tau:g}: the step has no minimum; lower tau"
        )
    root = (U / np.sqrt(b)) @ U.T
    C, W = np.linalg.eigh(root @ S @ root)
    C = np.maximum(C, 0)  # rounding of a singular covariance
    P = 0.25 * (np.sqrt(C) + np.sqrt(C + 4 * h)) ** 2
    after = np.linalg.solve(B, mean + tau * A @ point(centre, len(mean)))
    half = root @ W
    return Gaussian(after, (half * P) @ half.T)


def gaussian_flow(
    mean: Any, covariance: Any, *, A: Any = 0.0, centre: Any = 0.0, beta: float, t: float
) -> Gaussian:
    """The flow (4.2) of the same energy at time t, from N(mean, covariance).

    ``mean(t) = z + e^{-t A} (mean - z)``,  ``S(t) = e^{-t A} S e^{-t A} + 2 beta int_0^t e^{-2 s A} ds``.

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian_flow([0.0], [[1.0]], beta=0.5, t=3.0).covariance.tolist()
    [[4.0]]
    """
    mean, S = _law(mean, covariance)
    a, U = np.linalg.eigh(matrix(A, len(mean)))
    z, decay = point(centre, len(mean)), (U * np.exp(-a * t)) @ U.T
    noise = np.array([t if k == 0 else -np.expm1(-2 * k * t) / (2 * k) for k in a])
    added = (U * (2 * _strength(beta) * noise)) @ U.T
    return Gaussian(z + decay @ (mean - z), decay @ S @ decay + added)


def gaussian_rest(*, A: Any, centre: Any, beta: float) -> Gaussian:
    """The minimiser N(z, beta A^{-1}) of the same energy, A (d, d) positive: a fixed point of flow *and* step.

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian_rest(A=[[2.0]], centre=[1.0], beta=0.5)
    Gaussian(mean=array([1.]), covariance=array([[0.25]]))
    """
    z = np.atleast_1d(np.asarray(centre, dtype=float))
    A = matrix(A, len(z))
    if np.linalg.eigvalsh(A)[0] <= 0:
        raise ValueError("A must be positive definite for a state of rest; mass escapes otherwise")
    return Gaussian(z, _strength(beta) * np.linalg.inv(A))


def gaussian_energy(
    mean: Any, covariance: Any, *, A: Any = 0.0, centre: Any = 0.0, beta: float
) -> float:
    """The value of the same energy at N(mean, covariance); ``Ent = -(d + log det(2 pi S)) / 2``.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.gaussian_energy([0.0], [[1.0]], A=1.0, beta=0.0), 12)
    0.5
    """
    mean, S = _law(mean, covariance)
    A, move = matrix(A, len(mean)), mean - point(centre, len(mean))
    potential = 0.5 * float(move @ A @ move + np.tensordot(A, S))
    if _strength(beta) == 0:
        return potential
    return potential - 0.5 * beta * float(len(mean) + np.linalg.slogdet(2 * np.pi * S)[1])


def deviation_step(s: Any, *, a: Any, beta: float, tau: float) -> Array:
    """:func:`gaussian_step` on the line, for standard deviations s >= 0 and ``V = a x^2 / 2``; arrays broadcast.

    ``s+ = (s + sqrt(s^2 + 4 beta tau (1 + a tau))) / (2 (1 + a tau))``; ``s^2 = beta / a`` stays, whatever tau is.

    Examples
    --------
    >>> from jko import exact
    >>> round(float(exact.deviation_step(1.0, a=0.0, beta=0.6, tau=0.1)), 12)
    1.056776436283
    """
    s, k = np.asarray(s, dtype=float), 1 + np.asarray(a, dtype=float) * tau
    return (s + np.sqrt(s**2 + 4 * beta * tau * k)) / (2 * k)


def _law(mean: Any, covariance: Any) -> tuple[Array, Array]:
    mean = np.atleast_1d(np.asarray(mean, dtype=float))
    return mean, matrix(np.atleast_2d(np.asarray(covariance, dtype=float)), len(mean))


def matrix(A: Any, d: int) -> Array:
    """A symmetric (d, d) matrix; a number is that multiple of the identity."""
    A = np.asarray(A, dtype=float)
    if A.ndim == 0:
        return A * np.eye(d)
    if A.shape != (d, d) or np.abs(A - A.T).max() > 1e-12 * np.abs(A).max():
        raise ValueError(
            f"a matrix of shape {A.shape} was given; it must be symmetric of shape ({d}, {d}), as the mean "
            f"has {d} entries"
        )
    return 0.5 * (A + A.T)


def point(z: Any, d: int) -> Array:
    """A point (d,); a number has all coordinates equal."""
    return np.broadcast_to(np.asarray(z, dtype=float), (d,))


def _strength(beta: float) -> float:
    if (beta := checks.number("beta", beta)) < 0:
        raise ValueError(f"beta = {beta:g}; the strength of an entropy is at least 0")
    return beta
