"""How long a graph cannot fold under (3.23), from the start alone."""

from __future__ import annotations

import math
from typing import Any

from scipy.integrate import quad
from scipy.optimize import brentq

from jko import checks


def fold_free_time(
    energy: float,
    *,
    slope: float,
    charge: float,
    bounds: tuple[float, float, float],
    lam: float = 0.0,
    d: int = 1,
) -> float:
    """A time before which (3.23) cannot fold, from the start alone: Vbar = lam/2 (H^2 + |theta|^2), lam >= 0.

    G falls and its potential is not negative, so ``|r| <= s = sqrt(2 G_0)`` for all times, hence
    ``|N| <= s D0``, ``|grad N| <= s D1``, ``|Hess N| <= s D2``, and from ``H' = -N - lam H`` along characteristics
    ``|H(t)| <= e^{-lam t} max |H_0| + s D0 (1 - e^{-lam t}) / lam``.  With ``k = |H| s D2`` the half spread of
    ``[[0, grad N], [grad N, H Hess N]]`` is at most ``sqrt((s D1)^2 + k^2/4)`` for d = 1, and its norm
    ``k/2 + sqrt((s D1)^2 + k^2/4)`` for d > 1.  The answer is the time at which the integral of that is
    ``pi/2 - atan max |grad H_0|``.

    Parameters
    ----------
    energy : float
        G_0, or any larger number.
    slope, charge : float
        ``max |grad H_0|`` and ``max |H_0|`` over Theta.
    bounds : (D0, D1, D2)
        The suprema over Theta of the norms in L2 of the data, with their weights, of h(theta, .), of its derivative
        in theta in any unit direction, and of its second.
    lam, d
        As above; d is the dimension of Theta.

    Returns
    -------
    float
        inf where nothing turns.

    Examples
    --------
    h = tanh(theta + x) with the mean over data: |h|, |h'| <= 1 and |h''| <= .7698.

    >>> import jko
    >>> round(
    ...     jko.diagnostics.fold_free_time(0.5, slope=1.0, charge=1.0, bounds=(1.0, 1.0, 0.7699)), 4
    ... )
    0.6958
    """
    G0 = _not_negative("energy", energy)
    s, h0, lam = math.sqrt(2 * G0), _not_negative("charge", charge), _not_negative("lam", lam)
    D0, D1, D2 = (_not_negative("bounds", D) for D in checks.items("bounds", bounds, length=3))
    budget = 0.5 * math.pi - math.atan(_not_negative("slope", slope))
    several = checks.count("d", d) > 1
    if s * D1 == 0:
        return math.inf

    def speed(t: float) -> float:
        grown = -math.expm1(-lam * t) / lam if lam > 0 else t
        k = (math.exp(-lam * t) * h0 + s * D0 * grown) * s * D2
        return math.hypot(s * D1, 0.5 * k) + 0.5 * k * several

    return float(
        brentq(lambda T: quad(speed, 0.0, T, epsabs=1e-13)[0] - budget, 0.0, budget / (s * D1))
    )


def _not_negative(name: str, value: Any) -> float:
    number = checks.number(name, value)
    if number < 0:
        raise ValueError(f"{name} = {number:g}; it must not be negative")
    return number
