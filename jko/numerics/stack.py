"""Groups of tensors one after the other in one array, so that one matrix product reaches all of them."""

from __future__ import annotations

import torch
from torch import Tensor

LINE = 64  # bytes: each tensor begins at a multiple, so that its place in the array changes no bits
SMALL = 2**25  # bytes of an array that may have as much room to spare as it is long


class Stack:
    """Groups of ``width`` tensors of one shape, one after the other; the oldest fall away.

    What :meth:`show` has handed out is never written again: new groups go behind it, and where the array ends, into
    another one.  So whoever holds a view may keep it, and a stack that is taken up by its own view copies nothing.
    """

    def __init__(self, like: Tensor, width: int, most: int) -> None:
        size = like.element_size() * like.numel() * width
        spare = most if most * size <= SMALL else 1 + most // 4
        self.like, self.width, self.slots = like, width, most + 2 + spare
        self.shown: Tensor | None = None
        self._window = (0, 0)
        self._clear()

    def __len__(self) -> int:
        """Groups that are there."""
        return self._last - self._first

    @property
    def tensors(self) -> Tensor:
        """All tensors of all groups, (k, ...)."""
        return self._between(self._first, self._last)

    def take(self, groups: Tensor | None) -> None:
        """Hold these groups (n, width, ...) and no others: copied, unless they are what was shown last."""
        if groups is not None and groups is self.shown:
            self._first, self._last = self._window
            return
        self._clear()
        for group in () if groups is None else groups[-self.slots + 2 :]:
            self._slot(self._last).copy_(group)
            self._last += 1

    def show(self) -> Tensor:
        """The groups, (n, width, ...), for good."""
        self._window = self._first, self._last
        flat = self._array[self._first : self._last, :, : self.like.numel()]
        self.shown = flat.unflatten(-1, self.like.shape)
        return self.shown

    def open(self) -> Tensor:
        """Room for another group, (width, ...), to be written; :meth:`append` makes it one."""
        if self._last + 2 > self.slots:
            self._move()
        return self._slot(self._last)

    def append(self) -> None:
        """What was written behind the last group is one."""
        self._last += 1

    def drop(self, count: int) -> None:
        """The oldest fall away."""
        self._first += count

    def with_one(self, tensor: Tensor, opened: bool) -> Tensor:
        """All tensors, those of a group that was opened, and a copy of one more behind them: (k, ...)."""
        if self._last + opened >= self.slots:
            self._move()
        end = self._last + opened
        self._slot(end)[0].copy_(tensor)
        return self._between(self._first, end + 1)[: 1 - self.width or None]

    def _clear(self) -> None:
        size = self.like.numel()
        line = LINE // self.like.element_size()
        self._array = self.like.new_empty(self.slots, self.width, -(-size // line) * line)
        self._begin(0)

    def _slot(self, k: int) -> Tensor:
        return self._array[k, :, : self.like.numel()].unflatten(-1, self.like.shape)

    def _between(self, first: int, last: int) -> Tensor:
        flat = self._array[first:last].flatten(0, 1)[:, : self.like.numel()]
        return flat.unflatten(-1, self.like.shape)

    def _move(self) -> None:
        """To the beginning of the array, or of another where somebody may look at this one."""
        old, first, n = self._array, self._first, len(self)
        if self.shown is not None:
            self._array = torch.empty_like(old)
        for k in range(n):
            self._array[k].copy_(old[first + k])
        self._begin(n)

    def _begin(self, count: int) -> None:
        """So many groups at the beginning of the array, of which nothing was shown."""
        self._first, self._last, self.shown = 0, count, None
