"""Normal laws under entropy and a quadratic potential: heat and Ornstein-Uhlenbeck, in any dimension.

``E(mu) = 1/2 int (x - z) . A (x - z) dmu + beta Ent(mu)`` keeps N(mean, S) normal, in a step and in its flow
``d_t mu = div(mu A (x - z)) + beta Lap mu`` (survey (4.2)); A = 0 is heat.  The step's optimal map back is affine,
``y = x + tau (A (x - z) - beta S^{-1} (x - mean))``, so that with ``B = I + tau A``, ``h = tau beta``

``S_k = T S T``,  ``T = B - h S^{-1} > 0``,  that is  ``C = P - 2 h + h^2 P^{-1}``,

for ``P = B^{1/2} S B^{1/2}`` and ``C = B^{-1/2} S_k B^{-1/2}``.  These commute whether or not A and S_k do, and T > 0
selects the root ``P^{1/2} = (C^{1/2} + (C + 4 h)^{1/2}) / 2``: closed, and the minimum over all measures.
"""

from typing import NamedTuple

import numpy as np

from jko.exact.rules import (
    Array,
    Covariance,
    Matrix,
    NotNegative,
    NotNegativeNumbers,
    Numbers,
    Positive,
    PositiveNumbers,
    Vector,
    cholesky,
    curvature,
    formula,
    point,
    pointwise,
    sized,
)
from jko.shown import shown


@shown
class NormalLaw(NamedTuple):
    """A normal law: mean (d,) and covariance (d, d).

    Examples
    --------
    >>> from jko import exact
    >>> step = exact.gaussian_step([1.0], [[1.0]], A=1.0, beta=1.0, tau=1.0)
    >>> step.mean.tolist(), step.covariance.round(12).tolist()
    ([0.5], [[1.0]])
    """

    mean: Array
    covariance: Array


@formula
def gaussian(x: Numbers, mean: Vector, covariance: Covariance) -> Array:
    """The density of N(mean, covariance) at the points x (..., d), shape (...).

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian([[0.0, 0.0]], [0, 0], [[1, 0], [0, 4]]).round(6).tolist()
    [0.079577]
    """
    L = cholesky("covariance", sized("covariance", covariance, len(mean)))
    if np.shape(x)[-1:] != mean.shape:
        raise ValueError(
            f"x has shape {np.shape(x)}; it must be (..., {len(mean)}), as the mean has"
        )
    z = np.linalg.solve(L, (x - mean)[..., None])[..., 0]
    return np.exp(-0.5 * (z**2).sum(-1)) / np.diag(np.sqrt(2 * np.pi) * L).prod()


@formula
def gaussian_step(
    mean: Vector,
    covariance: Covariance,
    *,
    A: Matrix = 0.0,
    centre: Numbers = 0.0,
    beta: NotNegative,
    tau: Positive,
) -> NormalLaw:
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
    NormalLaw
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
    d, h = len(mean), tau * beta
    S, A = sized("covariance", covariance, d), sized("A", np.asarray(A), d)
    B = np.eye(d) + tau * A
    b, U = np.linalg.eigh(B)
    if b[0] <= 0:
        raise ValueError(
            f"I + tau A has the eigenvalue {b[0]:g} with tau = {tau:g}: the step has no minimum; lower tau"
        )
    root = (U / np.sqrt(b)) @ U.T
    C, W = np.linalg.eigh(root @ S @ root)
    C = np.maximum(C, 0)  # rounding of a singular covariance
    P = 0.25 * (np.sqrt(C) + np.sqrt(C + 4 * h)) ** 2
    after = np.linalg.solve(B, mean + tau * A @ point("centre", centre, d))
    half = root @ W
    return NormalLaw(after, (half * P) @ half.T)


