"""``check_solver``: what a step promises, whatever made it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from jko import checks
from jko.measures import ChargedParticles, Particles, State
from jko.metrics import Proof
from jko.status import Status
from jko.steps.memory import rounding
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult
from jko.steps.solver import Solver, claimed, energy_by
from jko.testing import samples
from jko.testing.promises import accepted, promise

SPARE = 1e-6  # relative: of energies and costs that are computed in two ways
ESTIMATES = {
    Proof.ACTION,
    Proof.ENTROPIC,
    Proof.NONE,
}  # proofs of costs that are not the squared distance
AGREE = 1e-4  # of the fall of the objective: what a memory may change by stopping elsewhere ...
MARGIN = 10  # ... beside tau residual^2 / 2, by which an objective with curvature 1 / tau is off, and its tolerance


def check_solver(solver: Solver, problems: Sequence[StepProblem] | None = None) -> None:
    """Hold a solver to its contract.

    - The result is a step of the problem, of the kind of its base point, of mass one, with an ok status.
    - ``energy`` and ``cost`` are those of the state, objective and slack follow from them, and what ``falls`` says has
      fallen; a step that can lower the objective does.
    - CONVERGED says that the residual is at most the ``tol`` of the solver; of a map of atoms it is also measured here.
    - The same problem gives the same bits, and nothing that was handed in is changed.
    - A memory changes the work, never the problem: with it and without, the next objective is the same.

    Parameters
    ----------
    solver
        What has a method ``solve(problem)``.
    problems : sequence of StepProblem, optional
        That it should solve; default smooth ones of atoms, of a pair, and of densities, that it does not refuse.

    Raises
    ------
    BrokenPromise
        The first promise that does not hold.

    Examples
    --------
    >>> import jko
    >>> from jko.testing import check_solver
    >>> check_solver(jko.LBFGS())
    """
    checks.able("solver", solver, "solve", "jko.LBFGS()")
    if problems is None:
        problems = accepted(samples.problems(), solver.solve, solver, "solve")
    for problem in problems:
        _solves(solver, problem)


def _solves(solver: Solver, problem: StepProblem) -> None:
    before = _bits(problem.previous)
    result = solver.solve(problem)
    said = f"gives a {type(result).__name__}; build it by StepResult.of(problem, state, ...)"
    promise(isinstance(result, StepResult), solver, "solve", said)
    promise(
        _same_problem(result.problem, problem),
        solver,
        "solve",
        "gives the result of another problem",
    )
    said = f"ends a smooth step as {result.status.name}: {result.status.value}"
    promise(result.status.ok, solver, "solve", said)
    said = "has changed the tensors of the base point in place; make new ones"
    promise(_equal(before, _bits(problem.previous)), solver, "solve", said)
    _state(solver, result)
    _energies(solver, result)
    _cost(solver, result)
    _residual(solver, result)
    _repeats(solver, result)
    _memory(solver, result)


def _same_problem(one: StepProblem, other: StepProblem) -> bool:
    """The same, perhaps with the atoms of its base point written in pieces."""
    if one.energy is not other.energy or one.metric is not other.metric or one.tau != other.tau:
        return False
    if one.previous is other.previous:
        return True
    near = float(one.metric.distance(one.previous, other.previous))
    return near <= SPARE * float(other.base.covariance().trace()) ** 0.5


def _bits(state: State) -> list[Tensor]:
    atoms = state.atoms
    return [atoms.points.clone(), atoms.weights.clone()]


def _equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def _state(solver: Solver, result: StepResult) -> None:
    state, previous = result.state, result.problem.previous
    kind, wanted = type(state).__name__, type(previous).__name__
    said = f"gives a {kind} from a {wanted}; keep the kind: problem.state(points), or previous.weighed(masses)"
    alike = type(state) is type(previous) or _may_change(solver, state)
    promise(alike, solver, "solve", said)
    mass = float(state.mass)
    said = f"gives a state of mass {mass:.10g}; it is one, without renormalising what was lost"
    promise(abs(mass - 1) <= checks.WEIGHT_TOLERANCE[state.weights.dtype], solver, "solve", said)
    promise(state.is_finite, solver, "solve", "gives a state that is not finite, with an ok status")


def _may_change(solver: Solver, state: State) -> bool:
    """A solver over all measures on a support of its own gives atoms there."""
    support = getattr(solver, "support", None)
    return support is not None and isinstance(state, Particles | ChargedParticles)


def _energies(solver: Solver, result: StepResult) -> None:
    problem, value = result.problem, energy_by(solver)
    energy, before = (value(problem.energy, s) for s in (result.state, problem.previous))
    spare = SPARE * max(abs(energy), abs(before), 1e-12)
    said = f"reports the energy {result.energy:.10g}; that of its state is {energy:.10g}"
    promise(abs(result.energy - energy) <= spare, solver, "solve", said)
    objective = result.energy + result.cost / (2 * problem.tau)
    said = f"reports the objective {result.objective:.10g}; energy + cost / (2 tau) is {objective:.10g}"
    promise(abs(result.objective - objective) <= spare, solver, "solve", said)
    said = (
        f"reports the slack {result.slack:.10g}; the energy before less the objective is {before - objective:.10g}: "
        "before= is the energy of the base point"
    )
    promise(abs(result.slack - (before - objective)) <= spare, solver, "solve", said)
    eps = rounding(before, energy, dtype=result.state.weights.dtype)
    if result.falls is Falls.OBJECTIVE:
        said = f"raises the objective by {-result.slack:.6g}; a minimiser is at most as high as the base point"
        promise(result.slack >= -eps, solver, "solve", said)
    elif result.falls is Falls.ENERGY:
        said = f"raises the energy from {before:.10g} to {energy:.10g}"
        promise(energy - before <= eps, solver, "solve", said)
    _moves(solver, result)


def _moves(solver: Solver, result: StepResult) -> None:
    """A step that can go down does."""
    problem = result.problem
    if not isinstance(problem.previous, Particles | ChargedParticles):
        return
    speed = problem.norm(problem.raised(problem.before.gradient))
    stays = (
        _equal(_bits(result.state), _bits(problem.previous))
        if result.state.N == problem.previous.N
        else False
    )
    said = f"stays where it was, though the gradient there has the norm {speed:.3g}"
    promise(not (stays and speed > 1e-3), solver, "solve", said)


def _cost(solver: Solver, result: StepResult) -> None:
    problem, proof = result.problem, result.coupling.proof
    promise(result.cost >= 0, solver, "solve", f"reports the cost {result.cost:g}, negative")
    if proof in ESTIMATES or not isinstance(problem.previous, Particles | ChargedParticles):
        return
    squared = float(problem.metric.distance(result.state, problem.previous).squared)
    said = f"reports the cost {result.cost:.10g}, below the squared distance {squared:.10g} of its two states"
    promise(result.cost >= squared * (1 - SPARE) - 1e-12, solver, "solve", said)
    own = [squared]
    if result.state.N == problem.previous.N:
        own.append(float(problem.metric.cost(result.state, problem.previous)))
    said = f"reports the cost {result.cost:.10g}; that of its state is {own[-1]:.10g} (the metric's), or {squared:.10g}"
    near = any(math.isclose(result.cost, c, rel_tol=SPARE, abs_tol=1e-12) for c in own)
    promise(near, solver, "solve", said)
    bound = result.cost - squared
    if result.coupling.optimal:
        said = f"says that its coupling is optimal, but a cheaper one saves {bound:.3g}"
        promise(bound <= SPARE * result.cost + 1e-12, solver, "solve", said)


def _residual(solver: Solver, result: StepResult) -> None:
    if result.status is not Status.CONVERGED:
        return
    tol = claimed(solver)
    said = f"is CONVERGED with the residual {result.residual:.3g}, above its tol = {tol:g}"
    promise(result.residual <= tol, solver, "solve", said)
    problem, state = result.problem, result.state
    mapped = (
        isinstance(problem.previous, Particles | ChargedParticles) and state.N == problem.base.N
    )
    if not mapped or problem.base.domain is not None or problem.metric.factors(state.dim) is None:
        return
    move = state.atoms.points - problem.base.points
    if not math.isclose(problem.square(move), result.cost, rel_tol=SPARE):
        return
    slope = problem.raised(problem.energy.gradient(state.atoms).detach()) + move / problem.tau
    found = problem.norm(slope)
    scale = problem.norm(move) / problem.tau
    said = (
        f"is CONVERGED with the residual {result.residual:.3g}, but at its state grad dE/dmu + (T - id) / tau has the "
        f"norm {found:.3g}"
    )
    spare = max(10 * result.residual, 10 * min(tol, 1e-3 * scale), 1e-9 * scale)
    promise(found <= spare, solver, "solve", said)


def _repeats(solver: Solver, result: StepResult) -> None:
    problem = result.problem
    again = solver.solve(replace(problem))
    one, other = (_bits(r.state) for r in (result, again))
    equal = _equal(one, other) and (result.energy, result.cost) == (again.energy, again.cost)
    said = (
        "gives other bits for the same problem; nothing is drawn at random, and what is worth keeping goes into the "
        "memory of the result"
    )
    promise(equal, solver, "solve", said)


def _memory(solver: Solver, result: StepResult) -> None:
    problem = result.problem
    memory = {name: t.clone() for name, t in result.memory.items()}
    with_it, without = (
        solver.solve(StepProblem(problem.energy, problem.metric, result.state, problem.tau, m))
        for m in (dict(result.memory), {})
    )
    said = f"changes the memory it was handed in place: {sorted(memory)}"
    promise(all(torch.equal(memory[k], result.memory[k]) for k in memory), solver, "solve", said)
    apart = abs(with_it.objective - without.objective)
    stopped = MARGIN * problem.tau * (with_it.residual**2 + without.residual**2)
    tol = claimed(solver)
    loose = max(AGREE, MARGIN * tol) if math.isfinite(tol) else AGREE
    size = abs(without.slack) + abs(without.objective)
    spare = stopped + loose * size
    said = (
        f"minimises to {with_it.objective:.10g} with the memory of the step before, and to {without.objective:.10g} "
        "without; a memory may change the work, never the problem"
    )
    promise(apart <= spare, solver, "solve", said)
