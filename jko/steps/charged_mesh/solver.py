"""``MeshNewton``: the step of a pair on the line in D, by Newton's method on the nodes and their charges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.measures import ChargedMesh
from jko.metrics import NO_PROOF, Certificate, as_array, certify
from jko.status import Status
from jko.steps.charged_mesh.objective import EPS, Objective, Spot
from jko.steps.line import FRACTION, Found, descent
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

Array = NDArray[np.float64]

ROUNDING = 512  # of an energy, in units of its last place
DECREASE, TRIALS = 1e-4, 40  # of Armijo's rule; halvings of a move
CRUSH = 0.9  # of the way to the first collision of nodes
NOISE = 16  # of a value, in units of its last place


@dataclass(frozen=True)
class MeshNewton:
    """Newton's method for a :class:`jko.ChargedMesh`: a step in D with internal energies of rho.

    ``min over (theta, H) of  E + sum_i M_i (|theta_i - theta_i^k|^2 + |H_i - H_i^k|^2) / (2 tau)``

    with the nodes in their order, so that rho has the density ``m_c / (theta_{c+1} - theta_c)`` between them.  Each
    iteration solves a banded system, with one more column for each data point of a risk, and goes at most 0.9 of the
    way to the first collision of nodes.  Cross terms of other energies (interactions) are left out of the Hessian,
    never out of the gradient.

    Parameters
    ----------
    tol
        Residual at which to stop; default None: ``1e-8 D(new, old) / tau``.  Never below what rounding allows.
    max_iterations
        Of Newton's method.

    Notes
    -----
    As tau -> 0 the steps converge to (3.23), with an entropy to its gradient flow in D: H is carried by
    ``-c grad U'(rho)`` too (Remark 4.1 read literally leaves it behind, and may raise the energy).

    ``cost`` is that of the index coupling, at least D^2.  On the line a *flow* of nodes keeps their order, while the
    optimal plan of D may exchange nodes: ``coupling`` says whether this one is optimal, and the ledger
    ``E_{k+1} + cost / (2 tau) <= E_k`` holds in any case.  With internal energies the coupling has no potential at
    hand, so it is proved by short moves or by an assignment.

    Source: survey Remark 3.4, Remark 4.1.

    Raises
    ------
    TypeError
        From ``step``, on a state that is not a :class:`jko.ChargedMesh`.
    ValueError
        From ``step``, for an internal energy with a negative coefficient.

    Examples
    --------
    >>> import jko
    >>> start = jko.ChargedMesh.from_function(
    ...     lambda x: (-0.5 * x[:, 0] ** 2).exp(), lambda x: 1 + x[:, 0], (-7.0, 7.0), 200
    ... )
    >>> E = 0.8 * jko.SquaredNorm() + 0.5 * jko.Entropy()
    >>> new = jko.step(E, start, tau=0.1).state
    >>> float((new.H - (1 + start.theta) / 1.08).abs().max()) < 1e-12
    True
    """

    tol: float | None = None
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise over nodes and charges."""
        checks.kind(
            "the state of MeshNewton",
            problem.previous,
            ChargedMesh,
            hint="build it by jko.ChargedMesh.from_function; atoms have jko.LBFGS(), cells jko.Remapped()",
        )
        objective = Objective(problem)
        start, before, evaluations = _start(objective)
        found = minimise(objective, start, self.tol, self.max_iterations)
        return _result(objective, before, found, evaluations + found.evaluations)


def minimise(
    objective: Objective, spot: Spot, tol: float | None, max_iterations: int
) -> Found[Spot]:
    """Newton with a line search from ``spot``, until the Euler-Lagrange equation holds."""

    def tolerance(spot: Spot) -> float:
        wanted = FRACTION * spot.cost**0.5 / objective.problem.tau if tol is None else tol
        return max(wanted, objective.rounding(spot))

    return descent(
        spot,
        objective.residual,
        tolerance,
        lambda spot, residual: descend(objective, spot, residual),
        max_iterations,
    )


