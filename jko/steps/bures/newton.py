"""``BuresNewton``: the step of a normal law or of a mixture, by Newton's method in the affine maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.duality import Gap
from jko.measures import NormalLaws
from jko.metrics import NO_PROOF, BuresWasserstein, Certificate, OnRequest, Proof
from jko.numerics.search import armijo
from jko.shown import Shown
from jko.status import Status
from jko.steps.bures.objective import AffineObjective, Mapped
from jko.steps.memory import rounding
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult
from jko.steps.solver import Sharpened

# powers of eps: what may be left of the slopes that cancel, at first and at last
FRACTION, ROUNDED = 0.75, 0.625
UNITS = 4, 64  # of eps: the same of the first slope
FAR = 1e8  # times the spread and tau |grad E|: so long is no step that has a minimum
FLAT = 1e-8  # times 1 / tau: the least curvature of a model
SKIPPED = 0.1  # relative: an update that would be larger than what it corrects
OVER_ALL = "a step among normal laws, or mixtures of them: nothing is known of the minimum over all measures"


@dataclass(frozen=True)
class BuresNewton(Sharpened, Shown):
    """Newton's method for :class:`jko.Gaussian` and :class:`jko.GaussianMixture`: the natural solver of both.

    The component ``N(m_k, S_k)`` goes to ``N(m_k + a, T S_k T)`` by an affine map with T symmetric and positive
    definite, which is optimal.  With the mass p of each component the step minimises

    ``E(mu) + sum_k p_k (|a_k|^2 + tr((T_k - I) S_k (T_k - I))) / (2 tau)``

    over all a and T, in coordinates in which the cost is a sum of squares.

    Parameters
    ----------
    tol
        Residual at which to stop; default None: 2e-12 of the slopes that cancel in it, or what rounding leaves.
    max_iterations
        Of Newton's method.

    Notes
    -----
    Of one normal law the cost is W2^2 (``coupling`` says AFFINE).  Of a mixture it is that of the index coupling of the
    components, which bounds ``MW2^2 >= W2^2`` from above; ``coupling`` compares it with an optimal plan of the
    components when it is read.  Either way ``slack >= 0`` says that the energy fell by at least the squared distance
    over 2 tau.

    The model of the curvature has the entropy's own and that of the potential by Stein's identity, so that quadratic
    potentials are solved to rounding in a few iterations; what else there is (risks, mixtures) it learns by symmetric
    updates of rank one.  Dense in the n = K (d + d (d + 1) / 2) unknowns: meant for n up to about 2000.

    Where all terms are convex along affine maps, as a convex potential and the entropy of one normal law, the step is
    the only minimiser among normal laws.  For a quadratic potential with an entropy it is the JKO step itself.

    Source: survey (4.1)-(4.2); Lambert, Chewi, Bach, Bonnabel and Rigollet, NeurIPS 35 (2022).

    Raises
    ------
    TypeError
        From ``step``: another kind of state.
    ValueError
        From ``step``: an internal energy with a negative coefficient, a congestion.

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm() + jko.Entropy()
    >>> result = jko.step(E, jko.Gaussian([1.0], [[1.0]]), tau=1.0)  # m / (1 + tau), and S stays
    >>> float(result.state.m), round(float(result.state.S), 12), result.coupling.proof.name
    (0.5, 1.0, 'AFFINE')
    """

    tol: float | None = None
    max_iterations: int = 200

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise over the affine maps."""
        base = checks.kind("the state of BuresNewton", problem.previous, NormalLaws)
        objective = AffineObjective(problem, base)
        start = objective.here
        if not start.finite:
            return _result(problem, start.energy, start, Status.NOT_FINITE, 0, 1)
        spot, status, iterations, evaluations = self._descend(objective, start)
        return _result(problem, start.energy, spot, status, iterations, evaluations)

    def _descend(self, objective: AffineObjective, spot: Mapped) -> tuple[Mapped, Status, int, int]:
        """Newton's method from a spot: where it ended, and the work."""
        learned = torch.zeros_like(objective.steady)
        reach, first = FAR * _reach(objective, spot), spot.residual
        evaluations = 1
        for iteration in range(self.max_iterations):
            if not float(spot.u.norm()) < reach or spot.value == -math.inf:
                return spot, Status.UNBOUNDED, iteration, evaluations
            if spot.residual <= (_least(spot, first)[0] if self.tol is None else self.tol):
                return spot, Status.CONVERGED, iteration, evaluations
            new, tried = _ahead(objective, spot, learned)
            evaluations += tried
            if new is None and bool(learned.any()):
                learned = torch.zeros_like(learned)  # what was learned far away may mislead here
                continue
            if new is None:
                calm = self.tol is None and spot.residual <= _least(spot, first)[1]
                return spot, Status.CONVERGED if calm else Status.STALLED, iteration, evaluations
            learned = _updated(
                learned, objective.curvature(new), new.u - spot.u, new.slope - spot.slope
            )
            spot = new
        return spot, Status.MAX_ITERATIONS, self.max_iterations, evaluations


