"""The layout of a journal, and reading it: the last whole record is the end, whatever came after it.

A journal is ``MAGIC`` and records.  A record is a head (tag, length of its body, digest of both), a body, and a digest
of the body and of all records before it:

- ``FACT``: what all states share, as JSON.
- ``STEP``: the figures of one step or more, and the state after them.
- ``SLOT``: two rooms for the memory of the last step, written in turns, so that one of them is always whole; larger
  ones follow when the memory has grown.  Their contents have a digest of their own.
- ``DONE``: how the flow ended.

A process that dies leaves at most a record that is cut short: it is no part of the run.  A digest that does not fit is
another matter: bytes were changed, and the file is refused.
"""

from __future__ import annotations

import json
import os
import re
import struct
import weakref
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jko.measures import State
from jko.spaces import Domain
from jko.storage.figures import Figures
from jko.storage.places import refusal
from jko.storage.states import Arrays, Facts, checked, unpacked

MAGIC = b"jko journal 1\n"
HEAD, CHECK = struct.Struct("<4sQI"), struct.Struct("<I")
STEP = struct.Struct("<QQB")  # index of the state, rows before it, whether the state before is dropped
SLOT = struct.Struct("<QQI")  # index of the step, bytes used, digest
DTYPES = re.compile(r"<f[248]|<[iu][248]|\|[iu]1|\|b1|<U\d{1,6}")
CHUNK = 1 << 20
DEEPEST = 200_000  # characters of a layout


class ChangedError(Exception):
    """Bytes that no journal of ours holds; the message says which."""


class Slot(NamedTuple):
    """Room for a memory: where it begins and how many bytes it holds."""

    at: int
    room: int


class Tail(NamedTuple):
    """Where the next record goes: byte, digest so far, the last step; and the slot for the next memory, and the other."""

    end: int
    chain: int
    index: int
    slots: tuple[Slot, ...] = ()


class Step(NamedTuple):
    """Where a STEP record is: its first byte, that of its body, index, rows, drops, and the digests around it."""

    start: int
    body: int
    length: int
    index: int
    rows: int
    drops: bool
    before: int
    chain: int


@dataclass
class Record:
    """What a journal holds."""

    facts: Facts
    tail: Tail
    size: int
    times: array[float] = field(default_factory=lambda: array("d"))
    energies: array[float] = field(default_factory=lambda: array("d"))
    figures: Figures = field(default_factory=Figures)
    kept: array[int] = field(default_factory=lambda: array("q"))
    places: array[int] = field(default_factory=lambda: array("q"))
    memory: Arrays = field(default_factory=dict)
    status: str | None = None


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
        self.close = weakref.finalize(self, os.close, handle)

    def state(self, place: int) -> State:
        """The state of the STEP record whose body is at ``place``."""
        _, length = _head(self.handle, place - HEAD.size)
        arrays = table(self.handle, place + STEP.size, length - STEP.size, "state/", "span/")
        return unpacked(arrays, self.facts, self.domain, self.like)


