"""One integrator for the ordinary differential equations of this folder.

Explicit Runge-Kutta of order 8 (DOP853) as long as accuracy decides its steps.  Where stability does, the problem is
stiff and backward differences (BDF, order up to 5) go on, if the unknowns are few enough for their linear algebra.
Where nothing moves any more within rounding, the rest of the time is skipped.  All within a number of evaluations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import BDF, DOP853, OdeSolver
from scipy.optimize import brentq

from jko.limits.course import Array, Course
from jko.limits.stopped import LimitStopped, nowhere, out_of_work

Rates = Callable[[float, Array], Array]

EVALUATIONS = 100_000  # of the velocity, unless told otherwise: minutes for a network
LARGEST = 1500  # unknowns for which a dense Jacobian is factorised
STABILITY = 4.0  # step times Lipschitz constant; DOP853 is unstable above 6
PERSISTENT = 15  # steps in a row that tell that a problem is stiff
RELAXED = 6  # steps in a row that tell that it is not
SHARPER = 0.01  # the tolerance of BDF against that of DOP853 for the same accuracy
SHARPEST = 1e-13  # the least of it
WORTHWHILE = 100  # explicit steps left, below which a stiff problem is not worth another method
REMEDY = (
    "The velocity changes fast all the way (kinks, as of ReLU, or stiffness of many unknowns): take t1 below, "
    "loosen rtol"
)


def integrate(
    rates: Rates,
    start: Array,
    t1: float,
    rtol: float,
    wanted: Array | None,
    *,
    atol: float | None = None,
    event: Callable[[Array], float] | None = None,
    jacobian: Rates | None = None,
    evaluations: int = EVALUATIONS,
    rounding: float = 2.0**-52,
    autonomous: bool = True,
) -> Course[Array]:
    """Solve ``y' = rates(t, y)`` from 0 to t1; ``event`` ends it where it falls to zero.

    Parameters
    ----------
    wanted : (K,) or None
        Increasing times to keep, 0 and t1 among them; None keeps the integrator's own steps.
    jacobian : callable, optional
        (t, y) to (n, n), for the stiff method; default by differences.
    rounding : float
        Relative, of the numbers that y stands for.
    autonomous : bool
        Whether the rates do not depend on t: only then rest is rest for ever.

    Raises
    ------
    ValueError
        If the rates are not finite at the start.
    """
    if not np.isfinite(rates(0.0, start)).all():
        raise ValueError(nowhere(0.0))
    atol = rtol * (float(np.abs(start).max()) or 1.0) if atol is None else atol
    run = _Run(rates, start, t1, rtol, atol, wanted, event, jacobian, evaluations)
    try:
        return run.solve(rounding if autonomous else None)
    except LimitStopped as stop:
        return run.solution(failure=str(stop))


@dataclass
class _Run:
    """One integration while it runs: the rows kept so far, and the evaluations left."""

    rates: Rates
    y: Array
    t1: float
    rtol: float
    atol: float
    wanted: Array | None
    event: Callable[[Array], float] | None
    jacobian: Rates | None
    evaluations: int

    def __post_init__(self) -> None:
        self.t, self.left = 0.0, self.evaluations
        self.times, self.rows = [0.0], [self.y.copy()]

    def counted(self, t: float, y: Array) -> Array:
        """The rates, as long as there are evaluations left."""
        self.left -= 1
        if self.left < 0:
            raise LimitStopped(out_of_work(self.evaluations, self.t, self.t1, REMEDY))
        return self.rates(t, y)

    def derivative(self, t: float, y: Array) -> Array:
        """The Jacobian; entries that are not finite would be refused, and zero is as good a guess."""
        assert self.jacobian is not None
        matrix = self.jacobian(t, y)
        return np.where(np.isfinite(matrix), matrix, 0.0)

    def solve(self, rounding: float | None) -> Course[Array]:
        """Step until t1, rest, the event, or no further."""
        y, speed, stiffness = self.rows[0], np.inf, _Stiffness()
        value = np.inf if self.event is None else self.event(y)
        solver: OdeSolver = DOP853(self.counted, 0.0, y, self.t1, rtol=self.rtol, atol=self.atol)
        if rounding is not None and not solver.f.any():
            return self.rest()
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                return self.solution(failure=_stuck(solver.t, self.t1, message))
            last, speed = speed, float(np.abs(solver.y - self.y).max()) / (solver.t - self.t)
            self.t, self.y = solver.t, solver.y
            if self.event is not None and (after := self.event(solver.y)) <= 0 < value:
                return self.end(solver)
            value = np.inf if self.event is None else after
            self.keep(solver, solver.t)
            left = self.t1 - solver.t
            size = (rounding or 0.0) * float(np.abs(solver.y).max())
            if rounding is not None and left > 0 and speed <= last and speed * left <= size:
                return self.rest()
            if isinstance(solver, DOP853) and len(y) <= LARGEST and stiffness.found(solver, left):
                solver = self.implicit(solver)
        return self.solution()

    def implicit(self, solver: OdeSolver) -> OdeSolver:
        """The stiff method from where the explicit one is."""
        jac = None if self.jacobian is None else self.derivative
        return BDF(
            self.counted,
            solver.t,
            solver.y,
            self.t1,
            first_step=min(solver.step_size, self.t1 - solver.t),
            jac=jac,
            rtol=max(SHARPER * self.rtol, SHARPEST),
            atol=SHARPER * self.atol,
        )

    def keep(self, solver: OdeSolver, until: float) -> None:
        """The rows that the last step has added, up to the time ``until``."""
        if self.wanted is None:
            inside = np.array([until])
        else:
            inside = self.wanted[(self.wanted > self.times[-1]) & (self.wanted <= until)]
        if not len(inside):
            return
        dense = None if inside.tolist() == [solver.t] else solver.dense_output()
        self.rows += [solver.y.copy()] if dense is None else list(dense(inside).T)
        self.times += inside.tolist()

    def end(self, solver: OdeSolver) -> Course[Array]:
        """Where the event is zero within the last step."""
        dense, event = solver.dense_output(), self.event
        assert event is not None
        assert solver.t_old is not None
        t = float(brentq(lambda t: event(dense(t)), solver.t_old, solver.t, xtol=1e-15, rtol=1e-14))
        self.t, self.y = t, dense(t)
        self.keep(solver, t)
        return self.solution(stopped=t)

    def rest(self) -> Course[Array]:
        """The rest of the times with the resting unknown."""
        at = self.t
        later = np.array([self.t1]) if self.wanted is None else self.wanted
        later = later[later > self.times[-1]]
        self.rows += [self.y] * len(later)
        self.times += later.tolist()
        return self.solution(rested=at)

    def solution(
        self,
        stopped: float | None = None,
        rested: float | None = None,
        failure: str | None = None,
    ) -> Course[Array]:
        """What was kept."""
        return Course(np.array(self.times), self.rows, stopped, rested, failure, self.y)


class _Stiffness:
    """Whether stability decides the steps of DOP853, as Hairer and Wanner tell it: by the last two stages of a step.

    Both are at its end, so that the difference of their rates over that of their points is a Lipschitz constant.
    """

    def __init__(self) -> None:
        self.tight = self.loose = 0

    def found(self, solver: DOP853, left: float) -> bool:
        """Whether it does after this step, and enough of the time is left."""
        h, K, A = solver.h_previous, solver.K, solver.A
        last = solver.n_stages - 1
        stage = solver.y_old + h * (A[last, :last] @ K[:last])
        apart = float(np.linalg.norm(solver.y - stage))
        rate = float(np.linalg.norm(K[last + 1] - K[last]))
        if h * rate > STABILITY * apart:
            self.tight, self.loose = self.tight + 1, 0
        else:
            self.loose += 1
            self.tight = 0 if self.loose >= RELAXED else self.tight
        return self.tight >= PERSISTENT and left > WORTHWHILE * h


def _stuck(t: float, t1: float, message: str | None) -> str:
    return (
        f"the integration stopped at t = {t:g} of {t1:g}: {message} The velocity blows up or "
        "jumps there (ReLU features have jumps): lower t1, loosen rtol, or use a smooth activation"
    )
