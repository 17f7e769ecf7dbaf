"""``flow``: JKO steps one after another, with the ledger of what each one proved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jko import checks
from jko.energies import Energy
from jko.measures import KINDS, State
from jko.metrics import Metric
from jko.schemes import Implicit, Scheme
from jko.status import Status
from jko.steps import Memory, Solver, StepFailed, StepResult
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


class Entry(NamedTuple):
    """One step in the ledger; ``state`` is None where it is not kept."""

    t: float
    energy: float
    figures: dict[str, float | str]
    state: State | None
    memory: Memory


class Ledger:
    """The trajectory while it is being written."""

    def __init__(
        self,
        energy: Energy,
        start: State | Trajectory,
        save: int,
        checkpoint: str | Path | None,
        value: Callable[[Energy, State], float] | None = None,
    ) -> None:
        checks.kind("energy", energy, Energy)
        self.save, self.checkpoint, self.status = save, checkpoint, Status.CONVERGED
        if isinstance(start, Trajectory):
            self.entries = _entries(start)
        else:
            hint = "build it by jko.Particles(points) or jko.GridDensity(grid, values)"
            checks.kind("start", start, *KINDS, Trajectory, hint=hint)
            before = float(energy(start)) if value is None else value(energy, start)
            self.entries = [Entry(0.0, before, {}, start, {})]

    @property
    def steps(self) -> int:
        """Steps entered."""
        return len(self.entries) - 1

    @property
    def t(self) -> float:
        """Time reached."""
        return self.entries[-1].t

    @property
    def state(self) -> State:
        """The present state."""
        state = self.entries[-1].state
        assert state is not None
        return state

    @property
    def memory(self) -> Memory:
        """What the last solver left for the next."""
        return self.entries[-1].memory

    def enter(self, t: float, result: StepResult) -> None:
        """Enter a step, at once: an interruption finds all of it or nothing."""
        figures: dict[str, float | str] = {
            "costs": result.cost,
            "slacks": result.slack,
            "residuals": result.residual,
            "iterations": result.iterations,
            "evaluations": result.evaluations,
            "bounds": result.coupling.bound,
            "proofs": result.coupling.proof.name,
            **result.figures,
        }
        self.entries.append(Entry(t, result.energy, figures, result.state, result.memory))
        before = self.steps - 1
        old = self.entries[before]
        state = old.state if before % self.save == 0 else None
        self.entries[before] = old._replace(state=state, memory={})
        if self.checkpoint is not None and self.steps % self.save == 0:
            self.trajectory().save(self.checkpoint)

    def trajectory(self) -> Trajectory:
        """What has been entered so far; its last state is the present one."""
        entries = tuple(self.entries)
        names = entries[-1].figures
        return Trajectory(
            times=np.array([entry.t for entry in entries]),
            energies=np.array([entry.energy for entry in entries]),
            states=tuple(entry.state for entry in entries if entry.state is not None),
            kept=np.array([k for k, entry in enumerate(entries) if entry.state is not None]),
            columns={
                name: np.array([entry.figures[name] for entry in entries[1:]]) for name in names
            },
            status=self.status,
            memory=entries[-1].memory,
        )

    def close(self) -> Trajectory:
        """The finished trajectory, saved if asked for."""
        result = self.trajectory()
        if self.checkpoint is not None:
            result.save(self.checkpoint)
        return result


def _entries(start: Trajectory) -> list[Entry]:
    """The ledger of a trajectory that is to be continued."""
    count = len(start.times)
    if any(len(values) != count - 1 for values in start.columns.values()) or (
        count > 1 and not start.columns
    ):
        raise ValueError(
            "this trajectory has no figures of JKO steps (it is a limit equation's?), so a flow cannot continue it; "
            "start from its .final"
        )
    states = dict(zip(start.kept.tolist(), start.states, strict=True))
    rows = zip(*(values.tolist() for values in start.columns.values()), strict=True)
    figures = [{}, *(dict(zip(start.columns, row, strict=True)) for row in rows)]
    device = start.final.weights.device
    memory = {name: tensor.to(device) for name, tensor in start.memory.items()}
    return [
        Entry(
            float(start.times[k]),
            float(start.energies[k]),
            figures[k],
            states.get(k),
            memory if k == count - 1 else {},
        )
        for k in range(count)
    ]
