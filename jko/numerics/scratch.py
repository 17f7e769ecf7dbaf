"""Scratch space that is kept: memory for intermediate results, without the page faults of fresh memory.

A tensor of a megabyte that is made and dropped in each pass goes back to the system and comes again page by page, which
can take longer than what is computed in it.  Here it is lent: :func:`scratch` gives a tensor for the length of a
``with``, and what comes back is lent again.  Nothing is remembered but memory: what a tensor holds when it is lent is
arbitrary.  Each thread has its own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

KEPT = 2**26  # bytes that a thread keeps while nobody uses them


class _Shelf(threading.local):
    """What a thread may lend: flat tensors, the one that was used last at the end."""

    def __init__(self) -> None:
        self.free: list[Tensor] = []


_shelf = _Shelf()


@contextmanager
def scratch(like: Tensor, *shape: int) -> Iterator[Tensor]:
    """A contiguous tensor of this shape, with the dtype and device of ``like``; its numbers are arbitrary.

    It starts at a multiple of 64 bytes.  Use it inside the ``with`` only.

    Examples
    --------
    >>> import torch
    >>> from jko.numerics.scratch import scratch
    >>> with scratch(torch.ones(1), 2, 3) as room:
    ...     float(room.fill_(2.0).sum())
    12.0
    """
    n = math.prod(shape)
    flat = _taken(n, like)
    try:
        yield flat[:n].view(shape)
    finally:
        _returned(flat)


def _taken(n: int, like: Tensor) -> Tensor:
    """Flat memory for n numbers: sizes are powers of two, so that similar requests share it."""
    size = 1 << max(0, n - 1).bit_length()
    free = _shelf.free
    for k in reversed(range(len(free))):
        if len(free[k]) == size and free[k].dtype == like.dtype and free[k].device == like.device:
            return free.pop(k)
    with torch.inference_mode(False):  # memory of that mode could not be used outside of it
        return torch.empty(size, dtype=like.dtype, device=like.device)


def _returned(flat: Tensor) -> None:
    """Keep it, and of the others what is not too much, the last used first."""
    if flat.device.type != "cpu":  # torch keeps the memory of other devices itself
        return
    room, kept = KEPT, []
    for other in [flat, *reversed(_shelf.free)]:
        if other.nbytes <= room:
            kept.append(other)
            room -= other.nbytes
    _shelf.free = kept[::-1]
