"""What ``torchrun`` changes of a command: the neurons are shared, and the first process alone writes and speaks."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import jko
from jko import distributed
from jko.distributed import Sharded, together, told
from jko.distributed.sharded import SHARDS
from jko.measures import State

ENDED = "interrupted, or another process has ended"

T = TypeVar("T")


def join() -> None:
    """Join the other processes, if there are any; one that is told to end says so as if from the keyboard."""
    if distributed.launched():
        distributed.start()
        signal.signal(signal.SIGTERM, _end)


def _end(*_: object) -> None:
    """torchrun ends the others when one process has died: they stop as if from the keyboard, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt(ENDED)


def first() -> bool:
    """Whether this is the process that speaks."""
    return distributed.rank() == 0


def by_first(action: Callable[[], T]) -> T:
    """What the first process does, for all: they get what it made, or end with it."""
    return told(together(lambda: action() if first() else None))  # type: ignore[return-value]


def shared(start: State, run: jko.Trajectory | None = None) -> State:
    """The neurons over the processes there are, cut as those of ``run``; as they are where there is one process."""
    whose = None if run is None else run.final
    if not isinstance(whose, Sharded) and distributed.count() == 1:
        return start
    if not isinstance(start, jko.Particles):
        raise ValueError("--formulation graph runs in one process; leave torchrun out")
    shards = whose.shards if isinstance(whose, Sharded) else math.lcm(SHARDS, distributed.count())
    return Sharded(start.points, start.weights, start.domain, shards)


def saved(path: Path) -> jko.Trajectory:
    """The run that is saved there, by one process or by several."""
    if distributed.count() > 1 or distributed.manifest(path):
        return distributed.load(path)
    return jko.Trajectory.load(path)


def ends(run: jko.Trajectory) -> jko.Trajectory:
    """The run with its first and last states alone, whole ones; as it is where no state is shared."""
    if not isinstance(run.final, Sharded):
        return run
    marks = sorted({0, len(run.states) - 1})
    states = tuple(distributed.gathered(run.states[j]) for j in marks)
    return replace(run, states=states, kept=run.kept[marks], memory={})
