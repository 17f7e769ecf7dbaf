"""``Adaptive``: steps as long as a tolerance allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jko import checks
from jko.flows.clock import Tick
from jko.flows.controlled import Verdict
from jko.flows.estimates import ByLabels, Estimator, KnownError, by_ledger
from jko.ledger import Present
from jko.measures import OnCells, State
from jko.schemes import Implicit, Midpoint, Scheme
from jko.shown import Shown
from jko.status import Status
from jko.steps import StepResult
from jko.steps.affine import labels

SAFETY, TOO_LONG = 0.85, 1.2  # of the tolerance: what is aimed at, what is rejected
SHRINK = 0.2  # at once
MOST = 20  # times that a step is made again
INNER = 0.05  # of tol / tau: the residual that a step may leave
LOOSE = 0.5  # of tol / tau: a residual that spoils the step
SHORT = 0.05  # of tol: a first step that errs by less is made again,
STRIDE, STARTS = 100.0, 8  # so much longer at most, and so often


@dataclass(frozen=True)
class Adaptive(Shown):
    """Steps of a flow that are as long as a tolerance allows: ``jko.flow(..., tau=jko.Adaptive(tol))``.

    Parameters
    ----------
    tol : float
        The error that one step may make, a distance in the metric of the flow: of atoms the root mean square over the
        mass of how far each is from where the gradient flow would take it in that time.
    first : float, optional
        Length of the first step.  By default it is found by trying.
    longest : float
        No step is longer.
    estimator : str, optional
        ``"labels"`` or ``"ledger"``; by default labels where the state has some.

    Notes
    -----
    How the error is estimated, to leading order in tau.

    - ``labels``: particles, pairs of atoms, meshes.  Where the scheme ended against where the velocities before the
      step said that it would end; of :class:`jko.Implicit` this is ``tau / 2 |v_{k+1} - v_k|``, free of work.
    - ``ledger``: any state, with :class:`jko.Implicit` alone: ``|q| d(mu_{k+1}, mu_k)`` with
      ``q = tau (E_k - E_{k+1}) / d^2 - 1``, kept from falling too fast.  It is a lower bound to leading order.

    On atoms and meshes ``tau`` times the residual of the step is added: what the inner solve left undone.

    The controller.  With p the order of the scheme the next step is ``clip(.85 (tol / estimate)^{1 / (p + 1)}, .2, g)``
    times as long, where g is the growth that the scheme allows: 1.6 for :class:`jko.BDF2`, whose modified energy then
    never rises, else 2.5.  A step whose estimate is above ``1.2 tol`` is not taken but made again, shorter.  A step
    that fails is made again, half as long: up to 10 times, or ``retry`` times where the flow has that.  Times that
    were asked for (``t1``, ``save=[...]``) are hit to the bit; a step that was cut at one makes the next no longer.

    Each step is solved down to a residual of ``.05 tol / tau`` in L2(mu): :class:`jko.LBFGS` and other solvers with
    such a tolerance are told; where one leaves more than ``tol / (2 tau)``, the flow says so and ends.  Solvers on
    grids measure their residual in other units, and keep their own tolerance.

    Columns of the trajectory: ``estimates``, ``rejected`` (how often the step was tried before), ``proposed`` (the
    length of the next step).  The work of what was not taken counts in ``iterations`` and ``evaluations``.

    The error at the end is about the sum of the errors of the steps, each with what the flow makes of it: a convex
    energy contracts them.  It is not bounded by tol, and no estimate is proved.

    Source: the controller is that of any integrator, Hairer, Norsett and Wanner, Solving Ordinary Differential
    Equations I, section II.4; for the base points of order two Matthes and Plazotta, Numer. Math. 142 (2019).

    Raises
    ------
    ValueError
        A name that no estimator has.  From the flow: a solver whose tolerance is too loose.
    TypeError
        From the flow: a scheme whose error on such a state no estimator knows.

    Examples
    --------
    >>> import jko, math
    >>> mu = jko.Particles([[1.0]])
    >>> run = jko.flow(jko.SquaredNorm(), mu, tau=jko.Adaptive(1e-3), t1=5.0, save=[1.0, 5.0])
    >>> run.times[run.kept].tolist()
    [0.0, 1.0, 5.0]
    >>> len(run.times) < 60, bool(abs(float(run.at(1.0).points) - math.exp(-1)) < 1e-2)
    (True, True)
    """

    _bare = 1
    tol: float
    first: float | None = None
    longest: float = math.inf
    estimator: str | None = None

    def __post_init__(self) -> None:
        checks.number("tol", self.tol, above=0)
        if self.first is not None:
            checks.number("first", self.first, above=0)
        checks.positive("longest", self.longest)
        if self.estimator not in (None, "labels", "ledger"):
            raise ValueError(
                f"estimator = {self.estimator!r}; it is 'labels' or 'ledger', or leave it out"
            )

    def rule(self, scheme: Scheme, state: State) -> Tolerance:
        """For a scheme and states of this kind."""
        name, kind = type(scheme).__name__, type(state).__name__
        labelled = labels(state) is not None
        if self.estimator == "labels" and not labelled:
            raise TypeError(
                f"estimator = 'labels', but no atom of a {kind} keeps its mass; leave the estimator out"
            )
        if labelled and self.estimator != "ledger":
            blind = isinstance(scheme, Midpoint) and isinstance(state, OnCells)
            if blind or not isinstance(scheme, KnownError):
                raise TypeError(
                    f"Adaptive does not know the error of {name} on a {kind}; take jko.BDF2(), or a number for tau"
                )
            return Tolerance(self, scheme.growth, ByLabels(scheme), True)
        if not isinstance(scheme, Implicit):
            raise TypeError(
                f"the ledger of a {kind} gives the error of jko.Implicit() alone, not of {name}; take that, or a "
                "number for tau"
            )
        return Tolerance(self, scheme.growth, by_ledger, labelled)


@dataclass(frozen=True)
class Tolerance:
    """The rule of :class:`Adaptive` for a scheme and a kind of state; ``inner`` where residuals are of L2(mu)."""

    options: Adaptive
    growth: float
    estimator: Estimator
    inner: bool

    @property
    def first(self) -> float | None:
        """As it was given."""
        first, longest = self.options.first, self.options.longest
        return first if first is None else min(first, longest)

    def residual(self, tau: float) -> float:
        """``.05 tol / tau``."""
        return INNER * self.options.tol / tau if self.inner else math.inf

    def weigh(self, now: Present, tick: Tick, result: StepResult, tries: int) -> Verdict:
        """Take the step unless it errs by too much; one without any before it also not if it errs by far too little."""
        self._refuse_loose(now, tick, result)
        tol, longest = self.options.tol, self.options.longest
        error, order, figures, memory, evaluations = self.estimator(now, tick, result)
        error += tick.tau * result.residual if self.inner else 0.0
        factor = (SAFETY * (tol / error) ** (1 / (order + 1))) if error > 0 else math.inf
        if error > TOO_LONG * tol:
            self._refuse_constant(now, tick, error, tries)
            return Verdict(False, tick.tau * max(SHRINK, factor))
        trying = self.options.first is None and "proposed" not in now.row and tries < STARTS
        longer = min(tick.tau * min(factor, STRIDE), longest)
        if trying and 0 < error < SHORT * tol and longer > 2 * tick.tau:
            return Verdict(False, longer)
        proposed = min(tick.tau * min(max(factor, SHRINK), self.growth), longest)
        return Verdict(True, proposed, {"estimates": error, **figures}, memory, evaluations)

    def _refuse_constant(self, now: Present, tick: Tick, error: float, tries: int) -> None:
        if tries >= MOST:
            raise ValueError(
                f"step {now.steps + 1} was made {tries + 1} times, down to a length of {tick.tau:.2g}, and its error "
                f"is estimated as {error:.2g} all the same, with tol = {self.options.tol:g}: it is not the length that "
                "makes it (jko.Sinkhorn blurs, an energy of one's own may have noise). Take a larger tol, or a number "
                "for tau"
            )

    def _refuse_loose(self, now: Present, tick: Tick, result: StepResult) -> None:
        most = LOOSE * self.options.tol / tick.tau
        if not self.inner or result.status is not Status.CONVERGED or result.residual <= most:
            return
        raise ValueError(
            f"step {now.steps + 1}, of length {tick.tau:.3g}, ended with a residual of {result.residual:.2g}: its "
            f"atoms may be off by more than tol = {self.options.tol:g} allows. The solver's tolerance is too loose "
            f"for that; take one of at most {INNER * self.options.tol / tick.tau:.2g}, or a larger tol"
        )
