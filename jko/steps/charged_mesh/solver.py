"""``MeshNewton``: the step of a pair on the line in D, by Newton's method on the nodes and their charges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.duality import Gap
from jko.measures import ChargedMesh
from jko.metrics import NO_PROOF, Certificate, as_array, certify
from jko.status import Status
from jko.steps.charged_mesh.conjugate import conjugate
from jko.steps.charged_mesh.objective import EPS, Objective, Spot
from jko.steps.charged_mesh.ordered import CRUSH, crushed, in_order
from jko.steps.line import FRACTION, Found, descent
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

Array = NDArray[np.float64]

DECREASE, TRIALS = 1e-4, 40  # of Armijo's rule; halvings of a move
NOISE = 16  # of a value, in units of its last place
GAIN = 0.9  # of a residual, what is left of it where values are blurred
FOLDED = 1e-10  # of its width, a cell whose nodes have met


@dataclass(frozen=True)
class MeshNewton:
    """Newton's method for a :class:`jko.ChargedMesh`: a step in D with internal energies of rho.

    ``min over (theta, H) of  E + sum_i M_i (|theta_i - theta_i^k|^2 + |H_i - H_i^k|^2) / (2 tau)``

    with the nodes in their order, so that rho has the density ``m_c / (theta_{c+1} - theta_c)`` between them.  Each
    iteration solves a banded system, with one more column for each data point of a risk; where the solution would
    exchange nodes it minimises the same quadratic model with the nodes in order.  No cell loses more than 0.9 of its
    width in an iteration.  Where far nodes act on each other (interactions) conjugate gradients solve it, with the
    banded part as preconditioner.

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
    ``E_{k+1} + cost / (2 tau) <= E_k`` holds in any case.

    Where the minimum would fold the mesh (two nodes meet with different H) the step ends with ``NOT_A_GRAPH``: go on
    with its lift, or lower tau.

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
        return _result(objective, before, found, evaluations + found.evaluations, self.tol)


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
        objective.further,
    )


def descend(objective: Objective, spot: Spot, residual: float) -> tuple[Spot | None, int]:
    """A lower spot along Newton's direction, else along that of a convex model; and the trials it took."""
    trials = 0
    if not folded(objective, spot):
        for d in directions(objective, spot):
            new, tried = search(objective, spot, d, residual)
            trials += tried
            if new is not None:
                return new, trials
    return None, trials


def folded(objective: Objective, spot: Spot) -> bool:
    """Whether two nodes have met."""
    old, new = np.diff(objective.start[:, 1]), np.diff(spot.z[:, 1])
    return bool((new < FOLDED * old).any())


def directions(objective: Objective, spot: Spot) -> Iterator[Array]:
    """Minimisers of quadratic models, the best model first; an end that is pressed against a wall stays there."""
    g, (first, last) = spot.gradient.ravel().copy(), objective.held(spot)
    held = [1] * first + [len(g) - 1] * last
    g[held] = 0.0
    widths = np.diff(spot.z[:, 1])
    for convex in (False, True):
        H, far = objective.hessian(spot, convex)
        d = None if far is None else conjugate(H, far, g, held)
        if d is not None and crushed(d, widths) <= CRUSH:
            yield d.reshape(-1, 2)
        d = in_order(H, g, held, widths)
        if d is not None:
            yield d.reshape(-1, 2)
    down = -g / np.repeat(objective.weights, 2)  # where a pressure drowns the metric in rounding
    down /= np.abs(down).max(initial=np.finfo(float).tiny)
    bend = float(down @ (H @ down))
    if bend > 0:
        yield (-float(g @ down) / bend * down).reshape(-1, 2)


def search(objective: Objective, spot: Spot, d: Array, residual: float) -> tuple[Spot | None, int]:
    """The first of ``z + t d``, t halved, that is lower; where values are blurred, the residual decides."""
    slope = float((spot.gradient * d).sum())
    if not slope < 0:
        return None, 0
    lower, upper = objective.bounds
    shrink = crushed(d.ravel(), np.diff(spot.z[:, 1]))
    t = min(1.0, CRUSH / shrink) if shrink > 0 else 1.0
    noise = NOISE * EPS * abs(spot.value)
    for trial in range(1, TRIALS + 1):
        z = spot.z + t * d
        z[:, 1] = np.clip(z[:, 1], lower, upper)  # the projected path: an end stops at its wall
        if (np.diff(z[:, 1]) > 0).all():
            new = objective.at(z)
            along = float((spot.gradient * (z - spot.z)).sum())
            if -t * slope <= noise:
                lowered = objective.residual(new) < GAIN * residual
            else:
                lowered = along < 0 and new.value <= spot.value + DECREASE * along
            if lowered:
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
    objective: Objective,
    before: float,
    found: Found[Spot],
    evaluations: int,
    tol: float | None,
) -> StepResult:
    problem, mesh, spot, status = objective.problem, objective.mesh, found.spot, found.status
    if status in (Status.STALLED, Status.MAX_ITERATIONS) and folded(objective, spot):
        status = Status.NOT_A_GRAPH
    z = torch.from_numpy(spot.z).to(mesh.theta)
    return StepResult.of(
        problem,
        mesh.moved(z[:, 1].contiguous(), z[:, 0].contiguous()),
        energy=spot.energy,
        cost=spot.cost,
        before=before,
        residual=found.residual,
        iterations=found.iterations,
        evaluations=evaluations,
        status=status,
        tolerance=math.inf if tol is None else tol,
        coupling=NO_PROOF if status is Status.NOT_FINITE else _certificate(objective, spot),
        memory={"velocity": torch.from_numpy((spot.z - objective.start) / problem.tau)},
        gap=_no_bound(objective, spot),
    )


def _certificate(objective: Objective, spot: Spot) -> Certificate:
    """Whether the index coupling is optimal in D.

    An optimal one moves nodes by ``-grad p``: p is integrated along the graph, and its dual constraint then checked.
    """
    d = spot.z - objective.start
    rises = (0.5 * (d[1:] + d[:-1]) * np.diff(spot.z, axis=0)).sum(1)
    return certify(spot.z, objective.start, objective.weights, -np.append(0.0, rises.cumsum()))


def _no_bound(objective: Objective, spot: Spot) -> Gap | None:
    """With internal energies no lower bound is at hand; without them it is that of the atoms."""
    if not objective.internal:
        return None
    reason = "no lower bound is known for internal energies on a mesh whose nodes carry charges"
    return Gap(math.inf, False, reason, -math.inf, spot.value)
