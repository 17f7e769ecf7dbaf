"""How long a density stays smooth, from the start alone."""

from __future__ import annotations

import math

from scipy.optimize import brentq

from jko import checks


def smooth_time(
    value: float,
    *,
    charge: float,
    bounds: tuple[float, float],
    lam: float = 0.0,
    d: int = 1,
    factor: float = 10.0,
) -> float:
    """A time before which ``sup mu_t <= factor sup mu_0`` along (3.7), from the start alone: phi = w N + lam/2 |xi|^2.

    F falls and its potential is not negative, so ``|r| <= s = sqrt(2 F_0)`` for all times, and along characteristics
    ``|w(t)| <= e^{-lam t} max |w_0| + s D0 (1 - e^{-lam t}) / lam``.  Of the trace of the Hessian of phi,
    ``w Lap N + lam (d + 1)``, the first part is at most ``|w| s D2``.  The answer is the time at which the integral of
    that bound is ``log factor``.

    Parameters
    ----------
    value : float
        F_0, or any larger number.
    charge : float
        ``max |w_0|``.
    bounds : (D0, D2)
        The suprema over theta of the norms in L2 of the data, with their weights, of h(theta, .) and of its Laplacian
        in theta.
    lam, d, factor
        As above, lam >= 0; d is the dimension of theta.

    Returns
    -------
    float
        inf where nothing is squeezed.

    Examples
    --------
    h = tanh(theta + x) with the mean over data: |h| <= 1 and |h''| <= .7698.

    >>> import jko
    >>> round(jko.diagnostics.smooth_time(0.5, charge=1.0, bounds=(1.0, 0.7699)), 4)
    1.6423
    """
    s = math.sqrt(2 * checks.number("value", value, least=0))
    w0, lam = checks.number("charge", charge, least=0), checks.number("lam", lam, least=0)
    D0, D2 = (checks.number("bounds", D, least=0) for D in checks.items("bounds", bounds, length=2))
    level = math.log(checks.number("factor", factor, above=1))
    dim = checks.count("d", d) + 1

    def grown(t: float) -> float:
        """The integral of the bound, in closed form."""
        faded = -math.expm1(-lam * t) / lam if lam > 0 else t
        rise = (t - faded) / lam if lam * t > 1e-4 else 0.5 * t * t
        return lam * dim * t + s * D2 * (w0 * faded + s * D0 * rise) - level

    if lam == 0 and s * D2 * (w0 + s * D0) == 0:
        return math.inf
    end = 1.0
    while grown(end) < 0:
        end *= 2
    return float(brentq(grown, 0.0, end, xtol=1e-14))
