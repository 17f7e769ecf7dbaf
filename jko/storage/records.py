"""The layout of a journal: what its bytes mean.

A journal is ``MAGIC`` and records.  A record is a head (tag, length of its body, digest of both), a body, and a digest
of the body and of all records before it:

- ``FACT``: what all states share, as JSON.
- ``STEP``: the figures of one step or more, and the state after them.
- ``SLOT``: two rooms for the memory of the last step, written in turns, so that one of them is always whole; larger
  ones follow when the memory has grown.  Their contents have a digest of their own.
- ``DONE``: how the flow ended.

Arrays are a layout in JSON and their numbers.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jko.storage.states import DTYPES, Arrays, refuse_dtype

MAGIC = b"jko journal 1\n"
HEAD, CHECK = struct.Struct("<4sQI"), struct.Struct("<I")
# index of the state, rows before it, whether the state before is dropped
STEP = struct.Struct("<QQB")
SLOT = struct.Struct("<QQI")  # index of the step, bytes used, digest
CHUNK = 1 << 18
LONGEST = 200_000  # characters of a layout
AXES = 8

Layout = list[tuple[str, np.dtype, tuple[int, ...], int]]


class ChangedError(ValueError):
    """Bytes that no journal of ours holds; the message says which."""


class Slot(NamedTuple):
    """Room for a memory: where it begins and how many bytes it holds."""

    at: int
    room: int


class Tail(NamedTuple):
    """Where the next record goes: byte, digest so far, last step; the slot for the next memory, and the other."""

    end: int
    chain: int
    step: int
    slots: tuple[Slot, ...] = ()


class Reader:
    """An open file, read in chunks of which the last is remembered."""

    def __init__(self, handle: int, chunk: int = CHUNK) -> None:
        self.handle, self.chunk = handle, chunk
        self._at, self._data = 0, b""

    def __call__(self, at: int, count: int) -> bytes:
        """Exactly ``count`` bytes from byte ``at`` on."""
        first = at - self._at
        if not 0 <= first <= first + count <= len(self._data):
            first, self._at, self._data = 0, at, self._read(at, max(count, self.chunk))
        if first + count > len(self._data):
            raise ChangedError(f"the file ends before byte {at + count}")
        return self._data[first : first + count]

    def _read(self, at: int, count: int) -> bytes:
        parts = []
        while count and (part := os.pread(self.handle, count, at)):
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return b"".join(parts)

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self.handle).st_size


def head(tag: bytes, length: int) -> bytes:
    """The head of a record."""
    front = HEAD.pack(tag, length, 0)[: -CHECK.size]
    return front + CHECK.pack(zlib.crc32(front))


def read_head(read: Reader, at: int) -> tuple[bytes, int]:
    """Tag and length of the record at byte ``at``."""
    front = read(at, HEAD.size)
    tag, length, check = HEAD.unpack(front)
    if zlib.crc32(front[: -CHECK.size]) != check:
        raise ChangedError(
            f"there is no record at byte {at}, where one must be (what comes before it is whole)"
        )
    return tag, length


def crc(read: Reader, at: int, count: int, chain: int) -> int:
    """The digest of ``count`` bytes and of what led to ``chain``."""
    while count:
        part = read(at, min(count, CHUNK))
        chain, at, count = zlib.crc32(part, chain), at + len(part), count - len(part)
    return chain


def encoded(arrays: Arrays) -> list[bytes]:
    """Arrays as bytes: the length of a layout in JSON, the layout, the numbers."""
    layout = _written(tuple([(name, a.dtype.str, a.shape) for name, a in arrays.items()]))
    return [layout, *[a.tobytes() for a in arrays.values()]]


@lru_cache(maxsize=64)
def _written(layout: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    for name, dtype, _ in layout:
        refuse_dtype(name, np.dtype(dtype))
    text = json.dumps(layout).encode()
    return CHECK.pack(len(text)) + text


def decoded(read: Reader, at: int, length: int, *prefixes: str) -> Arrays:
    """The arrays of :func:`encoded` whose names begin with one of ``prefixes``, from byte ``at`` on."""
    (size,) = CHECK.unpack(read(at, CHECK.size))
    if size > min(LONGEST, length):
        raise ChangedError(f"the layout at byte {at} is too long")
    layout, total = _layout(read(at + CHECK.size, size))
    at, end = at + CHECK.size + size, at + length
    if at + total != end:
        raise ChangedError(f"the layout before byte {at} does not fit its record")
    arrays = {}
    for name, dtype, shape, count in layout:
        if name.startswith(prefixes):
            arrays[name] = np.frombuffer(bytearray(read(at, count)), dtype).reshape(shape)
        at += count
    return arrays


@lru_cache(maxsize=64)
def _layout(text: bytes) -> tuple[Layout, int]:
    """Name, dtype, shape and bytes of each array; and of all."""
    layout: Layout = []
    try:
        for name, dtype, shape in json.loads(text):
            plain = isinstance(name, str) and DTYPES.fullmatch(dtype) and len(shape) <= AXES
            if not (plain and all(type(n) is int and n >= 0 for n in shape)):
                raise ChangedError(f"an array has the layout {name!r}, {dtype!r}, {shape!r}")
            kind, count = np.dtype(dtype), 1
            for n in shape:
                count *= n
            layout.append((name, kind, tuple(shape), count * kind.itemsize))
    except (ValueError, TypeError, RecursionError) as error:
        raise ChangedError(f"a layout is none ({error})") from None
    return layout, sum(count for *_, count in layout)
