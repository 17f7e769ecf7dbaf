"""Whose memory it is: what a step leaves for the next is believed only where it belongs.

A memory holds the energy's evaluation at the new state.  A flow that goes on with the same energy at the same state
need not evaluate again; everybody else must, since an energy may read what has changed meanwhile: so a memory is
*bound* to the flow that made it, and believed only while a step of that flow runs.  Any other is compared with a
fresh evaluation when a problem takes it up, and dropped where it says something else.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jko.energies import Energy, Evaluation
from jko.measures import State

Memory = dict[str, Tensor]

PAIRS = "pairs"  # of a memory: curvature pairs of moves and slopes along them, (n, 2, N, dim)
PRODUCTS = "products"  # and the inner products of these 2n fields

ROUNDING = 512  # of a number that was summed up, in units of its last place


def rounding(*sizes: float, dtype: torch.dtype = torch.float64) -> float:
    """What rounding can make of a sum of numbers of these sizes: the one rule by which every step is judged."""
    return ROUNDING * torch.finfo(dtype).eps * max(abs(size) for size in sizes)


@dataclass(eq=False)
class Keep:
    """What a flow owns from step to step besides the tensors: its energy, and what was computed of it alone.

    ``open`` while a step of the flow runs; outside, others may change what the energy reads.  ``sure`` where nobody
    had the chance to since the last step.
    """

    energy: Energy
    open: bool = False
    sure: bool = True
    things: dict[Any, Any] = field(default_factory=dict)

    def doubt(self) -> None:
        """Others' code has run: the next step looks again at all that is remembered of the energy."""
        self.sure = False
        self.things.clear()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """What an earlier step of the flow has made for ``key``, else what is made now; two things are kept."""
        if key not in self.things:
            self.things = dict(list(self.things.items())[-1:]) | {key: make()}
        return self.things[key]


class Owned(Memory):
    """A memory with the flow and the state that it belongs to; copied and saved it is an ordinary dictionary."""

    def __init__(self, tensors: Mapping[str, Tensor], keep: Keep, state: State | None) -> None:
        super().__init__(tensors)
        self.keep, self.state = keep, state

    def __reduce__(self) -> tuple[type, tuple[Memory]]:
        return dict, (dict(self),)


def bound(tensors: Mapping[str, Tensor], memory: Memory, state: State | None) -> Memory:
    """``tensors``, bound like ``memory``, to ``state``."""
    return Owned(tensors, memory.keep, state) if isinstance(memory, Owned) else dict(tensors)


def without_evaluation(memory: Memory) -> Memory:
    """What stays of a memory where the state or the energy is another than it was left for: all but ``before``."""
    rest = {name: t for name, t in memory.items() if name not in Evaluation._fields}
    return bound(rest, memory, None)


def believed(memory: Memory, energy: Energy, state: State) -> bool:
    """Whether a memory is of this energy and this state, without a look at the numbers."""
    return (
        isinstance(memory, Owned)
        and memory.keep.open
        and memory.keep.sure
        and memory.keep.energy is energy
        and memory.state is state
    )


def taken_up(memory: object, energy: Energy, state: State) -> tuple[Memory, Evaluation | None]:
    """What a step may use of a memory of unknown origin, and the evaluation that was spent to know.

    Curvature pairs and guesses change the work, never the problem; but they are dropped with an evaluation that is of
    another state or energy.

    Raises
    ------
    TypeError
        A memory that is no dictionary of tensors.
    """
    if not isinstance(memory, dict) or not all(
        isinstance(name, str) and isinstance(t, Tensor) for name, t in memory.items()
    ):
        raise TypeError(
            "memory must be the .memory of a step's result, a dictionary of tensors by name; got "
            f"{type(memory).__name__}: leave it out, or pass memory=result.memory"
        )
    known = [name for name in Evaluation._fields if name in memory]
    if not known or believed(memory, energy, state):
        return memory, None
    if known == ["value"]:  # of a solver that needs no more
        value = energy(state).detach()
        return (memory if _same(value, memory["value"]) else bound({}, memory, None)), None
    fresh = energy.evaluate(state.atoms)
    alike = len(known) == 3 and all(
        _same(new, memory[name]) for name, new in fresh._asdict().items()
    )
    agree = state.every(alike)
    return bound(memory | fresh._asdict() if agree else {}, memory, state), fresh


def _same(new: Tensor, old: Tensor) -> bool:
    """Equal to rounding."""
    if new.shape != old.shape or not old.is_floating_point():
        return False
    old = old.to(new)
    size = float(torch.maximum(new.abs(), old.abs()).max()) if new.numel() else 0.0
    return bool(((new - old).abs() <= rounding(size, dtype=new.dtype)).all())


def leaves(thing: Any, seen: frozenset[int] = frozenset()) -> Iterator[Any]:
    """What ``thing`` reads and runs, seen through the library's own objects: tensors, and all that is foreign."""
    if thing is None or isinstance(thing, (bool, int, float, str)) or id(thing) in seen:
        return
    seen = seen | {id(thing)}
    parts: Iterable[Any] = ()
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (list, tuple, set, frozenset)):
        parts = thing
    elif isinstance(thing, dict):
        parts = thing.values()
    elif isinstance(thing, types.MethodType):
        parts = (thing.__func__, thing.__self__)
    elif isinstance(thing, types.BuiltinFunctionType) and _ours(thing.__module__ or "torch"):
        return
    elif isinstance(thing, types.FunctionType) and _ours(thing.__module__):
        parts = [cell.cell_contents for cell in thing.__closure__ or ()]
    elif _ours(type(thing).__module__):
        parts = getattr(thing, "__dict__", {}).values()
    else:
        yield thing
    for part in parts:
        yield from leaves(part, seen)


def own(thing: Any) -> bool:
    """Whether all that ``thing`` runs is the library's or torch's code on tensors."""
    return all(isinstance(leaf, Tensor) for leaf in leaves(thing))


def edits(thing: Any) -> int:
    """How often the tensors that ``thing`` reads were changed in place."""
    tensors = (leaf for leaf in leaves(thing) if isinstance(leaf, Tensor))
    return sum(0 if tensor.is_inference() else tensor._version for tensor in tensors)


def _ours(module: str | None) -> bool:
    return (module or "").split(".")[0] in ("jko", "torch")
