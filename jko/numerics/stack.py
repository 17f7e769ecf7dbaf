"""Groups of tensors one after the other in one array, so that one matrix product reaches all of them."""

from __future__ import annotations

import torch
from torch import Tensor

LINE = 64  # bytes: each tensor begins at a multiple, so that its place in the array changes no bits
SMALL = 2**25  # bytes of the groups up to which an array has as much room to spare as they take
BEHIND = 2  # places behind the groups: for one that is written, and for one more tensor


class Stack:
    """Groups of ``width`` tensors of one shape, one after the other; the oldest fall away.

    What :meth:`show` has handed out is never written again: new groups go behind it, and where the array ends, into
    another one.  So whoever holds a view may keep it, and a stack that is taken up by its own view copies nothing.
    """

    def __init__(self, like: Tensor, width: int, most: int) -> None:
        spare = most if most * width * like.element_size() * like.numel() <= SMALL else most // 4
        self.like, self.width, self.most = like, width, most
        self.slots = most + BEHIND + spare
        self.shown: Tensor | None = None
        self._window = (0, 0)
        self._clear()

    @staticmethod
    def fits(like: Tensor, width: int, room: float) -> int:
        """How many groups fit into so many bytes, while they move from one array to another."""
        size = width * like.element_size() * max(like.numel(), 1)
        return int(min(room / (2 * size), 2**31)) - BEHIND

    def __len__(self) -> int:
        """Groups that are there."""
        return self._last - self._first

    @property
    def tensors(self) -> Tensor:
        """All tensors of all groups, (k, ...)."""
        return self._view(self._first, len(self) * self.width)

    def take(self, groups: Tensor | None) -> None:
        """Hold these groups (n, width, ...) and no others: copied, unless they are what was shown last."""
        if groups is not None and groups is self.shown:
            self._first, self._last = self._window
            return
        self._clear()
        for group in () if groups is None else groups[BEHIND - self.slots :]:
            self._view(self._last, self.width).copy_(group)
            self._last += 1

    def show(self) -> Tensor:
        """The groups, (n, width, ...), for good."""
        self._window = self._first, self._last
        self.shown = self.tensors.unflatten(0, (len(self), self.width))
        return self.shown

    def open(self) -> Tensor:
        """Room for another group, (width, ...), to be written; :meth:`append` makes it one."""
        if self._last + 2 > self.slots:
            self._move()
        return self._view(self._last, self.width)

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
        found = self._view(self._first, (len(self) + opened) * self.width + 1)
        found[-1].copy_(tensor)
        return found

    def _clear(self) -> None:
        line = LINE // self.like.element_size()
        stride = -(-self.like.numel() // line) * line
        self._array = self.like.new_empty(self.slots, self.width * stride)
        self._strides = (stride, *self.like.contiguous().stride())
        self._begin(0)

    def _view(self, slot: int, count: int) -> Tensor:
        """So many tensors, from the first of a slot on."""
        start = slot * self._array.shape[1]
        return self._array.as_strided((count, *self.like.shape), self._strides, start)

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