def descend(objective: Objective, spot: Spot, residual: float) -> tuple[Spot | None, int]:
    """A lower spot along Newton's direction, else along that of a convex model; and the trials it took."""
    trials = 0
    for convex in (False, True):
        d = direction(objective, spot, convex)
        if d is None:
            continue
        new, tried = search(objective, spot, d, residual)
        trials += tried
        if new is not None:
            return new, trials
    return None, trials


def direction(objective: Objective, spot: Spot, convex: bool) -> Array | None:
    """The minimiser of the quadratic model; an end that is pressed against a wall stays there."""
    H, g = objective.hessian(spot, convex), spot.gradient.ravel().copy()
    first, last = objective.held(spot)
    rows = [1] * first + [len(g) - 1] * last
    g[rows] = 0.0
    d = H.held(rows).solve(-g)
    return None if d is None else d.reshape(-1, 2)


def search(objective: Objective, spot: Spot, d: Array, residual: float) -> tuple[Spot | None, int]:
    """The first of ``z + t d``, t halved, that is lower; where values are blurred, the residual decides."""
    slope = float((spot.gradient * d).sum())
    if not slope < 0:
        return None, 0
    lower, upper = objective.bounds
    widths, move = np.diff(spot.z[:, 1]), np.diff(d[:, 1])
    shrink = float((-move / widths).max())
    t = min(1.0, CRUSH / shrink) if shrink > 0 else 1.0
    noise = NOISE * EPS * abs(spot.value)
    for trial in range(1, TRIALS + 1):
        z = spot.z + t * d
        z[:, 1] = np.clip(z[:, 1], lower, upper)  # the projected path: an end stops at its wall
        if (np.diff(z[:, 1]) > 0).all():
            new = objective.at(z)
            along = float((spot.gradient * (z - spot.z)).sum())
            if along < 0 and new.value <= spot.value + DECREASE * along:
                return new, trial
            if -t * slope <= noise and objective.residual(new) < residual:
                return new, trial
        t *= 0.5
    return None, TRIALS


def _start(objective: Objective) -> tuple[Spot, float, int]:
    """The better of staying and of keeping the last step's velocity; E(mu_k); the evaluations spent."""
    stay = objective.at(objective.start)
    velocity = objective.problem.memory.get("velocity")
    if velocity is None or len(velocity) != len(objective.start):
        return stay, stay.energy, 1
    z = objective.start + objective.problem.tau * as_array(velocity)
    z[:, 1] = np.clip(z[:, 1], *objective.bounds)
    if not (np.diff(z[:, 1]) > 0.05 * np.diff(objective.start[:, 1])).all():
        return stay, stay.energy, 1
    ahead = objective.at(z)
    return (ahead if ahead.value < stay.value else stay), stay.energy, 2


def _result(
    objective: Objective, before: float, found: Found[Spot], evaluations: int
) -> StepResult:
    problem, mesh, spot, status = objective.problem, objective.mesh, found.spot, found.status
    slack = before - spot.energy - spot.cost / (2 * problem.tau)
    if status.ok and slack < -ROUNDING * EPS * max(abs(before), abs(spot.energy)):
        status = Status.ENERGY_ROSE
    z = torch.from_numpy(spot.z).to(mesh.theta)
    return StepResult(
        state=mesh.moved(z[:, 1].contiguous(), z[:, 0].contiguous()),
        energy=spot.energy,
        cost=spot.cost,
        objective=spot.value,
        slack=slack,
        residual=found.residual,
        iterations=found.iterations,
        evaluations=evaluations,
        status=status,
        coupling=NO_PROOF if status is Status.NOT_FINITE else _certificate(objective, spot),
        problem=problem,
        memory={"velocity": torch.from_numpy((spot.z - objective.start) / problem.tau)},
    )


def _certificate(objective: Objective, spot: Spot) -> Certificate:
    """Whether the index coupling is optimal in D."""
    variation = objective.variation(spot)
    potential = None if variation is None else objective.problem.tau * as_array(variation)
    return certify(spot.z, objective.start, objective.weights, potential)
