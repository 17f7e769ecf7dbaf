"""``flow``: JKO steps one after another, with the ledger of what each one proved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from jko import checks
from jko.energies import Energy, check_variations
from jko.ledger import Ledger
from jko.measures import State
from jko.metrics import Metric
from jko.schemes import Implicit, Scheme
from jko.status import Status
from jko.steps import Solver, StepFailed, StepResult
from jko.trajectory import Trajectory

Observer = Callable[[int, float, StepResult], object]


def flow(
    energy: Energy,
    start: State | Trajectory,
    *,
    tau: float | Callable[[int], float],
    t1: float | None = None,
    steps: int | None = None,
    metric: Metric | None = None,
    solver: Solver | None = None,
    scheme: Scheme | None = None,
    save: int = 1,
    observers: Iterable[Observer] = (),
    checkpoint: str | Path | None = None,
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
    tau : float or callable
        Time step, or k -> tau_k, k = 0, 1, ... counted from the very start.
    t1 : float, optional
        End time (flow time of the whole trajectory); the last step is shortened to reach it.
    steps : int, optional
        Or the number of steps of the whole trajectory.  Exactly one of the two is needed.
    metric, solver
        As in :func:`jko.step`.
    scheme : Scheme
        Default :class:`jko.Implicit`, the JKO scheme itself; :class:`jko.SDIRK2` is of second order in tau.
    save : int
        Keep every ``save``-th state; the last one is always kept.
    observers : iterable of callables
        Each is called as ``observer(k, t, result)`` after step k (k = 1, 2, ...); StopIteration from it ends the flow.
    checkpoint : path, optional
        Write the trajectory there whenever a state is kept, and at the end.  Resume by
        ``flow(energy, jko.Trajectory.load(path), ...)``: the bits are those of the run that was not interrupted.
    throw : bool
        Raise :class:`jko.StepFailed`, with the partial trajectory, when a step fails; otherwise return that trajectory.

    Returns
    -------
    Trajectory
        Times, energies, states and the figures of each step.  Ctrl-C returns what there is, with status INTERRUPTED.

    Raises
    ------
    StepFailed
        When a step is none; ``error.trajectory`` holds everything before it.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, t1=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> [round(e, 6) for e in run.energies.tolist()]
    [0.5, 0.222222, 0.098765]
    """
    if (t1 is None) == (steps is None):
        raise TypeError("flow needs exactly one of t1 (end time) and steps (number of steps)")
    end = float("inf") if t1 is None else checks.number("t1", t1)
    count = float("inf") if steps is None else checks.count("steps", steps, least=0)
    time_step = tau if callable(tau) else _constant(checks.number("tau", tau, above=0))
    value = getattr(
        solver, "value", None
    )  # of solvers that know more of the energy than the state does
    ledger = Ledger(energy, start, checks.count("save", save), checkpoint, value)
    if throw:
        check_variations(energy, ledger.state)
    observers, failed = tuple(observers), None
    scheme = Implicit() if scheme is None else scheme
    if t1 is not None and t1 < ledger.t:
        raise ValueError(f"t1 = {t1:g} lies before the time {ledger.t:g} already reached")
    try:
        while ledger.steps < count and ledger.t < end:
            k = ledger.steps + 1
            h = checks.number(f"tau({k - 1})", time_step(k - 1), above=0)
            last = end - ledger.t <= h * (1 + 1e-9)
            h = end - ledger.t if last and end - ledger.t < h * (1 - 1e-9) else h
            result = scheme.advance(
                energy, ledger.state, tau=h, metric=metric, solver=solver, memory=ledger.memory
            )
            if not result.status.ok:
                ledger.status, failed = result.status, result
                break
            ledger.enter(end if last else ledger.t + h, result)
            for observer in observers:
                observer(k, ledger.t, result)
    except StopIteration:
        ledger.status = Status.STOPPED
    except KeyboardInterrupt:
        ledger.status = Status.INTERRUPTED
    except Exception:  # of an observer or a callable: not ours to explain, but nothing is lost
        ledger.status = Status.STOPPED
        if ledger.steps:
            ledger.close()
        raise
    trajectory = ledger.close()
    if failed is not None and throw:
        raise StepFailed(failed.status, failed, trajectory)
    return trajectory


def _constant(tau: float) -> Callable[[int], float]:
    return lambda k: tau
