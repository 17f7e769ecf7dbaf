"""Writing a journal: one record a step, at a cost that does not know how many came before.

Every record is handed to the system at once, so that it survives the death of the process; that the disk has it, and
so that it survives a power cut, is asked for every ``SYNC`` seconds and at the end.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from jko.measures import State
from jko.storage import places
from jko.storage.records import CHECK, HEAD, MAGIC, SLOT, STEP, Slot, Tail, encoded, head
from jko.storage.scan import Source
from jko.storage.states import Arrays, facts_of, packed

SYNC = 5.0  # seconds between two requests that the disk have everything
COPY = 1 << 24

T = TypeVar("T")


class Journal:
    """A checkpoint while it grows.

    It is written under another name, and takes its place with :meth:`settle`: what was there before is not touched
    until there is something to put in its stead.

    Raises
    ------
    ValueError
        A place that cannot be written, at once.
    """

    def __init__(self, path: Path, handle: int, aside: Path | None, source: Source) -> None:
        self.path, self.source, self._handle, self._aside = path, source, handle, aside
        self.tail = Tail(0, 0, -1)
        self._torn = False
        self._synced = time.monotonic()

    @classmethod
    def begin(cls, path: Path, first: State) -> Journal:
        """A new one, for a run whose states are like ``first``."""
        facts = facts_of(first)
        try:
            handle, aside = places.part_beside(path)
        except OSError as error:
            raise places.cannot_save(path, error) from error
        journal = cls(path, handle, aside, Source(handle, path, facts, first.domain, first))
        try:
            journal._write(0, [MAGIC])
            journal.tail = Tail(len(MAGIC), 0, -1)
            journal._append(b"FACT", [json.dumps(facts).encode()], -1)
        except BaseException:
            journal.abandon()
            raise
        return journal

    @classmethod
    def resume(cls, path: Path, source: Source) -> Journal | None:
        """Go on in the file that ``source`` reads, unless it is another by now, or somebody writes to it."""
        tail = source.tail
        if tail is None:
            return None
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            return None
        mine, theirs = os.fstat(handle), os.fstat(source.handle)
        same = os.path.samestat(mine, theirs) and mine.st_size == source.size
        if not (same and places.lock(handle)):
            os.close(handle)
            return None
        journal = cls(
            path, handle, None, Source(handle, path, source.facts, source.domain, source.like)
        )
        journal.tail, journal._torn = tail, True
        return journal

    def step(self, rows: Arrays, index: int, state: State, drops: bool, memory: Arrays) -> int:
        """Append the figures of the steps up to ``index`` and the state after it; returns its place."""
        if type(state).__name__ != self.source.facts["kind"]:
            raise TypeError(
                f"the state after step {index} is a {type(state).__name__}, the first one was a "
                f"{self.source.facts['kind']}; a run that is saved has states of one kind"
            )
        place = self.tail.end + HEAD.size
        front = STEP.pack(index, len(rows["times"]), drops)
        self._append(b"STEP", [front, *encoded(rows | packed(state))], index)
        self._remember(memory)
        if time.monotonic() - self._synced > SYNC:
            self.sync()
        return place

    def _append(self, tag: bytes, body: list[bytes], index: int) -> None:
        tail, chain, length = self.tail, self.tail.chain, sum(map(len, body))
        for part in body:
            chain = zlib.crc32(part, chain)
        self._write(tail.end, [head(tag, length), *body, CHECK.pack(chain)])
        self.tail = tail._replace(
            end=tail.end + HEAD.size + length + CHECK.size, chain=chain, step=index
        )

    def _remember(self, memory: Arrays) -> None:
        """Write the memory of the last step into the slot that does not hold the one before."""
        body = encoded(memory)
        used = sum(map(len, body))
        if not self.tail.slots or used + SLOT.size > self.tail.slots[0].room:
            self._make_room(2 * used + 1000)
        tail, check = self.tail, self.tail.chain
        slot, other = tail.slots
        for part in body:
            check = zlib.crc32(part, check)
        self._write(slot.at, [SLOT.pack(tail.step, used, check), *body])
        self.tail = tail._replace(slots=(other, slot))

    def _make_room(self, room: int) -> None:
        end = self.tail.end
        body = end + HEAD.size
        self._write(end, [head(b"SLOT", 2 * room)])
        self._safely(lambda: os.ftruncate(self._handle, body + 2 * room))
        slots = (Slot(body, room), Slot(body + room, room))
        self.tail = self.tail._replace(end=body + 2 * room, slots=slots)

    def settle(self) -> None:
        """Take the place."""
        if self._aside is not None:
            aside, self._aside = self._aside, None
            self._safely(lambda: places.put(aside, self.path))

    def finish(self, status: str) -> None:
        """Write how the flow ended, and let go: others may continue the run."""
        self._append(b"DONE", [status.encode()], self.tail.step)
        self.sync()
        self.settle()
        mine, ours = os.fstat(self._handle), False
        with suppress(FileNotFoundError):
            ours = os.path.samestat(mine, os.stat(self.path))
        if not ours:
            self._copy()  # another run has taken the name meanwhile: the last one wins
        self.source.tail, self.source.size = self.tail, mine.st_size
        places.unlock(self._handle)

    def _copy(self) -> None:
        with places.replacing(self.path) as file:
            for at in range(0, self.tail.end, COPY):
                file.write(os.pread(self._handle, min(COPY, self.tail.end - at), at))

    def abandon(self) -> None:
        """Leave no trace of a journal that has not taken its place."""
        if self._aside is not None:
            self._aside.unlink(missing_ok=True)
            self._aside = None

    def sync(self) -> None:
        """Ask for everything to be on the disk."""
        self._safely(lambda: os.fsync(self._handle))
        self._synced = time.monotonic()

    def _write(self, at: int, parts: list[bytes]) -> None:
        """Write at byte ``at``, after removing what an interrupted writing left behind the end."""
        if self._torn:
            self._safely(lambda: os.ftruncate(self._handle, self.tail.end))
        self._torn = True
        data = memoryview(b"".join(parts))
        while data:
            done = self._safely(lambda data=data, at=at: os.pwrite(self._handle, data, at))  # type: ignore[misc]
            data, at = data[done:], at + done
        self._torn = False

    def _safely(self, action: Callable[[], T]) -> T:
        """What the system refuses, as a sentence."""
        try:
            return action()
        except OSError as error:
            raise places.cannot_save(self.path, error) from error
