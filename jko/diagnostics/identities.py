"""The dissipation identities of the survey as residual series of a run: is dE/dt what the formula says?

(3.9) for measures, Proposition 3.3 for (3.23), after (3.19), and along (3.21): see :mod:`jko.diagnostics.graphs.rates`.
A run of JKO steps obeys a discrete identity, up to the order of its steps: see :func:`step_identity`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from jko import checks
from jko.diagnostics.dissipation import dissipation
from jko.energies import Energy
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]
Rate = Callable[[Energy, Any], float]


class Residuals(Shown, ABC):
    """How far an identity is from holding, step by step."""

    @property
    @abstractmethod
    def residuals(self) -> Array:
        """What is left of it, (K,)."""

    @property
    def worst(self) -> float:
        """The largest residual."""
        return float(np.abs(self.residuals).max())

    def _facts(self) -> dict[str, object]:
        return {"steps": len(self.residuals), "worst": self.worst}


@dataclass(frozen=True, eq=False)
class Identity(Residuals):
    """dE/dt of a run against the formula for it; prints as a table.

    Attributes
    ----------
    times, energies, rates : (K + 1,)
        At the kept states: time, energy, and dE/dt by the formula.
    differences, means : (K,)
        ``(E_{k+1} - E_k) / (t_{k+1} - t_k)``, and the mean of the formula over that time, by a cubic spline through
        the rates.
    quadrature : (K,)
        How far the trapezoidal rule is from those means, in absolute value: larger than what the spline is off by, once
        the kept times resolve the run.

    Examples
    --------
    >>> import jko, numpy as np
    >>> E, times = jko.SquaredNorm(), np.linspace(0.0, 1.0, 21)
    >>> run = jko.limits.wasserstein(E, jko.Particles([[1.0]]), t1=1.0, times=times)
    >>> found = jko.diagnostics.dissipation_identity(E, run)
    >>> round(float(found.rates[0]), 6)  # dE/dt = -|x|^2
    -1.0
    """

    times: Array
    energies: Array
    rates: Array
    differences: Array
    means: Array
    quadrature: Array

    @property
    def residuals(self) -> Array:
        """``differences - means``, (K,)."""
        return self.differences - self.means

    @property
    def drift(self) -> Array:
        """``E(t) - E(0)`` less the integral of the formula, at all times, (K + 1,)."""
        steps = np.diff(self.times) * self.residuals
        return np.concatenate([[0.0], np.cumsum(steps)])

    def __str__(self) -> str:
        head = f"{'t':>10}  {'dE/dt':>13}  {'formula':>13}  {'residual':>10}  {'drift':>10}"
        middle = 0.5 * (self.times[1:] + self.times[:-1])
        columns = (middle, self.differences, self.means, self.residuals, self.drift[1:])
        rows = [
            f"{t:10.4g}  {a:13.6g}  {b:13.6g}  {r:10.2e}  {d:10.2e}"
            for t, a, b, r, d in zip(*columns, strict=True)
        ]
        return "\n".join([head, *rows])


@on_numbers
def dissipation_identity(energy: Energy, run: Trajectory, rate: Rate | None = None) -> Identity:
    """Hold the energies of a run against a formula for dE/dt.

    Parameters
    ----------
    energy : Energy
        That of the run.
    run : Trajectory
        Of a limit equation, or of JKO steps, where the residuals are of the order of tau.
    rate : callable, optional
        (energy, state) -> dE/dt, such as ``jko.limits.separated.rate``.  Default: minus
        :func:`jko.diagnostics.dissipation`, which is (3.9) for measures, along (4.2) and (4.7) too, and Proposition 3.3
        for (3.23).

    Returns
    -------
    Identity
        The kept times decide how much the quadrature can see: see its ``quadrature``.

    Raises
    ------
    TypeError
        For what is no energy or no trajectory.
    ValueError
        Fewer than two kept states; a rate that is not finite.

    Examples
    --------
    >>> import jko, numpy as np
    >>> E, start, times = jko.SquaredNorm(), jko.Particles([[1.0]]), np.linspace(0.0, 1.0, 21)
    >>> run = jko.limits.wasserstein(E, start, t1=1.0, times=times)
    >>> jko.diagnostics.dissipation_identity(E, run).worst < 1e-5
    True
    """
    checks.kind("energy", energy, Energy, hint="that of the run")
    checks.kind("the run", run, Trajectory, hint="what jko.flow or jko.limits gave back")
    if len(run.states) < 2:
        raise ValueError("the run keeps one state; two at least are needed for a difference")
    times, energies = run.times[run.kept], run.energies[run.kept]
    rates = _rates(energy, run, rate)
    spans = np.diff(times)
    means = np.diff(CubicSpline(times, rates).antiderivative()(times)) / spans
    trapezoid = 0.5 * (rates[1:] + rates[:-1])
    return Identity(
        times, energies, rates, np.diff(energies) / spans, means, np.abs(means - trapezoid)
    )


@dataclass(frozen=True, eq=False)
class StepIdentity(Residuals):
    """Where the energy of each JKO step went; prints as a table.

    Attributes
    ----------
    times : (K + 1,)
        Flow time.
    lowered, moved, slopes : (K,)
        ``E_k - E_{k+1}``, ``cost / (2 tau)``, and ``tau/2 |dE|^2(mu_{k+1})``, the dissipation where the step ends.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.01, steps=5)
    >>> jko.diagnostics.step_identity(jko.SquaredNorm(), run).worst < 0.05
    True
    """

    times: Array
    lowered: Array
    moved: Array
    slopes: Array

    @property
    def residuals(self) -> Array:
        """``(lowered - moved - slopes) / tau``, of the order of tau; not negative where E is convex along geodesics."""
        return (self.lowered - self.moved - self.slopes) / np.diff(self.times)

    @property
    def excess(self) -> Array:
        """``(slopes - moved) / tau``: half of ``|dE|^2(mu_{k+1}) - (metric / tau)^2``, not positive for a minimiser."""
        return (self.slopes - self.moved) / np.diff(self.times)

    def __str__(self) -> str:
        head = f"{'t':>10}  {'lowered':>11}  {'cost/2tau':>11}  {'tau/2 slope^2':>13}  {'residual':>10}"
        columns = (self.times[1:], self.lowered, self.moved, self.slopes, self.residuals)
        rows = [
            f"{t:10.4g}  {a:11.4e}  {b:11.4e}  {c:13.4e}  {r:10.2e}"
            for t, a, b, c, r in zip(*columns, strict=True)
        ]
        return "\n".join([head, *rows])


@on_numbers
def step_identity(energy: Energy, run: Trajectory, rate: Rate | None = None) -> StepIdentity:
    """De Giorgi's identity for JKO steps: ``E_k - E_{k+1} = cost / (2 tau) + tau/2 |dE|^2(mu_{k+1}) + O(tau^2)``.

    The exact one has ``1/2 int_0^tau (metric(mu_k, mu_s) / s)^2 ds`` over the steps of all lengths s up to tau in place
    of the second term.  The slope at a minimiser is at most ``metric / tau``, which bounds :attr:`StepIdentity.excess`.

    Parameters
    ----------
    energy : Energy
        That of the run.
    run : Trajectory
        Of :func:`jko.flow` with ``save=1`` and the implicit scheme.
    rate : callable, optional
        (energy, state) -> minus the squared slope; default minus :func:`jko.diagnostics.dissipation`.

    Raises
    ------
    ValueError
        A run without costs, or one that did not keep all of its states.

    Notes
    -----
    Source: Ambrosio, Gigli and Savare (2008), theorem 3.1.4; survey (3.9).

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, steps=3)
    >>> bool((jko.diagnostics.step_identity(jko.SquaredNorm(), run).residuals > 0).all())
    True
    """
    checks.kind("energy", energy, Energy, hint="that of the run")
    checks.kind("the run", run, Trajectory, hint="what jko.flow gave back")
    costs = run.costs
    if len(run.states) != len(run.times):
        raise ValueError(
            f"the run keeps {len(run.states)} of its {len(run.times)} states; the slope is needed at each of them: "
            "run jko.flow with save=1"
        )
    tau = np.diff(run.times)
    slopes = -0.5 * tau * _rates(energy, run, rate)[1:]
    return StepIdentity(run.times, -np.diff(run.energies), costs / (2 * tau), slopes)


def _rates(energy: Energy, run: Trajectory, rate: Rate | None) -> Array:
    """The formula at all kept states."""
    if rate is None and "metrics" in run.columns:
        raise ValueError(
            f"the run moved in {run.columns['metrics'][-1]}, and the dissipation is that of the natural metric; pass "
            "rate=, minus the squared slope in the run's own metric"
        )
    formula = (lambda E, state: -dissipation(E, state)) if rate is None else rate
    checks.function("rate", formula, hint="it takes energy and state and gives back dE/dt")
    values = np.array([float(formula(energy, state)) for state in run.states])
    if not np.isfinite(values).all():
        k = int(np.isfinite(values).argmin())
        raise ValueError(
            f"the rate is {values[k]} at t = {run.times[run.kept][k]:g}; a formula for dE/dt must be a finite number"
        )
    return values
