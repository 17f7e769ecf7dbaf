"""The exponent of Lojasiewicz's inequality along a flow, with its uncertainty, and the law of decay that it implies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from jko import checks
from jko.diagnostics.dissipation import dissipation
from jko.diagnostics.rates.lines import Interval, interval, line
from jko.energies import Energy
from jko.shown import Shown, svg
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

LEAST = 8  # states
NOISE = 64 * float(np.finfo(float).eps)  # of the largest energy of a run: what rounding does
KNOWN = 0.02  # exponents nearer than this to 1/2 are not told from it, whatever the interval says
DEEPEST = 12.0  # decades below the last gap where a minimum that is not given is looked for


@dataclass(frozen=True, eq=False)
class Lojasiewicz(Shown):
    """``|grad F| >= c (F - F_*)^theta`` along a flow, that is ``I >= c^2 (F - F_*)^(2 theta)``, I the dissipation.

    With ``dF/dt = -I`` this is ``F - F_* <= e^{-c^2 t}`` times its start for theta = 1/2, at most of order
    ``t^(-1 / (2 theta - 1))`` for theta in (1/2, 1), and rest after a finite time below 1/2.

    Attributes
    ----------
    exponent : float
        theta, half the slope of log I against log (F - F_*).
    interval : Interval
        Where theta is at 95 %, by blocks of the window; it holds what each half of the window says.
    constant : float
        The greatest c of the inequality in the window, with this theta.
    minimum : float
        F_*.
    fitted : bool
        Whether it was fitted too, because none was given.
    gaps, dissipations : (K,)
        ``F - F_*`` and I of the states that were used.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.diagnostics import Lojasiewicz
    >>> gaps = np.geomspace(1, 1e-6, 30)
    >>> found = Lojasiewicz.of(gaps, 16 * gaps**1.5)  # F = |x|^4
    >>> round(found.exponent, 9), round(found.power, 6), found.is_exponential
    (0.75, 2.0, False)
    """

    exponent: float
    interval: Interval
    constant: float
    minimum: float = 0.0
    fitted: bool = False
    gaps: Array = field(default_factory=lambda: np.empty(0), repr=False)
    dissipations: Array = field(default_factory=lambda: np.empty(0), repr=False)

    @classmethod
    def of(cls, gaps: Any, dissipations: Any) -> Lojasiewicz:
        """From the series ``F - F_*`` and I, both (K,) and positive.

        Raises
        ------
        ValueError
            Fewer than eight pairs of positive numbers, or gaps that hardly differ.
        """
        gap, power = (
            checks.shape(n, checks.floats(n, v), ("K",)).numpy()
            for n, v in (("gaps", gaps), ("dissipations", dissipations))
        )
        if len(gap) != len(power):
            raise ValueError(
                f"gaps has {len(gap)} entries but dissipations {len(power)}; they must match"
            )
        seen = (gap > 0) & (power > 0)
        return cls._fit(gap[seen], power[seen])

    @classmethod
    def _fit(
        cls, gap: Array, power: Array, minimum: float = 0.0, halves: Sequence[float] | None = None
    ) -> Lojasiewicz:
        """``halves``: what theta is by each half with a minimum of its own, where the minimum was fitted."""
        if len(gap) < LEAST or not np.ptp(np.log(gap)) > 1:
            raise ValueError(
                f"{len(gap)} states above the minimum {minimum:g}, with F - F_* over a factor of "
                f"{gap.max() / gap.min() if len(gap) else 1:.3g}; an exponent needs at least {LEAST} over a factor of "
                "3: keep more states, run longer, or lower floor"
            )
        x, y = np.log(gap), np.log(power)
        theta = 0.5 * line(x, y).slope
        around = interval(x, 0.5 * y, halves or ())
        constant = math.exp(float((0.5 * y - theta * x).min()))
        return cls(theta, around, constant, minimum, halves is not None, gap, power)

    @property
    def is_exponential(self) -> bool:
        """Whether 1/2 is in the interval, or nearer to theta than .02."""
        return 0.5 in self.interval or abs(self.exponent - 0.5) < KNOWN

    @property
    def rate(self) -> float:
        """Of ``F - F_* ~ e^{-r t}``: the median of ``I / (F - F_*)`` in the last quarter of the window, else nan."""
        if not self.is_exponential or not len(self.gaps):
            return math.nan
        last = slice(-(-3 * len(self.gaps) // 4) - 1, None)
        return float(np.median(self.dissipations[last] / self.gaps[last]))

    @property
    def power(self) -> float:
        """p of ``F - F_* ~ t^{-p}``: ``1 / (2 theta - 1)``; inf for an exponential, nan for rest in a finite time."""
        if self.is_exponential:
            return math.inf
        return 1 / (2 * self.exponent - 1) if self.exponent > 0.5 else math.nan

    @property
    def power_interval(self) -> Interval:
        """Where p is at 95 %; its upper end is inf where 1/2 is in the interval of theta."""
        low, high = (max(2 * theta - 1, 0.0) for theta in self.interval)
        return Interval(1 / high if high else math.inf, 1 / low if low else math.inf)

    @property
    def law(self) -> str:
        """The decay that theta implies, in words."""
        if self.is_exponential:
            return f"F - F_* ~ e^(-{self.rate:.4g} t)"
        if self.exponent < 0.5:
            return "F = F_* after a finite time"
        low, high = self.power_interval
        return f"F - F_* ~ t^(-{self.power:.4g}), power in [{low:.4g}, {high:.4g}]"

    def _facts(self) -> Mapping[str, object]:
        return {
            "exponent": self.exponent,
            "interval": self.interval,
            "law": self.law,
            "constant": self.constant,
            "minimum": f"{self.minimum:.6g}" + (", fitted" if self.fitted else ""),
            "states": len(self.gaps),
        }

    def _picture(self) -> str:
        return svg.curve(self.gaps, self.dissipations, "I over F - F_*, logarithmic", log=True)

    def __str__(self) -> str:
        low, high = self.interval
        of = "fitted" if self.fitted else "given"
        return (
            f"|grad F| ~ (F - F_*)^theta, theta = {self.exponent:.4f} in [{low:.4f}, {high:.4f}] "
            f"({len(self.gaps)} states, F_* = {self.minimum:.6g} {of})\n{self.law}"
        )


def lojasiewicz(
    energy: Energy,
    run: Trajectory,
    *,
    minimum: float | None = None,
    since: float | None = None,
    floor: float = 0.0,
) -> Lojasiewicz:
    """The exponent theta of ``|grad F| >= c (F - F_*)^theta`` along a flow, and the decay that follows from it.

    It is half the slope of ``log I`` against ``log (F - F_*)``, I the dissipation (3.9): time does not enter, so that,
    unlike a power of t, it does not depend on when the flow began.

    Parameters
    ----------
    energy : Energy
        F.
    run : Trajectory
        A flow of it, by steps or by :mod:`jko.limits`.
    minimum : float, optional
        F_*.  Without it, the number below all energies that makes ``log I`` a line in ``log (F - F_*)`` best.
    since : float, optional
        The first time that is used; default a quarter of the last one.
    floor : float
        Gaps at most this are left out, such as those at the error of F_*; rounding is left out in any case.

    Returns
    -------
    Lojasiewicz
        theta with an interval at 95 %; points along one curve are not independent, so it is by blocks of the window.

    Raises
    ------
    ValueError
        Fewer than eight states in the window, or gaps over a factor below 3.

    Notes
    -----
    Source: survey 5.1 (ii), where it would be the "entropy-entropy dissipation inequality" near a minimiser.  What is
    measured is along one curve: the inequality on a neighbourhood may have a larger theta.  See
    :func:`jko.diagnostics.dissipation_ratio` for the least constant with theta = 1/2.

    Examples
    --------
    >>> import jko, numpy as np
    >>> F = jko.energies.PowerNorm(4)  # |x|^4 / 4
    >>> start, times = jko.Particles([[1.0], [-2.0]]), np.geomspace(1, 1e3, 40)
    >>> run = jko.limits.wasserstein(F, start, t1=1e3, rtol=1e-10, times=times)
    >>> found = jko.diagnostics.lojasiewicz(F, run, minimum=0.0)
    >>> round(found.exponent, 2), round(found.power, 1)
    (0.75, 2.0)
    """
    checks.kind("energy", energy, Energy)
    checks.kind(
        "run", run, Trajectory, hint="jko.flow(...) and jko.limits.wasserstein(...) return one"
    )
    begin = 0.25 * float(run.times[-1]) if since is None else checks.number("since", since)
    checks.number("floor", floor, least=0)
    noise = NOISE * float(np.abs(run.energies).max())
    used = _used(run, begin, noise)
    energies = np.array([float(run.energies[k]) for k in used])
    powers = np.array([dissipation(energy, run.states[k]) for k in used])
    halves = None if minimum is not None else _of_halves(energies, powers)
    F_star = _fitted(energies, powers) if minimum is None else checks.number("minimum", minimum)
    gaps = energies - F_star
    seen = (gaps > max(floor, noise)) & (powers > 0)
    return Lojasiewicz._fit(gaps[seen], powers[seen], F_star, halves)


def _used(run: Trajectory, begin: float, noise: float) -> list[int]:
    """The states since then, up to the first whose energy is the least within rounding."""
    late = [k for k, t in enumerate(run.times) if t >= begin]
    low = min((float(run.energies[k]) for k in late), default=0.0) + noise
    still = [k for k in late if run.energies[k] <= low]
    return [k for k in late if k <= still[0]] if still else late


def _of_halves(energies: Array, powers: Array) -> list[float]:
    """theta by the earlier and by the later half, each with the minimum that fits it."""
    middle, found = len(energies) // 2, []
    for half in (slice(None, middle), slice(middle, None)):
        F, y = energies[half], powers[half]
        if (y > 0).sum() >= LEAST // 2:
            gap = (F - _fitted(F, y))[y > 0]
            found.append(0.5 * line(np.log(gap), np.log(y[y > 0])).slope)
    return found


def _fitted(energies: Array, powers: Array) -> float:
    """The minimum for which log I is closest to a line in log (F - F_*), by the distance of F_* below the last F."""
    seen = powers > 0
    F, y = energies[seen], np.log(powers[seen])
    if len(F) < LEAST // 2:
        raise ValueError(
            f"{len(F)} states that move; an exponent needs at least {LEAST}: keep more states, "
            "or begin earlier"
        )
    last, span = float(F.min()), float(np.ptp(F))

    def misfit(decades: float) -> float:
        x = np.log(F - last + span * 10**decades)
        return line(x, y).misfit

    tried = np.linspace(-DEEPEST, 1.0, 40)
    best = int(np.argmin([misfit(s) for s in tried]))
    around = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
    found = minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-9})
    return last - span * 10 ** float(found.x)