def _reach(objective: AffineObjective, spot: Mapped) -> float:
    """A length beside which a step is long: that of the law and of the first slope."""
    spread = float(objective.maps.base.covariance().trace()) ** 0.5
    return spread + objective.problem.tau * spot.residual


def _least(spot: Mapped, first: float) -> tuple[float, float]:
    """The residuals at which to stop: what is asked for, and what rounding may leave of it."""
    eps = torch.finfo(spot.u.dtype).eps
    asked = max(eps**FRACTION * spot.scale, UNITS[0] * eps * first)
    return asked, max(eps**ROUNDED * spot.scale, UNITS[1] * eps * first)


def _ahead(objective: AffineObjective, spot: Mapped, learned: Tensor) -> tuple[Mapped | None, int]:
    """The spot that Newton's direction leads to, None if there is no better one; and the trials."""
    direction = _direction(objective, spot, learned)
    noise = rounding(spot.energy, spot.value, dtype=spot.u.dtype)

    def along(t: float) -> Mapped | None:
        found = objective.at(spot.u + t * direction)
        return found if found is not None and found.finite else None

    found = armijo(
        along,
        spot.value,
        float(spot.slope @ direction),
        noise=noise,
        drowned=lambda new: new.residual < 0.9 * spot.residual,
    )
    return found.point, found.trials


def _direction(objective: AffineObjective, spot: Mapped, learned: Tensor) -> Tensor:
    """``-M^-1 slope`` with the model M, made positive where it is not."""
    M = objective.curvature(spot) + learned
    factor, failed = torch.linalg.cholesky_ex(M)
    if int(failed) == 0:
        return -torch.cholesky_solve(spot.slope[:, None], factor)[:, 0]
    size, turn = torch.linalg.eigh(M)
    size = size.abs().clamp(min=FLAT / objective.problem.tau)
    return -turn @ ((turn.T @ spot.slope) / size)


def _updated(learned: Tensor, known: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """The symmetric update of rank one, after which ``known + learned`` maps the move s to y."""
    r = y - (known + learned) @ s
    along = float(r @ s)
    if abs(along) <= SKIPPED * float(r.norm() * s.norm()):
        return learned
    return learned + torch.outer(r, r) / along


def _result(
    problem: StepProblem,
    before: float,
    spot: Mapped,
    status: Status,
    iterations: int,
    evaluations: int,
) -> StepResult:
    cost = float(spot.u @ spot.u)
    return StepResult.of(
        problem,
        spot.state,
        energy=spot.energy,
        cost=cost,
        before=before,
        residual=spot.residual,
        iterations=iterations,
        evaluations=evaluations,
        status=status,
        coupling=_proof(problem, spot.state, cost) if status.ok else NO_PROOF,
        gap=Gap.unknown(OVER_ALL, spot.value),
        fields={"maps": spot.T},
    )


def _proof(problem: StepProblem, state: NormalLaws, cost: float) -> Certificate:
    """Of one normal law, that its map is optimal; of a mixture, a comparison with the best plan, when it is read."""
    if state.K == 1:
        return Certificate(Proof.AFFINE, 0.0, cost, None, True)

    def examined() -> Certificate:
        found = BuresWasserstein().distance(state, problem.previous)
        bound = max(cost - (found.upper - found.gap), 0.0)
        best = bound <= 1e-10 * cost
        return Certificate(Proof.COMPONENTS, bound, cost, None if best else found.plan, best)

    return OnRequest(examined, cost)
