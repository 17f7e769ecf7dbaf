"""One integrator for the ordinary differential equations of this folder: explicit Runge-Kutta of order 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from jko.spaces import Domain

Array = NDArray[np.float64]

INSIDE = 8  # points within each integrator step at which the atoms are held against their domain


class Solution(NamedTuple):
    """Kept times (K,), the unknown at them (K, n), the integrator's own steps, and the unknown as a function of time.

    ``stopped`` is the time at which the event was zero, or None.
    """

    times: Array
    rows: Array
    steps: Array
    dense: Callable[[float], Array] | None
    stopped: float | None


def integrate(
    rates: Callable[[float, Array], Array],
    start: Array,
    t1: float,
    rtol: float,
    wanted: Array | None,
    event: Callable[[Array], float] | None = None,
    dense: bool = False,
) -> Solution:
    """Solve ``y' = rates(t, y)`` from 0 to t1; ``event`` ends it where it falls to zero.

    Raises
    ------
    RuntimeError
        If the rates stop being finite or the steps vanish.
    """
    if not np.isfinite(rates(0.0, start)).all():
        raise RuntimeError(
            "the gradient of the energy is not finite at the start; check data and features"
        )
    scale = float(np.abs(start).max()) or 1.0
    with np.errstate(
        over="ignore", invalid="ignore", divide="ignore"
    ):  # a trial step too far is tried again, shorter
        solution = solve_ivp(
            rates,
            (0.0, t1),
            start,
            "DOP853",
            rtol=rtol,
            atol=rtol * scale,
            dense_output=dense or wanted is not None,
            events=None if event is None else _terminal(event),
        )
    if not solution.success:
        raise RuntimeError(
            f"the integration stopped at t = {solution.t[-1]:g} of {t1:g}: {solution.message} The velocity blows up or "
            "jumps there (ReLU features have jumps): lower t1, loosen rtol, or use a smooth activation"
        )
    stopped = float(solution.t[-1]) if solution.status == 1 else None
    times = solution.t if wanted is None else wanted[wanted <= solution.t[-1]]
    rows = solution.y.T if wanted is None else solution.sol(times).T
    return Solution(times, rows, solution.t, solution.sol, stopped)


def watch(solution: Solution, domain: Domain, points: Callable[[Array], Tensor]) -> None:
    """Refuse a solution whose ``points`` leave the domain, looking at ``INSIDE`` points of every step."""
    assert solution.dense is not None
    for a, b in zip(solution.steps[:-1], solution.steps[1:], strict=True):
        for t in np.linspace(a, b, INSIDE + 1)[1:]:
            try:
                domain.check("atoms", points(solution.dense(t)))
            except ValueError:
                raise RuntimeError(
                    f"an atom leaves {domain!r} by t = {t:g}; from there on the flow with no flux has a velocity that "
                    f"jumps, which this integrator does not follow. Take t1 below {a:g}, or drop the domain"
                ) from None


def _terminal(event: Callable[[Array], float]) -> Callable[[float, Array], float]:
    def function(t: float, y: Array) -> float:
        return event(y)

    marked: Any = function
    marked.terminal, marked.direction = True, -1
    return function
