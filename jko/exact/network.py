"""A mean-field network with entropy that stays normal: linear features ``h(theta, x) = theta x`` in one dimension.

``F(mu) = s2/2 (A - target)^2 + (lam/2) int |xi|^2 dmu + beta Ent(mu)``, ``A = int w theta dmu``, xi = (w, theta), is
the functional (4.1) of the risk with data f(x) = target x, ``s2 = int x^2 dx``.  Its first variation is quadratic,
``q w theta + lam |xi|^2 / 2`` and the entropy's, with ``q = s2 (A - target)``: at every moment an Ornstein-Uhlenbeck
problem of the matrix ``A_q = [[lam, q], [q, lam]]``, coupled to itself through the one number q.
"""

import numpy as np
from scipy.integrate import solve_ivp

from jko.exact.gaussians import NormalLaw, gaussian_energy, gaussian_step
from jko.exact.roots import root
from jko.exact.rules import (
    Array,
    Moments,
    NotNegative,
    Positive,
    Real,
    Vector,
    formula,
)

EVALUATIONS = 10**5  # of the velocity: some seconds


@formula
def network_step(
    mean: Vector,
    covariance: Moments,
    *,
    s2: Positive,
    target: Real,
    lam: NotNegative,
    beta: NotNegative,
    tau: Positive,
) -> NormalLaw:
    """The JKO step in W2 of the network's F from N(mean, covariance) on R x R.

    It is :func:`jko.exact.gaussian_step` with ``A_q`` at the q with ``q = s2 (A+ - target)``, |q| < lam + 1/tau.  F is
    convex in mu, so that this is the minimum over all measures.

    Parameters
    ----------
    mean : (2,)
    covariance : (2, 2)
        Of xi = (w, theta).

    Raises
    ------
    ValueError
        For beta = 0 and a mass on a line ``w = theta`` or ``w = -theta``, where no root may exist.

    Notes
    -----
    Source: survey (4.1), (2.6).

    Examples
    --------
    >>> import numpy as np
    >>> from jko import exact
    >>> kind = dict(s2=0.8, target=1.5, lam=1.0, beta=0.3)
    >>> rest = exact.network_rest(**kind)
    >>> step = exact.network_step(*rest, tau=0.5, **kind)
    >>> bool(np.abs(step.covariance - rest.covariance).max() < 1e-14)
    True
    """
    _of_two(mean)

    def step(q: float) -> NormalLaw:
        return gaussian_step(mean, covariance, A=_coupled(lam, q), beta=beta, tau=tau)

    def excess(q: float) -> float:  # increasing: A+ falls with q
        return q - s2 * (_product(*step(q)) - target)

    limit = (lam + 1 / tau) * (1 - 1e-12)
    if not excess(-limit) < 0 < excess(limit):
        raise ValueError(
            f"the step with beta = {beta:g} and tau = {tau:g} keeps the law on a line and is no Gaussian step: "
            "use beta > 0, or a covariance of full rank"
        )
    return step(root(excess, -limit, limit))


@formula
def network_flow(
    mean: Vector,
    covariance: Moments,
    *,
    s2: Positive,
    target: Real,
    lam: Real,
    beta: NotNegative,
    t: NotNegative,
) -> NormalLaw:
    """The flow (4.2) of the network's F at time t, from N(mean, covariance).

    ``mean' = -A_q mean``, ``S' = -A_q S - S A_q + 2 beta I``, integrated to a relative 1e-12.

    Source: survey (4.2).

    Examples
    --------
    >>> from jko import exact
    >>> kind = dict(s2=0.8, target=1.5, lam=1.0, beta=0.3)
    >>> law = exact.network_flow([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], t=30.0, **kind)
    >>> bool(abs(law.covariance - exact.network_rest(**kind).covariance).max() < 1e-10)
    True
    """
    _of_two(mean)
    calls = iter(range(EVALUATIONS))

    def velocity(_: float, y: Array) -> Array:
        if next(calls, None) is None:
            raise ValueError(
                f"the flow to t = {t:g} is too stiff for {EVALUATIONS} evaluations with these arguments; "
                "take a smaller t, or network_rest for its limit"
            )
        mean, S = y[:2], y[2:].reshape(2, 2)
        A = _coupled(lam, s2 * (_product(mean, S) - target))
        return np.concatenate([-A @ mean, (2 * beta * np.eye(2) - A @ S - S @ A).ravel()])

    start = np.concatenate([mean, covariance.ravel()])
    found = solve_ivp(velocity, (0, t), start, "DOP853", rtol=1e-12, atol=1e-14)
    if not found.success:
        raise ValueError(
            f"the flow could not be integrated to t = {t:g}: {found.message} Take a smaller t"
        )
    y: Array = found.y[:, -1]
    return NormalLaw(y[:2], y[2:].reshape(2, 2))


@formula
def network_rest(*, s2: Positive, target: Real, lam: Positive, beta: Positive) -> NormalLaw:
    """The minimiser of the network's F, lam > 0 and beta > 0: the Gibbs measure N(0, beta A_q^{-1}).

    Its variances along ``(w +- theta)/sqrt 2`` are ``beta / (lam +- q)``, q the root in (-lam, lam) of
    ``q = -s2 (beta q / (lam^2 - q^2) + target)``.

    Source: survey (4.5).

    Examples
    --------
    >>> from jko import exact
    >>> S = exact.network_rest(s2=0.8, target=1.5, lam=1.0, beta=0.3).covariance
    >>> round(float(S[0, 0] + S[0, 1]), 10), round(float(S[0, 0] - S[0, 1]), 10)
    (1.2636988028, 0.1702029489)
    """

    def excess(q: float) -> float:
        return q + s2 * (beta * q / ((lam - q) * (lam + q)) + target)

    limit = lam * (1 - 1e-15)
    q = root(excess, -limit, limit)
    return NormalLaw(np.zeros(2), beta / ((lam - q) * (lam + q)) * _coupled(lam, -q))


@formula
def network_energy(
    mean: Vector,
    covariance: Moments,
    *,
    s2: Positive,
    target: Real,
    lam: Real,
    beta: NotNegative,
) -> float:
    """The value of the network's F at N(mean, covariance).

    Examples
    --------
    >>> from jko import exact
    >>> law = [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]
    >>> round(exact.network_energy(*law, s2=0.8, target=1.5, lam=1.0, beta=0.0), 12)
    1.9
    """
    A = _product(_of_two(mean), covariance)
    return s2 * (A - target) ** 2 / 2 + gaussian_energy(mean, covariance, A=lam, beta=beta)


def _coupled(lam: float, q: float) -> Array:
    """A_q."""
    return np.array([[lam, q], [q, lam]])


def _product(mean: Array, covariance: Array) -> float:
    """A = int w theta dmu."""
    return float(covariance[0, 1] + mean[0] * mean[1])


def _of_two(mean: Array) -> Array:
    if mean.shape != (2,):
        raise ValueError(f"mean has shape {mean.shape}; it must be (2,), the mean of (w, theta)")
    return mean
