"""``LBFGS``: limited-memory quasi-Newton in L2(mu_k), the default minimiser of a Lagrangian step.

The energy's share of the curvature (differences of its gradient along the moves) is kept from step to step; the
metric's share, 1/tau times the identity, is known and added.  So tau may change and nothing is learned twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from jko import checks
from jko.shown import Shown
from jko.steps.descent import FLAT, STILL, descend
from jko.steps.lagrangian import Minimised, solve_lagrangian
from jko.steps.linesearch import Point
from jko.steps.memory import Memory
from jko.steps.pairs import CurvaturePairs
from jko.steps.penalty import Penalty
from jko.steps.problem import Form, StepProblem
from jko.steps.result import StepResult

TRAINING = 5.0  # times |T - id| / tau, the residual of a step that trains: fewest evaluations; 20 only makes more steps


@dataclass(frozen=True)
class LBFGS(Shown):
    """Limited-memory BFGS in L2(mu_k; R^dim), whose iteration counts do not grow with the number of atoms.

    Parameters
    ----------
    tol
        Stop when the residual ``|grad dE/dmu(T) + (T - id)/tau|`` in L2(mu_k) is below ``tol``.  Default None: stop
        when it is below ``fraction`` of ``|T - id| / tau``, an inexact step whose error is a fraction of its length.
    fraction
        See ``tol``; any number above 0.  A small one follows the flow, a large one trains (see below).
    history
        Curvature pairs kept: two arrays of the size of the state each.  Fewer where they would take more than 2 GB (of
        a large memory a thirty-second part, of a small one a quarter); then ``figures["history"]`` of the result, and
        the column ``history`` of a flow, say how many: 3 for a million atoms in dimension 12.
    max_iterations
        In one minimisation.
    examine
        Whether a step proves its coupling optimal, and relabels or re-plans where it is not.  With False the ledger
        says NOT_EXAMINED, and ``result.coupling`` is worked out when it is read.
    ceiling
        And the residual is at most this, besides ``tol`` or ``fraction``: what :class:`jko.Adaptive` asks for.

    Notes
    -----
    What ``fraction`` says.  With c = ``fraction`` and no domain a CONVERGED step satisfies, in the norm of L2(mu_k),

    ``E(mu_{k+1}) + |T - id|^2 / (2 tau) <= E(mu_k)``  and  ``|grad dE/dmu(T)| <= (1 + c) |T - id| / tau``;

    the first is ``slack >= 0`` and holds with the cost of any coupling, examined or not; the second is the residual
    with the triangle inequality.  These are sufficient decrease and relative error, H1 and H2 of Attouch, Bolte and
    Svaiter, for *any* c: with tau between two positive numbers and E analytic in the N atoms (tanh, sigmoid, softplus,
    sin; then it has the Kurdyka-Lojasiewicz property), atoms that stay bounded (by ``lam |xi|^2 / 2``) converge to a
    critical point, on a way of finite length.  That point need be no minimum, and the way need not be the flow's: the
    error of a step, against implicit Euler, is of the order of c.  The default .1 follows the flow, :meth:`training`
    takes 5.

    Where the energy is not convex a small residual need be no small error: there the model's own remaining move must
    be below ``fraction |T - id|`` too.  Where the objective falls without end the status is UNBOUNDED.

    A kinked energy (ReLU) has minimisers where no gradient vanishes; with ``tol=None`` the minimisation also ends
    where the value stops falling, with status STALLED.  With a domain the residual is the natural one,
    ``(T - P(T - tau g)) / tau``, and moves are projected.

    It takes any metric on atoms.  Where the index coupling stands for it (W2, D,
    :class:`jko.metrics.ScaledWasserstein`) the coupling is certified; else the step minimises with ``metric.cost`` as
    it is, and ``result.coupling`` says so.

    Source, for ``fraction``: Attouch, Bolte and Svaiter, Math. Program. Ser. A 137 (2013) 91-129, section 2.

    Examples
    --------
    >>> import jko
    >>> result = jko.step(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> round(float(result.state.points), 12)
    0.5
    """

    tol: float | None = None
    fraction: float = 0.1
    history: int = 20
    max_iterations: int = 1000
    examine: bool = True
    ceiling: float = math.inf
    forms: ClassVar = frozenset(Form)
    seams: ClassVar = True

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.number("fraction", self.fraction, above=0)
        checks.count("history", self.history)
        checks.count("max_iterations", self.max_iterations)
        checks.kind("examine", self.examine, bool)
        checks.positive("ceiling", self.ceiling)

    def sharpened(self, residual: float) -> LBFGS:
        """The solver whose steps end with a residual of at most this, too."""
        return replace(self, ceiling=min(self.ceiling, residual))

    @classmethod
    def training(cls, examine: bool = False) -> LBFGS:
        """The solver to train with: inexact steps (``fraction`` 5), and no coupling is examined unless asked for.

        Examples
        --------
        >>> import jko, torch
        >>> x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
        >>> F = (
        ...     jko.Risk(jko.Data(x, x[:, 0].sin()), activation=jko.Ridge(torch.tanh))
        ...     + 1e-3 * jko.SquaredNorm()
        ... )
        >>> mu = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))
        >>> run = jko.flow(F, mu, tau=100.0, steps=10, solver=jko.LBFGS.training())
        >>> bool((run.slacks >= 0).all()), set(run.columns["proofs"].tolist())
        (True, {'NOT_EXAMINED'})
        """
        return cls(fraction=TRAINING, examine=examine)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise, certify the coupling, relabel or re-plan where it is not optimal; not if it is not examined."""
        return solve_lagrangian(problem, self.minimise, examine=self.examine)

    def minimise(
        self, problem: StepProblem, penalty: Penalty, point: Point, memory: Memory
    ) -> Minimised:
        """One minimisation with the penalty fixed."""
        noisy = STILL if problem.form is Form.OWN_COST else None
        return descend(
            problem,
            penalty,
            point,
            CurvaturePairs(problem, self.history, memory),
            tol=self.tol,
            fraction=self.fraction,
            max_iterations=self.max_iterations,
            ceiling=self.ceiling,
            flatness=FLAT if self.tol is None else noisy,
        )