@formula
def gaussian_flow(
    mean: Vector,
    covariance: Covariance,
    *,
    A: Matrix = 0.0,
    centre: Numbers = 0.0,
    beta: NotNegative,
    t: NotNegative,
) -> NormalLaw:
    """The flow (4.2) of the same energy at time t, from N(mean, covariance).

    ``mean(t) = z + e^{-t A} (mean - z)``,  ``S(t) = e^{-t A} S e^{-t A} + 2 beta int_0^t e^{-2 s A} ds``.

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian_flow([0.0], [[1.0]], beta=0.5, t=3.0).covariance.tolist()
    [[4.0]]
    """
    d = len(mean)
    S = sized("covariance", covariance, d)
    a, U = np.linalg.eigh(sized("A", np.asarray(A), d))
    z, decay = point("centre", centre, d), (U * np.exp(-a * t)) @ U.T
    noise = np.array([t if k == 0 else -np.expm1(-2 * k * t) / (2 * k) for k in a])
    added = (U * (2 * beta * noise)) @ U.T
    return NormalLaw(z + decay @ (mean - z), decay @ S @ decay + added)


@formula
def gaussian_rest(*, A: Matrix, centre: Vector, beta: NotNegative) -> NormalLaw:
    """The minimiser N(z, beta A^{-1}) of the same energy, A (d, d) positive: a fixed point of flow *and* step.

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian_rest(A=[[2.0]], centre=[1.0], beta=0.5)
    NormalLaw(mean=[1], covariance=[[0.25]])
    """
    A = sized("A", A, len(centre))
    if np.linalg.eigvalsh(A)[0] <= 0:
        raise ValueError("A must be positive definite for a state of rest; mass escapes otherwise")
    return NormalLaw(centre, beta * np.linalg.inv(A))


@formula
def gaussian_divergence(
    mean: Vector, covariance: Covariance, star_mean: Vector, star_covariance: Covariance
) -> float:
    """``KL(mu | mu_*)`` of normal laws: ``(tr(S_*^-1 S) - d + |m - m_*|^2_{S_*^-1} + log det S_* - log det S) / 2``.

    Examples
    --------
    >>> from jko import exact
    >>> exact.gaussian_divergence([0.0], [[1.0]], [2.0], [[1.0]])
    2.0
    """
    d = len(mean)
    S, T = sized("covariance", covariance, d), sized("star_covariance", star_covariance, d)
    L, R = cholesky("covariance", S), cholesky("star_covariance", T)
    away = np.linalg.solve(R, mean - point("star_mean", star_mean, d))
    turned = np.linalg.solve(R, L)
    volumes = np.log(np.diag(R) / np.diag(L)).sum()
    return float(0.5 * ((turned**2).sum() - d + away @ away) + volumes)


@formula
def gaussian_energy(
    mean: Vector,
    covariance: Covariance,
    *,
    A: Matrix = 0.0,
    centre: Numbers = 0.0,
    beta: NotNegative,
) -> float:
    """The value of the same energy at N(mean, covariance); ``Ent = -(d + log det(2 pi S)) / 2``.

    Examples
    --------
    >>> from jko import exact
    >>> round(exact.gaussian_energy([0.0], [[1.0]], A=1.0, beta=0.0), 12)
    0.5
    """
    d = len(mean)
    S, A = sized("covariance", covariance, d), sized("A", np.asarray(A), d)
    move = mean - point("centre", centre, d)
    potential = 0.5 * float(move @ A @ move + np.tensordot(A, S))
    if beta == 0:
        return potential
    cholesky("covariance", S)  # of a singular law the entropy is +inf
    return potential - 0.5 * beta * float(d + np.linalg.slogdet(2 * np.pi * S)[1])


@pointwise
def deviation_step(
    s: NotNegativeNumbers, *, a: Numbers, beta: NotNegativeNumbers, tau: PositiveNumbers
) -> Array:
    """:func:`gaussian_step` on the line, for standard deviations s >= 0 and ``V = a x^2 / 2``; arrays broadcast.

    ``s+ = (s + sqrt(s^2 + 4 beta tau (1 + a tau))) / (2 (1 + a tau))``; ``s^2 = beta / a`` stays, whatever tau is.

    Examples
    --------
    >>> from jko import exact
    >>> round(float(exact.deviation_step(1.0, a=0.0, beta=0.6, tau=0.1)), 12)
    1.056776436283
    """
    k = curvature(a, tau)
    return (s + np.sqrt(s**2 + 4 * beta * tau * k)) / (2 * k)
