"""How fast a positive quantity decays: like ``e^{-r t}`` or like ``t^{-p}``, with the uncertainty of r and p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.rates.lines import Interval, interval, line
from jko.shown import Shown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Decay(Shown):
    """Two models of a decay, fitted to the logarithm by least squares.

    Attributes
    ----------
    rate, rate_error
        r of ``C e^{-r t}``, with its standard error.
    exponent, exponent_error
        p of ``C t^{-p}``, with its standard error.
    exponential_misfit, algebraic_misfit
        Root mean square of the residuals in the logarithm.
    window : (float, float)
        The times that were used.
    rate_interval, exponent_interval : Interval
        Where r and p are at 95 % if the values stand along a curve, whose residuals are not independent: by blocks of
        the window, which show a drift where there is one.

    Examples
    --------
    >>> import jko, numpy as np
    >>> t = np.linspace(1, 10, 50)
    >>> jko.diagnostics.decay(t, t**-2).is_exponential
    False
    """

    rate: float
    rate_error: float
    exponent: float
    exponent_error: float
    exponential_misfit: float
    algebraic_misfit: float
    window: tuple[float, float]
    rate_interval: Interval
    exponent_interval: Interval

    @property
    def is_exponential(self) -> bool:
        """Whether that model fits better."""
        return self.exponential_misfit <= self.algebraic_misfit

    def __str__(self) -> str:
        first = f"e^(-r t), r = {self.rate:.4g} +- {self.rate_error:.1g} (misfit {self.exponential_misfit:.1e})"
        second = f"t^(-p), p = {self.exponent:.4g} +- {self.exponent_error:.1g} (misfit {self.algebraic_misfit:.1e})"
        better, worse = (first, second) if self.is_exponential else (second, first)
        return f"for t in [{self.window[0]:.4g}, {self.window[1]:.4g}]: {better}; worse: {worse}"


def decay(times: Any, values: Any, *, since: float | None = None, floor: float = 0.0) -> Decay:
    """Fit ``C e^{-r t}`` and ``C t^{-p}`` to a series, such as F(mu_t) - F(mu_*) or the dissipation along a flow.

    Parameters
    ----------
    times, values : (K,)
        The series.
    since : float, optional
        Where to begin; default half of the last time.
    floor : float
        Values at most this are left out: an energy gap below rounding has no rate.

    Raises
    ------
    ValueError
        Fewer than four positive values in the window.

    Notes
    -----
    Source: survey 5.1 (ii)-(iii).  Standard errors are those of a straight line through the logarithms with independent
    residuals; values along one curve are not independent, and may still be far from the limit: the intervals are by
    blocks of the window, and hold what its halves say.

    Examples
    --------
    >>> import jko, numpy as np
    >>> t = np.linspace(0, 10, 50)
    >>> found = jko.diagnostics.decay(t, 3 * np.exp(-0.7 * t))
    >>> found.is_exponential, round(found.rate, 12)
    (True, 0.7)
    """
    t, y = (
        checks.shape(n, checks.floats(n, v), ("K",)).numpy()
        for n, v in (("times", times), ("values", values))
    )
    if len(t) != len(y):
        raise ValueError(f"times has {len(t)} entries but values {len(y)}; they must match")
    begin = 0.5 * float(t[-1]) if since is None else checks.number("since", since)
    used = (t >= begin) & (t > 0) & (y > floor)
    if used.sum() < 4:
        raise ValueError(
            f"{int(used.sum())} values above {floor:g} at times from {begin:g} on; a rate needs at least four: "
            "lower since, or keep more states"
        )
    t, y = t[used], np.log(y[used])
    exponential, algebraic = line(t, y), line(np.log(t), y)
    return Decay(
        rate=-exponential.slope,
        rate_error=exponential.error,
        exponent=-algebraic.slope,
        exponent_error=algebraic.error,
        exponential_misfit=exponential.misfit,
        algebraic_misfit=algebraic.misfit,
        window=(float(t[0]), float(t[-1])),
        rate_interval=interval(t, -y),
        exponent_interval=interval(np.log(t), -y),
    )
