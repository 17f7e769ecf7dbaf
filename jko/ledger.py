"""The ledger of a flow: the trajectory while it is being written, and read back when a run is continued."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jko import checks
from jko.energies import Energy
from jko.measures import State
from jko.status import Status
from jko.steps import Memory, StepResult
from jko.storage.figures import Figures
from jko.storage.journal import Journal
from jko.storage.kept import HELD, Kept, kept
from jko.storage.places import Place, place, to_write
from jko.storage.scan import Source
from jko.storage.states import Arrays
from jko.trajectory import Trajectory

HALVINGS = "halvings"  # the column that says how often the step that was asked for was halved

Save = int | tuple[float, ...]  # every so many steps, or at these times
Row = dict[str, Any]


class Present(NamedTuple):
    """Where the flow is: everything that one step changes, replaced at once."""

    steps: int
    t: float
    energy: float
    state: State
    memory: Memory
    place: int = -1  # in the journal
    through: float = 0.0  # steps that were asked for, a halved one in parts
    row: Row = {}  # noqa: RUF012 (never changed): the figures of the last step

    def due(self, save: Save) -> bool:
        """Whether this state is one of every ``save``-th, or at one of these times; the start is."""
        if isinstance(save, int):
            return self.through % save == 0
        return self.steps == 0 or self.t in save


class Ledger:
    """The trajectory while it is being written; ``now`` is where the flow is.

    What a step costs here does not depend on how many came before: figures are appended to columns, and the state to
    the journal, if there is a checkpoint.  Then only the last ``hold`` states stay in memory.

    An interruption finds a step entered or not: what counts is ``now``, and the columns are read up to it.
    """

    def __init__(
        self,
        energy: Energy,
        start: State | Trajectory,
        save: Save,
        checkpoint: str | Path | None,
        value: Callable[[Energy, State], float],
        hold: int = HELD,
    ) -> None:
        checks.kind("energy", energy, Energy)
        self.save, self.hold, self.status = save, hold, Status.FINISHED
        self._path = None if checkpoint is None else to_write(checkpoint, "checkpoint")
        self._times, self._energies, self._figures = array("d"), array("d"), Figures()
        # of the kept states before the present one
        self._kept, self._places = array("q"), array("q")
        self._held: dict[int, State] = {}
        self._source: Source | None = None
        self._journal: Journal | None = None
        self._place: Place | None = None
        if isinstance(start, Trajectory):
            self._continue(start)
        else:
            hint = "build it by jko.Particles(points) or jko.GridDensity(grid, values)"
            checks.kind("start", start, State, Trajectory, hint=hint)
            before = value(energy, start)
            self._times.append(0.0)
            self._energies.append(before)
            self.now = Present(0, 0.0, before, start, {})
        self._begun = self.now.steps
        self._first = start.states if isinstance(start, Trajectory) else (start,)

    @property
    def alone(self) -> bool:
        """Whether this process can close the run by itself; else the others may be waiting elsewhere."""
        return self._place is None or self._place.alone

    def open(self) -> None:
        """Begin the checkpoint: the journal that the run came from goes on, any other gets what there is.

        Raises
        ------
        ValueError
            A place that cannot be written.
        """
        if self._path is None:
            return
        self._place = place(self._first[0], self._path)
        if self._source is not None:
            self._journal = Journal.resume(self._path, self._source)
        if self._journal is None:
            self._journal = Journal.begin(self._place.path, self._first[0])
            try:
                self._copy(self._journal)
            except BaseException:
                self._journal.abandon()
                raise
        self._source, self._first = self._journal.source, ()

    def _copy(self, journal: Journal) -> None:
        """Write all states that there are, one after the other."""
        last = len(self._kept)
        for j, state in enumerate(self._first):
            k = self._kept[j] if j < last else self.now.steps
            memory = _arrays(self.now.memory) if j == last else {}
            place = journal.step(self._rows(k), k, state, False, memory)
            if j < last:
                self._places[j] = place
            else:
                self.now = self.now._replace(place=place)

    def enter(self, t: float, result: StepResult, part: float = 1.0) -> None:
        """Enter a step, ``part`` of one that was asked for, at once: an interruption finds all of it or nothing."""
        k, coupling = self.now.steps + 1, result.coupling.known
        row = {
            "statuses": result.status.name,
            "costs": result.cost,
            "slacks": result.slack,
            "residuals": result.residual,
            "iterations": result.iterations,
            "evaluations": result.evaluations,
            "bounds": coupling.bound,
            "proofs": coupling.proof.name,
            **result.figures,
        }
        self._figures.enter(k - 1, row)
        for column, value in ((self._times, t), (self._energies, result.energy)):
            del column[k:]
            column.append(value)
        if self.now.due(self.save):
            self._keep(self.now)
        through = self.now.through + part
        self.now = Present(
            k, t, result.energy, result.state, result.memory, through=through, row=row
        )
        if self._journal is not None and self.now.due(self.save):
            self._write()
            self._settle()

    def _settle(self) -> None:
        """The checkpoint takes its place, in every process that writes a part of it."""
        assert self._journal is not None
        assert self._place is not None
        self._journal.settle()
        self._place.settled()

    def _keep(self, now: Present) -> None:
        """The present state stays when the next one comes."""
        count = self._count()
        del self._kept[count:], self._places[count:]
        self._kept.append(now.steps)
        self._places.append(now.place)
        self._held[count] = now.state
        while self._journal is not None and len(self._held) >= self.hold:
            del self._held[next(iter(self._held))]

    def _count(self) -> int:
        """Kept states before the present one."""
        count = len(self._kept)
        return count - 1 if count and self._kept[-1] >= self.now.steps else count

    def _write(self) -> None:
        """Append what the journal does not have yet."""
        journal, now = self._journal, self.now
        assert journal is not None
        if journal.tail.step < now.steps:
            count = self._count()
            drops = not count or self._kept[count - 1] != journal.tail.step
            place = journal.step(
                self._rows(now.steps), now.steps, now.state, drops, _arrays(now.memory)
            )
            self.now = now._replace(place=place)

    def _rows(self, k: int) -> Arrays:
        """The rows after the journal's last, up to step k."""
        assert self._journal is not None
        first = self._journal.tail.step + 1
        columns = self._figures.arrays(max(first - 1, 0), k)
        return {
            "times": np.array(self._times[first : k + 1]),
            "energies": np.array(self._energies[first : k + 1]),
            **{f"column/{name}": values for name, values in columns.items() if k},
        }

    def trajectory(self) -> Trajectory:
        """What has been entered so far, the present state last; it is read without a copy, so no step can follow."""
        now, count = self.now, self._count()
        held = {j: state for j, state in self._held.items() if j < count} | {count: now.state}
        places = np.append(np.asarray(self._places)[:count], now.place)
        return Trajectory(
            times=np.asarray(self._times)[: now.steps + 1],
            energies=np.asarray(self._energies)[: now.steps + 1],
            states=kept(places, held, self._source, self.hold),
            kept=np.append(np.asarray(self._kept)[:count], now.steps),
            columns=self._figures.whole(now.steps),
            status=self.status,
            memory=dict(now.memory),
        )

    def close(self) -> Trajectory:
        """The finished trajectory, saved if asked for.

        A run that fits into memory is saved as one archive; the journal of a longer one stays.
        """
        if self._journal is None:
            return self.trajectory()
        if self._count() < self.hold:
            result = self.trajectory()
            assert self._path is not None
            result.save(self._path)
            self._journal.abandon()
            self._journal = None
            return result
        self._write()
        self._journal.finish(self.status.name)
        self._settle()
        return self.trajectory()

    def fail(self, error: BaseException) -> None:
        """An error ends the flow: the trajectory so far goes with it, and is saved if asked for.

        The error that comes out is the first one, with a note on what there is, and where.
        """
        interrupted = isinstance(error, KeyboardInterrupt)
        self.status = Status.INTERRUPTED if interrupted else Status.ERROR
        note = f"the {self.now.steps} steps before this are in error.trajectory"
        try:
            error.trajectory = self.trajectory()  # type: ignore[attr-defined]
            if not self.alone:
                note += (
                    f"; jko.distributed.load({str(self._path)!r}) has what all processes have saved"
                )
            elif self._path is not None and (
                self.now.steps > self._begun or not self._path.exists()
            ):
                error.trajectory = self.close()  # type: ignore[attr-defined]
                note += f", and in {str(self._path)!r}"
        except BaseException as again:
            note += f"; saving them to {str(self._path)!r} failed, too: {str(again) or type(again).__name__}"
        finally:
            if self._journal is not None:
                self._journal.abandon()
        error.add_note(note)

    def _continue(self, start: Trajectory) -> None:
        """The ledger of a trajectory that is to be continued."""
        last = len(start.times) - 1
        if last and not start.columns:
            raise ValueError(
                "this trajectory has no figures of JKO steps (it is a limit equation's?), so a flow cannot continue "
                "it; start from its .final"
            )
        self._times.extend(start.times.tolist())
        self._energies.extend(start.energies.tolist())
        self._figures.extend(0, start.columns, last)
        self._kept.extend(start.kept[:-1].tolist())
        places, states = np.full(len(start.kept), -1), start.states
        if isinstance(states, Kept):
            places, self._source = states.places, states.source
        held = states.held if isinstance(states, Kept) else dict(enumerate(states))
        self._held = {j: state for j, state in held.items() if j < len(states) - 1}
        self._places.extend(places[:-1].tolist())
        final = start.final
        memory = {name: tensor.to(final.weights.device) for name, tensor in start.memory.items()}
        parts = np.nan_to_num(start.columns.get(HALVINGS, np.zeros(last)))
        row = {name: column[-1].item() for name, column in start.columns.items() if last}
        now = (last, self._times[-1], self._energies[-1], final, memory, int(places[-1]))
        self.now = Present(*now, float((0.5**parts).sum()), row)


def _arrays(memory: Memory) -> Arrays:
    return {f"memory/{name}": tensor.detach().cpu().numpy() for name, tensor in memory.items()}
