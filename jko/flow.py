"""``flow``: JKO steps one after another, with the ledger of what each one proved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from jko import checks
from jko.energies import Energy
from jko.measures import ChargedParticles, Particles, State
from jko.metrics import Metric
from jko.status import Status
from jko.steps import Memory, Solver, StepFailed, StepResult, step
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
        F for :class:`Particles`, G for :class:`ChargedParticles`.
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
    ledger = Ledger(energy, start, checks.count("save", save), checkpoint)
    observers, failed = tuple(observers), None
    if t1 is not None and t1 < ledger.t:
        raise ValueError(f"t1 = {t1:g} lies before the time {ledger.t:g} already reached")
    try:
        while len(ledger.times) - 1 < count and ledger.t < end:
            k = len(ledger.times)
            h = checks.number(f"tau({k - 1})", time_step(k - 1), above=0)
            last = end - ledger.t <= h * (1 + 1e-9)
            h = end - ledger.t if last and end - ledger.t < h * (1 - 1e-9) else h
            result = step(
                energy,
                ledger.state,
                tau=h,
                metric=metric,
                solver=solver,
                throw=False,
                memory=ledger.memory,
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
        if len(ledger.times) > 1:
            ledger.close()
        raise
    trajectory = ledger.close()
    if failed is not None and throw:
        raise StepFailed(failed.status, failed, trajectory)
    return trajectory


def _constant(tau: float) -> Callable[[int], float]:
    return lambda k: tau


class Ledger:
    """The trajectory while it is being written."""

    def __init__(
        self, energy: Energy, start: State | Trajectory, save: int, checkpoint: str | Path | None
    ) -> None:
        self.save, self.checkpoint, self.status = save, checkpoint, Status.CONVERGED
        self.columns: dict[str, list[float | str]] = {}
        if isinstance(start, Trajectory):
            self.times, self.energies = start.times.tolist(), start.energies.tolist()
            self.states, self.kept, self.state = (
                list(start.states),
                start.kept.tolist(),
                start.final,
            )
            self.columns = {name: values.tolist() for name, values in start.columns.items()}
            self.memory: Memory = {
                name: tensor.to(_device(self.state)) for name, tensor in start.memory.items()
            }
            if self.kept[-1] % save and len(self.kept) > 1:  # kept only because it was the end
                self.states.pop()
                self.kept.pop()
        else:
            checks.kind(
                "start",
                start,
                Particles,
                ChargedParticles,
                Trajectory,
                hint="build it by jko.Particles(points)",
            )
            checks.kind("energy", energy, Energy)
            self.times, self.energies = [0.0], [float(energy(start))]
            self.states, self.kept, self.state, self.memory = [start], [0], start, {}

    @property
    def t(self) -> float:
        """Time reached."""
        return self.times[-1]

    def enter(self, t: float, result: StepResult) -> None:
        """Enter a step."""
        self.times.append(t)
        self.energies.append(result.energy)
        self.state, self.memory = result.state, result.memory
        figures: dict[str, float | str] = {
            "costs": result.cost,
            "slacks": result.slack,
            "residuals": result.residual,
            "iterations": result.iterations,
            "evaluations": result.evaluations,
            "bounds": result.coupling.bound,
            "proofs": result.coupling.proof.name,
        }
        for name, figure in figures.items():
            self.columns.setdefault(name, []).append(figure)
        if (len(self.times) - 1) % self.save == 0:
            self.keep()
            if self.checkpoint is not None:
                self.trajectory().save(self.checkpoint)

    def keep(self) -> None:
        """Keep the present state."""
        if self.kept[-1] != len(self.times) - 1:
            self.states.append(self.state)
            self.kept.append(len(self.times) - 1)

    def trajectory(self) -> Trajectory:
        """What has been entered so far; its last state is the present one."""
        self.keep()
        columns = {name: np.array(values) for name, values in self.columns.items()}
        return Trajectory(
            np.array(self.times),
            np.array(self.energies),
            tuple(self.states),
            np.array(self.kept),
            columns,
            self.status,
            self.memory,
        )

    def close(self) -> Trajectory:
        """The finished trajectory, saved if asked for."""
        result = self.trajectory()
        if self.checkpoint is not None:
            result.save(self.checkpoint)
        return result


def _device(state: State) -> str:
    return str(state.weights.device)
