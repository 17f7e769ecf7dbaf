"""``flow``: JKO steps one after another, with the ledger of what each one proved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from jko import checks
from jko.energies import Energy, check_variations
from jko.flows.adaptive import Adaptive
from jko.flows.clock import Goals, Pace, Tick
from jko.flows.greedy import Greedy
from jko.flows.pace import pace_of, saved
from jko.ledger import Ledger, Present
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.metrics import Metric
from jko.schemes import Implicit, Scheme
from jko.status import Status
from jko.steps import Memory, Solver, StepFailed, StepProblem, StepResult
from jko.steps.consistency import check_cost
from jko.steps.memory import Keep, Owned, edits, own, rounding
from jko.steps.natural import told
from jko.steps.result import judged
from jko.steps.solver import claimed, energy_by
from jko.storage.kept import HELD
from jko.trajectory import Trajectory

Observer = Callable[[int, float, StepResult], object]

SAME = 1e-8  # of the largest energy of a run: what two devices may differ by at one state


@on_numbers
def flow(
    energy: Energy,
    start: State | Trajectory,
    *,
    tau: float | Callable[[int], float] | Adaptive | Greedy,
    t1: float | None = None,
    steps: int | None = None,
    metric: Metric | None = None,
    solver: Solver | None = None,
    scheme: Scheme | None = None,
    retry: int = 0,
    save: int | Sequence[float] = 1,
    observers: Iterable[Observer] = (),
    checkpoint: str | Path | None = None,
    hold: int = HELD,
    throw: bool = True,
) -> Trajectory:
    """The JKO scheme: ``mu_{k+1}`` minimises ``energy(mu) + metric(mu, mu_k)^2 / (2 tau)``.

    As tau -> 0 it converges to the gradient flow: (3.7) for F in W2, (3.23) for G in D.

    Parameters
    ----------
    energy : Energy
        F for measures, G for :class:`ChargedParticles`.
    start : state or Trajectory
        Where to start; a trajectory is continued from its end, and the whole is returned.
    tau : float, callable, Adaptive or Greedy
        Time step, or k -> tau_k, k = 0, 1, ... counted from the very start; or what chooses each step by the one
        before: :class:`jko.Adaptive` to a tolerance, :class:`jko.Greedy` to train.
    t1 : float, optional
        End time (flow time of the whole trajectory); the last step is shortened to reach it.
    steps : int, optional
        Or the number of steps of the whole trajectory.  Exactly one of the two is needed.
    metric, solver
        As in :func:`jko.step`.
    scheme : Scheme
        Default :class:`jko.Implicit`, the JKO scheme itself.  Of second order in tau: :class:`jko.BDF2`, one solve a
        step; :class:`jko.ZEG`, whose energy never rises; :class:`jko.SDIRK2`; :class:`jko.Midpoint`.
    retry : int
        How often a step that fails is halved: it is made in two of half its length, each of them again in two where it
        fails, up to ``tau / 2**retry``.  The times that tau asks for are reached all the same; the step after a halved
        one begins halved once less.  Each part is a step of its own, a row of the trajectory, with its ``halvings`` in
        the column of this name; ``save`` and ``steps`` count the steps that were asked for.
    save : int
        Keep every ``save``-th state; the last one is always kept.
    observers : iterable of callables
        Each is called as ``observer(k, t, result)`` after step k (k = 1, 2, ...); StopIteration from it ends the flow,
        with status STOPPED or the one that it carries: ``StopIteration(jko.Status.AT_REST)``.
    checkpoint : path, optional
        Write the trajectory there whenever a state is kept, and at the end.  Resume by
        ``flow(energy, jko.Trajectory.load(path), ...)``: the bits are those of the run that was not interrupted.  A
        place that cannot be written is refused before the first step, and what is there stays until the first save.
        A save costs the same however many came before; it survives the death of the process, and after some
        seconds (or at the end) a power cut.  Of several flows with one checkpoint the last to save wins.
    hold : int
        With a checkpoint, how many of the last states stay in memory; ``run.states`` reads the others from the file
        when they are asked for.  A run of more states than that leaves a file that :meth:`Trajectory.load` reads in
        the same way; ``run.save`` makes one ``.npz`` of it.
    throw : bool
        Raise :class:`jko.StepFailed`, with the partial trajectory, when a step fails or tau is below the rounding of t;
        otherwise return that trajectory.

    Returns
    -------
    Trajectory
        Times, energies, states and the figures of each step.  ``status`` says how it ended: FINISHED at ``t1`` or after
        ``steps``; AT_REST or STOPPED by an observer; INTERRUPTED by Ctrl-C, which returns what there is.

    Raises
    ------
    StepFailed
        When a step is none.
    ValueError
        A trajectory of another energy, or an energy that changes while the flow runs: a ledger is of one energy.  Start
        from ``run.final`` for another; an energy that depends on time is stepped through by :func:`jko.step`.
    RuntimeError
        StopIteration from the energy, the solver or tau(k): only an observer's ends a flow.

    Whatever is raised after the first step has begun, ``error.trajectory`` holds everything before it.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, t1=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> [round(e, 6) for e in run.energies.tolist()]
    [0.5, 0.222222, 0.098765]
    """
    keeps = saved(save)
    goals = Goals.of(t1, steps, () if isinstance(keeps, int) else keeps)
    solver = None if solver is None else checks.able("solver", solver, "solve", "jko.LBFGS()")
    scheme = checks.able(
        "scheme", Implicit() if scheme is None else scheme, "advance", "jko.SDIRK2()"
    )
    checks.kind("throw", throw, bool)
    watchers = _watchers(observers)
    value = energy_by(solver)
    ledger = Ledger(energy, start, keeps, checkpoint, value, checks.count("hold", hold))
    pace = pace_of(tau, goals, retry, scheme, ledger.now.state)
    if isinstance(start, Trajectory):
        _of_this_energy(start, value(energy, start.final))
    if throw:
        check_variations(energy, ledger.now.state)
        if metric is not None:
            check_cost(StepProblem(energy, metric, ledger.now.state, 1.0))
    if goals.end < ledger.now.t:
        raise ValueError(
            f"t1 = {goals.end:g} lies before the time {ledger.now.t:g} already reached"
        )

    def advance(tick: Tick, memory: Memory) -> StepResult:
        state, by = ledger.now.state, told(solver, ledger.now.state, tick.residual)
        step = scheme.advance(energy, state, tau=tick.tau, metric=metric, solver=by, memory=memory)
        if type(scheme) is Implicit:  # its steps are those of jko.step, judged already
            return step
        return judged(step, claimed(solver))

    trajectory, failed = _recorded(ledger, lambda: _march(energy, ledger, pace, advance, watchers))
    if throw and (failed is not None or ledger.status is Status.CLOCK_STANDS):
        raise pace.gave_up(StepFailed(ledger.status, failed, trajectory))
    return trajectory


def _recorded(
    ledger: Ledger, march: Callable[[], tuple[Status, StepResult | None]]
) -> tuple[Trajectory, StepResult | None]:
    """What a march leaves in the ledger, and the step that failed; whatever ends it, nothing is lost."""
    failed: StepResult | None = None
    ledger.open()
    try:
        ledger.status = Status.INTERRUPTED  # until it ends otherwise: so says that of a killed run
        try:
            ledger.status, failed = march()
        except KeyboardInterrupt:
            if not ledger.alone:
                raise
        return ledger.close(), failed
    except BaseException as error:  # not ours to explain
        ledger.fail(error)
        raise


def _march(
    energy: Energy,
    ledger: Ledger,
    pace: Pace,
    advance: Callable[[Tick, Memory], StepResult],
    watchers: tuple[Observer, ...],
) -> tuple[Status, StepResult | None]:
    """Step until something ends it: how it ended, and the step that failed."""
    state = ledger.now.state  # whose processes decide together, where there are several
    watched = not state.every(not watchers)
    alone = state.every(not pace.asks and all(map(own, watchers)))  # no code of others
    fixed, seen = own(energy), edits(energy)
    keep = Keep(energy, sure=not ledger.now.memory)
    memory: Memory = Owned(ledger.now.memory, keep, ledger.now.state)
    while not pace.goals.reached(now := ledger.now):
        k = now.steps + 1
        try:
            tick = pace.next(now)
            if not tick.t > now.t:
                return Status.CLOCK_STANDS, None
            keep.open = True
            result = pace.weighed(now, tick, advance(tick, memory))
        except StopIteration as error:
            raise RuntimeError(
                f"step {k}: the energy, the solver or tau raised StopIteration, which is next() of an iterator that "
                "ran out; only an observer's StopIteration ends a flow. Give the iterator more, or stop by an observer"
            ) from error
        finally:
            keep.open = False
        if result is None:
            continue
        if not result.status.ok:
            return result.status, result
        if not keep.sure:
            _unchanged(now, result)
        ledger.enter(tick.t, result, tick.part)
        if watched and (ended := _agreed(state, _observed(watchers, k, tick.t, result))):
            return ended, None
        memory, keep.sure = result.memory, True
        del result  # and the state before it, while the next step is made
        if not alone and not state.every(fixed and edits(energy) == seen):
            keep.doubt()
    return Status.FINISHED, None


def _observed(
    watchers: tuple[Observer, ...], k: int, t: float, result: StepResult
) -> Status | None:
    """Show a step to the observers, up to one that ends the flow: with this status."""
    for observer in watchers:
        try:
            observer(k, t, result)
        except StopIteration as stop:
            return stop.value if isinstance(stop.value, Status) else Status.STOPPED
    return None


def _agreed(state: State, ended: Status | None) -> Status | None:
    """How the flow ends where the observers of any process end it."""
    known = [None, *Status]
    return known[int(state.largest(torch.tensor(known.index(ended))))]


def _watchers(observers: Any) -> tuple[Observer, ...]:
    watchers = checks.items("observers", observers)
    for j, observer in enumerate(watchers):
        if not callable(observer) or isinstance(observer, type):
            raise TypeError(
                f"observers[{j}] cannot be called: {observer!r}; pass functions (k, t, result)"
            )
    return watchers


def _of_this_energy(run: Trajectory, value: float) -> None:
    """Refuse a run of another energy: two energies have no common ledger."""
    last, size = float(run.energies[-1]), float(abs(run.energies).max())
    size = max(size, abs(value))
    if not abs(value - last) <= max(SAME * size, rounding(size, dtype=run.final.weights.dtype)):
        raise ValueError(
            f"the trajectory ends with the energy {last:.9g}, but its last state has the energy {value:.9g}: it is the "
            "run of another energy, of a solver that counts otherwise (jko.Sinkhorn), or its states were changed; "
            "for a new run start from its .final"
        )


def _unchanged(now: Present, result: StepResult) -> None:
    """Refuse an energy that is another than it was when the last step ended."""
    if result.problem.previous is not now.state:
        return  # of a scheme that accounts otherwise
    last, again, half = now.energy, result.before, result.cost / (2 * result.problem.tau)
    size = max(abs(last), abs(again), half)
    if not abs(again - last) <= max(SAME * size, rounding(size, dtype=now.state.weights.dtype)):
        raise ValueError(
            f"the energy changed while the flow ran: step {now.steps} ended with {last:.9g}, now it is {again:.9g} at "
            "the same state. A flow has one energy; step through one that depends on time by jko.step, in a loop"
        )
