"""``FrankWolfe``: the minimum of a step over all measures, atoms free to split, with its duality gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko import checks
from jko.duality import obstacle, step_gap
from jko.energies import Energy
from jko.measures import State
from jko.metrics import NO_PROOF, Certificate, as_array, examined
from jko.shown import Shown
from jko.spaces import Box, Domain
from jko.status import Status
from jko.steps.frankwolfe.pieces import PlanValue, Portions, Sources
from jko.steps.frankwolfe.rounds import Round, Rounds
from jko.steps.lagrangian import refuse_cells
from jko.steps.lbfgs import LBFGS
from jko.steps.plans import in_pieces
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

REPLANS = 3  # times that an exact plan may replace the one that was found
SAME = 1e-12  # of the energy: what a dual bound that was found otherwise may differ by


@dataclass(frozen=True)
class FrankWolfe(Shown):
    """Fully corrective Frank-Wolfe over all of P2: the global minimum of a step, where the energy is convex in mu.

    Each round linearises the energy, finds where every atom of mu_k would go (candidate clouds, then Newton's method in
    a batch, w eliminated in networks), offers these places to the atoms that gain by them, solves for the masses, and
    then slides all positions and masses at once.  Atoms split and merge; what no atom gains is the duality gap.

    Parameters
    ----------
    gap
        Stop when the duality gap is at most ``gap`` times ``|E|``, the larger of before and after the step.
    max_iterations
        Rounds, at most.
    seconds
        Wall clock time, at most; looked at after each round.  None: no limit.
    prove
        Enclose the inner minima before the step ends, where bounds on derivatives are known (tanh, sigmoid, bumps with
        ``lam * jko.SquaredNorm()``, up to three dimensions of theta): then ``result.gap.rigorous`` is True.
    watch
        Called with each :class:`jko.steps.frankwolfe.Round`: ``watch=print`` shows how it goes.  StopIteration from it
        ends the search.

    Notes
    -----
    ``mu -> E(mu) + W2^2(mu, mu_k) / (2 tau)`` is convex for the linear structure if E is.  So with the first variation
    phi at any mu, and portions p_a of the atoms i_a at z_a,

    ``objective - min <= sum_a p_a [v_a(z_a) - min_z v_a(z)]``,    ``v_a(z) = phi(z) + |z - y_{i_a}|^2 / (2 tau)``.

    The step begins with that of :class:`jko.LBFGS` and is never worse; it finds lower minima of many atoms also where
    no atom splits.  The new weights are those of the portions.  ``result.gap`` is the certificate, ``figures`` has
    ``gap``, ``atoms`` and ``splits``, the number of atoms that were divided.  Without ``prove`` the inner minima are
    the lowest that many local minimisations found, and the gap is as good as these.

    CONVERGED: the gap is small enough.  STALLED: nothing lowered the objective any more (rounding), or inner minima
    sit at kinks (ReLU), where local minimisations may end too early, so that the gap is too low.  MAX_ITERATIONS:
    rounds or time ran out; the step is as good as it got, and ``throw=False`` gives it.  Without a potential the
    linearised problem may have no minimum; then the certificate is that of other prices: :func:`jko.duality.step_gap`.

    Energies: sums of risks with a loss whose conjugate is known (squared, :class:`jko.Logistic`), potentials, and
    terms declared convex in the measure; atoms, in all of space or in a :class:`jko.Box`.

    Source: survey 2.2.1, Remark 2.1; the method is that of Bredies and Pikkarainen, ESAIM: COCV 19 (2013) 190-218, with
    the sliding of Denoyelle, Duval, Peyre and Soubies, Inverse Problems 36 (2020) 014001.

    Examples
    --------
    >>> import jko
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
    >>> F = jko.Risk(data, features=lambda xi, x: (1 - x.T) * xi**2 + x.T * xi)
    >>> result = jko.step(F, jko.Particles([[0.0]]), tau=2.0, solver=jko.FrankWolfe())
    >>> round(result.objective, 9), len(result.state.weights)  # 7/32: the atom goes to both sides
    (0.21875, 3)
    """

    gap: float = 1e-9
    max_iterations: int = 100
    seconds: float | None = None
    prove: bool = False
    watch: Callable[[Round], object] | None = None

    def __post_init__(self) -> None:
        checks.number("gap", self.gap, above=0)
        checks.count("max_iterations", self.max_iterations)
        if self.seconds is not None:
            checks.number("seconds", self.seconds, above=0)
        checks.kind("prove", self.prove, bool)
        if self.watch is not None and not callable(self.watch):
            raise TypeError(f"watch must be a function of a Round, not {type(self.watch).__name__}")

    def solve(self, problem: StepProblem) -> StepResult:
        """The Lagrangian step, then rounds until the gap is closed; the plan that was found is certified."""
        refuse_cells(problem.previous)
        refuse_unfit("FrankWolfe", problem.energy, problem.base.domain)
        base, before = problem.base, float(problem.before.value)
        held = torch.nonzero(base.weights > 0).flatten()
        first = LBFGS(examine=False).solve(problem)
        points = first.state.atoms.points if first.status.ok else base.points
        sources = Sources(problem.energy, base.points, base.weights, 1 / problem.tau, base.domain)
        plan = Portions(points[held], held, base.weights[held])
        search = self.searched(sources, plan, max(abs(before), abs(first.energy)))
        status = search.run(self.max_iterations, self.seconds, self.watch)
        return _result(problem, first, search, status)

    def searched(self, sources: Sources, plan: Portions, size: float) -> Rounds:
        """The rounds from a first plan, of an energy of this size."""
        size = size if math.isfinite(size) else 0.0
        least = max(self.gap, torch.finfo(plan.points.dtype).eps)
        return Rounds(sources, plan, least * size, self.prove)


def refuse_unfit(name: str, energy: Energy, domain: Domain | None) -> None:
    """Refuse what is not convex in the measure, and domains in which portions cannot slide.

    Raises
    ------
    ValueError
        With the sentence that says what to take instead.
    """
    if why := obstacle(energy):
        raise ValueError(
            f"{name} minimises over all measures, for energies that are convex in the measure; {why}. "
            "jko.LBFGS() steps with any energy"
        )
    if domain is not None and not isinstance(domain, Box):
        raise ValueError(
            f"{name} moves atoms in all of space or in a jko.Box, not in {domain!r}; jko.steps.Plans() keeps to any "
            "domain"
        )


def _result(problem: StepProblem, first: StepResult, search: Rounds, status: Status) -> StepResult:
    """The step to the portions, written from the same mu_k with its atoms listed by portions."""
    there, at, coupling = _certified(problem, search)
    plan, sources = search.plan, search.sources
    known, energy = coupling.known, float(at.energy.value)
    if status.ok and not known.optimal:
        status = Status.COUPLING_NOT_OPTIMAL
    state: State = there.previous
    try:
        state = there.state(plan.points)
    except ValueError:
        status = Status.NOT_A_GRAPH
    certificate = search.certificate
    if not math.isfinite(certificate.value):
        certificate = step_gap(
            problem.energy, problem.base, problem.tau, sources.measure(plan), at.value
        )
        closed = certificate.value <= max(search.target, SAME * abs(at.value))
        status = Status.CONVERGED if closed and status is Status.STALLED else status
    return StepResult.of(
        there,
        state,
        energy=energy,
        cost=sources.cost(plan),
        before=float(problem.before.value),
        residual=_residual(problem, plan, at.by_point),
        iterations=first.iterations + len(search.rounds) - 1,
        evaluations=first.evaluations + search.evaluations,
        status=status,
        coupling=coupling,
        memory=at.energy._asdict(),
        gap=certificate,
        figures={
            "gap": certificate.value,
            "atoms": float(len(plan.block)),
            "splits": float((torch.bincount(plan.block) > 1).sum()),
        },
    )


def _certified(problem: StepProblem, search: Rounds) -> tuple[StepProblem, PlanValue, Certificate]:
    """The problem with its atoms in portions, and the proof of its plan; better plans are taken up."""
    certificate = NO_PROOF
    for _ in range(REPLANS):
        plan = search.plan
        there = replace(
            problem, previous=in_pieces(problem.previous, plan.block, plan.masses), memory={}
        )
        at, base = search.sources.at(plan), there.base
        x, y = as_array(plan.points), as_array(base.points)
        certificate = examined(base, x, y, as_array(problem.tau * at.energy.variation))
        better = certificate.plan
        if certificate.known.optimal or better is None:
            break
        rows, cols = (
            torch.from_numpy(index).to(plan.block) for index in (better.rows, better.cols)
        )
        mass = torch.from_numpy(better.mass).to(plan.masses)
        search.replan(plan.points[rows], plan.block[cols], mass)
    return there, at, certificate


def _residual(problem: StepProblem, plan: Portions, slope: Tensor) -> float:
    """L2(mu) norm of the natural residual."""
    domain, tau = problem.base.domain, problem.tau
    if domain is not None:
        slope = (plan.points - domain.project(plan.points - tau * slope)) / tau
    return math.sqrt(float(plan.masses @ slope.square().sum(1)))
