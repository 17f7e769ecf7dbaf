"""Reading a journal: its last whole step is the end, whatever came after it.

A process that dies leaves at most a record that is cut short, or one memory half written: these are no part of the run.
A digest that does not fit is another matter: bytes were changed, and the file is refused.
"""

from __future__ import annotations

import os
import weakref
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from jko.measures import State
from jko.spaces import Domain
from jko.storage.figures import Figures
from jko.storage.places import refusal
from jko.storage.records import (
    CHECK,
    HEAD,
    MAGIC,
    SLOT,
    STEP,
    ChangedError,
    Reader,
    Slot,
    Tail,
    crc,
    decoded,
    read_head,
)
from jko.storage.states import Arrays, Facts, checked, facts_in, unpacked

ONE = 1 << 14  # bytes to ask for at once where one state is wanted
PATIENCE = 100  # times to look again at a file that grows


class Step(NamedTuple):
    """A STEP record: its first byte, that of its body, its length; what its body begins with; the digests around it."""

    start: int
    body: int
    length: int
    number: int
    rows: int
    drops: bool
    before: int
    chain: int


@dataclass
class Contents:
    """What a journal holds."""

    facts: Facts
    tail: Tail
    size: int
    status: str | None
    memory: Arrays
    times: Any = field(default_factory=lambda: array("d"))
    energies: Any = field(default_factory=lambda: array("d"))
    figures: Figures = field(default_factory=Figures)
    kept: Any = field(default_factory=lambda: array("q"))
    places: Any = field(default_factory=lambda: array("q"))


class Source:
    """A journal open for reading, as long as somebody holds this; its states one by one.

    The file may be renamed, replaced or removed meanwhile: an open file stays.
    """

    def __init__(
        self,
        handle: int,
        path: Path,
        facts: Facts,
        domain: Domain | None = None,
        like: State | None = None,
    ) -> None:
        self.handle, self.path, self.facts = handle, path, facts
        self.domain, self.like = domain, like
        self.tail: Tail | None = None
        self.size = 0
        weakref.finalize(self, os.close, handle)

    def state(self, place: int) -> State:
        """The state of the STEP record whose body is at ``place``."""
        read = Reader(self.handle, ONE)
        try:
            _, length = read_head(read, place - HEAD.size)
            arrays = decoded(read, place + STEP.size, length - STEP.size, "state/", "span/")
        except ChangedError as error:
            raise refusal(self.path, error) from None
        return unpacked(arrays, self.facts, self.domain, self.like)


def is_journal(path: Path) -> bool:
    """Whether the file begins like one."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise refusal(path, error.strerror) from None


def opened(
    path: Path, domain: Domain | None, like: State | None, until: int | None = None
) -> tuple[Contents, Source]:
    """What a journal holds, ``until`` a step if that is given, and the journal itself for its states.

    Raises
    ------
    ValueError
        Contents that were changed.
    """
    source = Source(os.open(path, os.O_RDONLY), path, {}, domain, like)
    record = _Walk(Reader(source.handle), until).record()
    checked(record.facts | {"states": len(record.places)})
    source.facts, source.tail, source.size = record.facts, record.tail, record.size
    return record, source


class _Walk:
    """A way through the records of a file, which may grow meanwhile."""

    def __init__(self, read: Reader, until: int | None = None) -> None:
        self.read, self.until = read, until
        self.facts: Facts | None = None
        self.steps: list[Step] = []
        self.slots: list[Slot] = []
        self.status: str | None = None
        self.at, self.chain = len(MAGIC), 0

    def record(self) -> Contents:
        """Everything up to the last step whose memory is whole, too."""
        for _ in range(PATIENCE):
            size = self.read.size
            while self._next(size):
                pass
            found = self._remembered()
            if found is not None or self.read.size == size:
                break
        if self.facts is None or not self.steps or found is None:
            raise ChangedError("it holds no whole step")
        count, slot, used = found
        end, chain, status = self.at, self.chain, self.status
        if count < len(self.steps):  # the memory after it is lost, and so is that step
            end, chain, status = self.steps[count].start, self.steps[count].before, None
        free = sorted([s for s in self.slots if s.at < end][-2:], key=lambda s: s == slot)
        tail = Tail(end, chain, self.steps[count - 1].number, tuple(free))
        memory = decoded(Reader(self.read.handle), slot.at + SLOT.size, used, "memory/")
        record = Contents(self.facts, tail, size, status, memory)
        for step in self.steps[:count]:
            self._enter(step, record)
        return record

    def _next(self, size: int) -> bool:
        """Read one record more; False where none is whole."""
        start, body, before = self.at, self.at + HEAD.size, self.chain
        if body > size:
            return False
        tag, length = read_head(self.read, start)
        end = body + length + (0 if tag == b"SLOT" else CHECK.size)
        if end > size:
            return False
        if tag == b"SLOT":
            half = length // 2
            self.slots += [Slot(body, half), Slot(body + half, half)]
            self.at = end
            return True
        chain = crc(self.read, body, length, before)
        if CHECK.unpack(self.read(body + length, CHECK.size)) != (chain,):
            raise ChangedError(
                f"the record at byte {start} does not match its digest (what comes before it is whole)"
            )
        if tag == b"STEP" and self.facts is not None and length > STEP.size:
            index, rows, drops = STEP.unpack(self.read(body, STEP.size))
            self.steps.append(Step(start, body, length, index, rows, bool(drops), before, chain))
            self.status = None
        elif tag == b"FACT" and self.facts is None:
            self.facts = facts_in(self.read(body, length))
        elif tag == b"DONE":
            self.status = self.read(body, length).decode("ascii", "replace")
        else:
            raise ChangedError(f"the record at byte {start} is out of place")
        self.at, self.chain = end, chain
        return True

    def _remembered(self) -> tuple[int, Slot, int] | None:
        """How many steps there are up to the last whose memory is whole; its slot, and the bytes used of it."""
        read, best = Reader(self.read.handle, SLOT.size), None  # slots change: no remembered chunk
        known = {
            step.number: (count, step)
            for count, step in enumerate(self.steps, 1)
            if self.until in (None, step.number)
        }
        for slot in self.slots:
            index, used, check = SLOT.unpack(read(slot.at, SLOT.size))
            if index not in known or used + SLOT.size > slot.room:
                continue
            count, step = known[index]
            whole = crc(read, slot.at + SLOT.size, used, step.chain) == check
            if whole and (best is None or count > best[0]):
                best = (count, slot, used)
        return best

    def _enter(self, step: Step, record: Contents) -> None:
        """Enter the rows of a STEP record."""
        body, length = step.body + STEP.size, step.length - STEP.size
        arrays = decoded(self.read, body, length, "times", "energies", "column/")
        times, energies = arrays.pop("times", None), arrays.pop("energies", None)
        columns = {name.removeprefix("column/"): values for name, values in arrays.items()}
        first = step.number + 1 - step.rows
        rows = step.rows if first else step.rows - 1
        shapes = {values.shape for values in columns.values()}
        if (
            times is None
            or energies is None
            or not {times.shape, energies.shape} == {(step.rows,)}
            or not shapes <= {(rows,)}
            or first != len(record.times)
            or step.rows < 1
        ):
            raise ChangedError(f"the step at byte {step.start} has other rows than it says")
        record.times.extend(times.tolist())
        record.energies.extend(energies.tolist())
        record.figures.extend(max(first - 1, 0), columns, rows)
        if step.drops and record.kept:
            record.kept.pop()
            record.places.pop()
        record.kept.append(step.number)
        record.places.append(step.body)
