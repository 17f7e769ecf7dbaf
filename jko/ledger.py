"""The ledger of a flow: the trajectory while it is being written, and read back when a run is continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jko import checks
from jko.energies import Energy
from jko.measures import KINDS, State
from jko.status import Status
from jko.steps import Memory, StepResult
from jko.trajectory import Trajectory


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
        self.save, self.checkpoint, self.status = save, checkpoint, Status.FINISHED
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
    def energy(self) -> float:
        """The energy reached."""
        return self.entries[-1].energy

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
            "statuses": result.status.name,
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
        names = list(dict.fromkeys(name for entry in entries for name in entry.figures))
        return Trajectory(
            times=np.array([entry.t for entry in entries]),
            energies=np.array([entry.energy for entry in entries]),
            states=tuple(entry.state for entry in entries if entry.state is not None),
            kept=np.array([k for k, entry in enumerate(entries) if entry.state is not None]),
            columns={
                name: _column([entry.figures.get(name) for entry in entries[1:]]) for name in names
            },
            status=self.status,
            memory=dict(entries[-1].memory),
        )

    def fail(self, error: BaseException) -> None:
        """An error ends the flow: the trajectory so far goes with it, and is saved if asked for."""
        self.status = Status.ERROR
        error.trajectory = self.close()  # type: ignore[attr-defined]

    def close(self) -> Trajectory:
        """The finished trajectory, saved if asked for."""
        result = self.trajectory()
        if self.checkpoint is not None:
            result.save(self.checkpoint)
        return result


def _column(values: list[float | str | None]) -> np.ndarray:
    """A column; NaN or an empty string where another solver or scheme did not report it."""
    empty = "" if any(isinstance(value, str) for value in values) else np.nan
    return np.array([empty if value is None else value for value in values])


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