def is_journal(path: Path) -> bool:
    """Whether the file begins like one."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def opened(path: Path, domain: Domain | None, like: State | None) -> tuple[Record, Source]:
    """What a journal holds, and the journal itself for its states.

    Raises
    ------
    ValueError
        Contents that were changed.
    """
    source = Source(os.open(path, os.O_RDONLY), path, {}, domain, like)
    try:
        record = scan(source.handle)
        checked(record.facts | {"states": len(record.places)})
    except (ChangedError, ValueError) as error:
        raise refusal(path, error) from None
    source.facts, source.tail, source.size = record.facts, record.tail, record.size
    return record, source


def encoded(arrays: Arrays) -> list[bytes]:
    """Arrays as bytes: the length of a layout in JSON, the layout, the numbers."""
    layout = _written(tuple((name, a.dtype.str, a.shape) for name, a in arrays.items()))
    return [layout, *(a.tobytes() for a in arrays.values())]


@lru_cache(maxsize=64)
def _written(layout: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    for name, dtype, _ in layout:
        if not DTYPES.fullmatch(dtype):
            raise TypeError(f"{name} has dtype {np.dtype(dtype)}, which a saved run cannot hold")
    text = json.dumps(layout).encode()
    return CHECK.pack(len(text)) + text


def table(handle: int, at: int, length: int, *prefixes: str) -> Arrays:
    """The arrays of :func:`encoded` whose names begin with one of ``prefixes``, from byte ``at`` on."""
    (size,) = CHECK.unpack(read(handle, at, CHECK.size))
    if size > min(DEEPEST, length):
        raise ChangedError(f"the layout at byte {at} is too long")
    layout = _layout(read(handle, at + CHECK.size, size))
    at, end = at + CHECK.size + size, at + length
    arrays = {}
    if at + sum(count for *_, count in layout) != end:
        raise ChangedError(f"the layout at byte {at} does not fit its record")
    for name, dtype, shape, count in layout:
        if name.startswith(prefixes):
            data = np.frombuffer(bytearray(read(handle, at, count)), dtype)
            arrays[name] = data.reshape(shape)
        at += count
    return arrays


@lru_cache(maxsize=64)
def _layout(text: bytes) -> list[tuple[str, np.dtype, tuple[int, ...], int]]:  # type: ignore[type-arg]
    """Name, dtype, shape and bytes of each array."""
    try:
        layout = []
        for name, dtype, shape in json.loads(text):
            if not (isinstance(name, str) and DTYPES.fullmatch(dtype)):
                raise ChangedError(f"an array has dtype {dtype!r}")
            if not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
                raise ChangedError(f"an array has shape {shape!r}")
            kind = np.dtype(dtype)
            layout.append((name, kind, tuple(shape), int(np.prod(shape, dtype=object)) * kind.itemsize))
        return layout
    except (ValueError, TypeError, RecursionError) as error:
        raise ChangedError(f"a layout is none ({error})") from None


def read(handle: int, at: int, count: int) -> bytes:
    """Exactly ``count`` bytes."""
    parts = []
    while count:
        part = os.pread(handle, count, at)
        if not part:
            raise ChangedError(f"the file ends before byte {at + count}")
        parts.append(part)
        at, count = at + len(part), count - len(part)
    return b"".join(parts)


def scan(handle: int) -> Record:
    """Read a journal up to its last whole step.

    Raises
    ------
    ChangedError
        Bytes that do not match their digest.
    """
    size, end, chain = os.fstat(handle).st_size, len(MAGIC), 0
    facts: Facts | None = None
    steps: list[Step] = []
    slots: list[Slot] = []
    status: str | None = None
    if read(handle, 0, min(size, end)) != MAGIC:
        raise ChangedError("it does not begin like one")
    for tag, start, length, before, chain, end in _walk(handle, size):
        body = start + HEAD.size
        if tag == b"FACT" and facts is None:
            facts = _facts(read(handle, body, length))
        elif tag == b"STEP" and facts is not None and length > STEP.size:
            index, rows, drops = STEP.unpack(read(handle, body, STEP.size))
            steps.append(Step(start, body, length, index, rows, bool(drops), before, chain))
            status = None
        elif tag == b"SLOT" and length >= 2 * SLOT.size:
            slots += [Slot(body, length // 2), Slot(body + length // 2, length // 2)]
        elif tag == b"DONE" and length < 100:
            status = read(handle, body, length).decode("ascii", "replace")
        else:
            raise ChangedError(f"the record at byte {start} is out of place")
    if facts is None or not steps:
        raise ChangedError("it holds no step")
    last, slot, used = _remembered(handle, steps, slots)
    count = steps.index(last) + 1
    if count < len(steps):  # the memory of the step after it is lost, and the step with it
        end, chain, status = steps[count].start, steps[count].before, None
    free = [s for s in slots if s.at < end][-2:]
    free.sort(key=lambda s: s == slot)
    record = Record(facts, Tail(end, chain, last.index, tuple(free)), size, status=status)
    for step in steps[:count]:
        _enter(handle, step, record)
    record.memory = table(handle, slot.at + SLOT.size, used, "memory/")
    return record


def _walk(handle: int, size: int) -> Iterator[tuple[bytes, int, int, int, int, int]]:
    """Tag, first byte, length of the body, the digests before and after, and the end of each whole record."""
    at, chain = len(MAGIC), 0
    while at + HEAD.size <= size:
        tag, length = _head(handle, at)
        body, before = at + HEAD.size, chain
        end = body + length + (0 if tag == b"SLOT" else CHECK.size)
        if end > size:
            return
        if tag != b"SLOT":
            chain = crc(handle, body, length, chain)
            if CHECK.unpack(read(handle, body + length, CHECK.size))[0] != chain:
                raise ChangedError(
                    f"the record at byte {at} does not match its digest (what comes before it is whole)"
                )
        yield tag, at, length, before, chain, end
        at = end


def _head(handle: int, at: int) -> tuple[bytes, int]:
    head = read(handle, at, HEAD.size)
    tag, length, check = HEAD.unpack(head)
    if zlib.crc32(head[: -CHECK.size]) != check:
        raise ChangedError(
            f"there is no record at byte {at}, where one must be (what comes before it is whole)"
        )
    return tag, length


def crc(handle: int, at: int, count: int, chain: int) -> int:
    """The digest of ``count`` bytes and of what led to ``chain``."""
    while count:
        part = read(handle, at, min(count, CHUNK))
        chain, at, count = zlib.crc32(part, chain), at + len(part), count - len(part)
    return chain


def _facts(text: bytes) -> Facts:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChangedError(f"its facts are no JSON ({error})") from None
    if not isinstance(facts, dict):
        raise ChangedError("its facts are no JSON object")
    return facts


def _remembered(handle: int, steps: list[Step], slots: list[Slot]) -> tuple[Step, Slot, int]:
    """The last step whose memory is whole, with its slot and the bytes it uses."""
    known = {step.index: step for step in steps}
    best: tuple[int, Slot, int] | None = None
    for slot in slots:
        index, used, check = SLOT.unpack(read(handle, slot.at, SLOT.size))
        if index not in known or used > slot.room - SLOT.size or (best and index < best[0]):
            continue
        if crc(handle, slot.at + SLOT.size, used, known[index].chain) == check:
            best = (index, slot, used)
    if best is None:
        raise ChangedError("the memory of its last step is gone")
    return known[best[0]], best[1], best[2]


def _enter(handle: int, step: Step, record: Record) -> None:
    """Enter the rows of a STEP record."""
    arrays = table(
        handle, step.body + STEP.size, step.length - STEP.size, "times", "energies", "column/"
    )
    columns = {name.removeprefix("column/"): a for name, a in arrays.items() if "/" in name}
    first = not record.times
    wanted = {name: (step.rows,) for name in ("times", "energies")}
    wanted |= {f"column/{name}": (step.rows - first,) for name in columns}
    if {name: a.shape for name, a in arrays.items()} != wanted or step.index + 1 != len(record.times) + step.rows or not step.rows:
        raise ChangedError(f"the step at byte {step.start} has rows of other lengths than it says")
    record.times.extend(arrays["times"].tolist())
    record.energies.extend(arrays["energies"].tolist())
    record.figures.extend(len(record.times) - step.rows - (not first), columns, step.rows - first)
    if step.drops and record.kept:
        record.kept.pop()
        record.places.pop()
    record.kept.append(step.index)
    record.places.append(step.body)
