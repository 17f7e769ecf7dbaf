"""Pairs (rho, H), rho a normal law and H affine, under entropy of rho and ``lam (|theta|^2 + H^2) / 2``."""

from typing import NamedTuple

import numpy as np

from jko.exact.gaussians import gaussian_flow, gaussian_step
from jko.exact.rules import (
    Array,
    Covariance,
    NotNegative,
    Numbers,
    Positive,
    Real,
    Vector,
    cholesky,
    formula,
    point,
)
from jko.shown import shown


@shown
class ChargedGaussian(NamedTuple):
    """A pair (rho, H): rho = N(mean, covariance) on Theta, ``H(theta) = slope . (theta - mean) + charge``.

    Examples
    --------
    >>> from jko import exact
    >>> pair = exact.charged_gaussian_step([1.0], [[1.0]], [2.0], 3.0, lam=1.0, beta=0.0, tau=1.0)
    >>> isinstance(pair, exact.ChargedGaussian), pair.charge
    (True, 1.5)
    """

    mean: Array
    covariance: Array
    slope: Array
    charge: float


@formula
def charged_gaussian_step(
    mean: Vector,
    covariance: Covariance,
    slope: Numbers,
    charge: Real,
    *,
    lam: Real,
    beta: NotNegative,
    tau: Positive,
) -> ChargedGaussian:
    """The JKO step in D of ``int lam (|theta|^2 + H^2)/2 drho + beta Ent(rho)`` from an affine pair (rho, H).

    theta moves as in :func:`gaussian_step`, by ``theta_k - mean_k = T (theta - mean)``; each particle's H goes to
    ``H / (1 + tau lam)``, so that the slope becomes ``T slope / (1 + tau lam)``.

    Parameters
    ----------
    mean, slope : (d,)
    covariance : (d, d)
        Positive definite, that H be a function.
    charge
        H at the mean.

    Notes
    -----
    Source: survey Remark 3.4 and Remark 4.1.  For every coupling, cost and energy are a sum over theta and H, and both
    minima are attained at once, so the step is the minimum over all pairs.

    Examples
    --------
    >>> from jko import exact
    >>> pair = exact.charged_gaussian_step([1.0], [[1.0]], [2.0], 3.0, lam=1.0, beta=0.0, tau=1.0)
    >>> pair.mean.tolist(), pair.slope.tolist(), pair.charge
    ([0.5], [2.0], 1.5)
    """
    cholesky("covariance", covariance)
    law = gaussian_step(mean, covariance, A=lam, beta=beta, tau=tau)
    shrink = 1 + tau * lam
    T = shrink * np.eye(len(law.mean)) - tau * beta * np.linalg.inv(law.covariance)
    return ChargedGaussian(*law, T @ point("slope", slope, len(law.mean)) / shrink, charge / shrink)


@formula
def charged_gaussian_flow(
    mean: Vector,
    covariance: Covariance,
    slope: Numbers,
    charge: Real,
    *,
    lam: Real,
    beta: NotNegative,
    t: NotNegative,
    carried: NotNegative = 1.0,
) -> ChargedGaussian:
    """The D-gradient flow of the same energy at time t: H too is carried by ``-lam theta - beta grad log rho``.

    rho as in :func:`gaussian_flow`; S(t) commutes with S, and ``slope(t) = e^{-k lam t} (S / S(t))^{k/2} slope``, k =
    ``carried``.

    Parameters
    ----------
    mean, covariance, slope, charge, lam, beta
        As in :func:`charged_gaussian_step`.
    t
        The time.
    carried
        How often ``-beta grad log rho`` carries H: once in the gradient flow; with 0 it does not, which is Remark 4.1
        read literally; with 2, H is the mean over atoms with noise in theta that keep their charges, for which
        ``S(t) slope(t)`` is their covariance.

    Examples
    --------
    >>> from jko import exact
    >>> pair = exact.charged_gaussian_flow([0.0], [[1.0]], [2.0], 0.0, lam=0.0, beta=0.5, t=3.0)
    >>> pair.covariance.tolist(), pair.slope.tolist()
    ([[4.0]], [1.0])
    >>> start = [0.0], [[1.0]], [2.0], 0.0
    >>> readings = (
    ...     exact.charged_gaussian_flow(*start, lam=0.0, beta=0.5, t=3.0, carried=k) for k in (0, 2)
    ... )
    >>> [pair.slope.tolist() for pair in readings]
    [[2.0], [0.5]]
    """
    cholesky("covariance", covariance)
    law = gaussian_flow(mean, covariance, A=lam, beta=beta, t=t)
    s, U = np.linalg.eigh(covariance)
    after = np.einsum("ij,ik,kj->j", U, law.covariance, U)
    ratio = (U * (s / after) ** (0.5 * carried)) @ U.T
    after = float(np.exp(-carried * lam * t)) * ratio @ point("slope", slope, len(law.mean))
    return ChargedGaussian(*law, after, float(np.exp(-lam * t)) * charge)
