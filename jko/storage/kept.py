"""The states of a run, of which only some are in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from jko.measures import State
from jko.storage.scan import Source


class Kept(Sequence[State]):
    """A sequence of states that reads from a journal what it does not hold.

    Parameters
    ----------
    places : (S,)
        Where the journal has each state.
    held : mapping of int to state
        Those in memory, by their number in the sequence.
    source : Source
        The journal.
    """

    def __init__(self, places: np.ndarray, held: Mapping[int, State], source: Source) -> None:
        self.places, self.held, self.source = places, dict(held), source

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, j: int) -> State: ...

    @overload
    def __getitem__(self, j: slice) -> Sequence[State]: ...

    def __getitem__(self, j: int | slice) -> State | Sequence[State]:
        if isinstance(j, slice):
            numbers = range(len(self))[j]
            held = {new: self.held[k] for new, k in enumerate(numbers) if k in self.held}
            return Kept(self.places[j], held, self.source)
        j = range(len(self))[j]
        return self.held[j] if j in self.held else self.source.state(int(self.places[j]))

    def __repr__(self) -> str:
        return f"<{len(self)} states, {len(self) - len(self.held)} of them on disk>"

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


HELD = 100  # states that a run with a checkpoint holds in memory


def kept(
    places: np.ndarray, held: Mapping[int, State], source: Source | None, hold: int = HELD
) -> Sequence[State]:
    """The states at ``places``: up to ``hold`` as a tuple, more as those that are held, and the rest on disk."""
    if source is None or len(held) == len(places):
        return tuple(held[j] for j in range(len(places)))
    states = Kept(places, held, source)
    if len(places) <= hold:
        return tuple(states)
    last = len(places) - 1
    states.held.setdefault(last, states[last])
    return states
