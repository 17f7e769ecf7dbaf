"""Runs of several processes on disk: a file for each process, and a manifest that says which of them belong together.

``run.npz`` is the manifest; ``run.TOKEN.0of2.npz`` and ``run.TOKEN.1of2.npz`` are archives or journals like those of
one process, of its shards.  Those of a new save have another token, and the manifest is written when all of them are
whole: so what was there before stays until then.  All processes see one folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar, overload

import torch
from torch import Tensor

from jko.distributed.processes import count, gather, local, rank, together, told
from jko.distributed.sharded import Sharded, cuts
from jko.measures import Particles, State
from jko.spaces import Domain
from jko.storage import archive, places
from jko.storage.states import PARTS
from jko.trajectory import Trajectory

TABLE = "products"  # in a memory: what says nothing of single atoms, however many numbers there are


class Shares(places.Place):
    """The file of this process, and the manifest; where there is one process, they are one."""

    def __init__(self, path: Path) -> None:
        token = told(os.urandom(4).hex())
        names = [f"{path.stem}.{token}.{r}of{count()}{places.SUFFIX}" for r in range(count())]
        self.alone = count() == 1
        super().__init__(path if self.alone else path.with_name(names[rank()]))
        self._manifest, self._names, self._whole = path, names, False
        self._before = manifest(path) if path.exists() else []

    def settled(self) -> None:
        """When all files are there the manifest names them, and those of the save before go."""
        if self._whole:
            return
        together(lambda: None)  # all have written
        together(lambda: self._publish() if rank() == 0 else None)
        self._whole = True

    def _publish(self) -> None:
        if not self.alone:
            archive.write(self._manifest, {}, {PARTS: self._names})
        for name in self._before:
            self._manifest.with_name(name).unlink(missing_ok=True)


@places.place.register
def _(state: Sharded, path: Path) -> places.Place:
    return Shares(path)


def manifest(path: Path) -> list[str]:
    """The names of the files that a manifest names; none where it is no manifest.

    Examples
    --------
    >>> from pathlib import Path
    >>> from jko import distributed
    >>> distributed.manifest(Path("no such file"))
    []
    """
    try:
        arrays, facts = archive.read(path)
    except ValueError:
        return []
    names = facts.get(PARTS)
    if arrays or not isinstance(names, list):
        return []
    return [Path(str(name)).name for name in names]


def steps(path: Path) -> int:
    """How many steps all processes have saved, seen by one of them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import jko, torch
    >>> from jko import distributed
    >>> mu, path = distributed.Sharded(torch.ones(64, 2), shards=2), Path(mkdtemp()) / "run.npz"
    >>> _ = jko.flow(jko.SquaredNorm(), mu, tau=0.5, steps=2).save(path)
    >>> distributed.steps(path)
    2
    """
    files = [path.with_name(name) for name in manifest(path) or [path.name]]
    return min(len(Trajectory.load(file).times) for file in files) - 1


def load(path: str | Path, domain: Domain | None = None) -> Trajectory:
    """The shards of this process of a run that was saved by several; every process calls it.

    There may be more or fewer processes than wrote it, as long as they divide the shards: flows go on with the same
    bits.  It has every step that all of them have saved.

    Parameters
    ----------
    path
        The name given to ``save`` or ``flow``.
    domain
        For a convex set given by its projection.

    Raises
    ------
    ValueError
        No such run, or files that were changed; shards that the processes do not divide.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import jko, torch
    >>> from jko import distributed
    >>> mu, path = distributed.Sharded(torch.ones(64, 2), shards=2), Path(mkdtemp()) / "run.npz"
    >>> _ = jko.flow(jko.SquaredNorm(), mu, tau=0.5, steps=2).save(path)
    >>> len(distributed.load(path).times)
    3
    """
    files = together(lambda: _read(places.to_read(path), domain))
    here = torch.tensor([len(file.run.times) - 1 for file in files]).min()
    last = int(gather(here.to(local())).min())
    return together(lambda: _mine([file.until(last) for file in files]))


class _File(NamedTuple):
    """A file of some shards, and the run that is in it."""

    path: Path
    domain: Domain | None
    run: Trajectory

    def until(self, step: int) -> Trajectory:
        """The run up to a step, one of the last two that were saved."""
        if len(self.run.times) == step + 1:
            return self.run
        return Trajectory.load(self.path, self.domain, until=step)


def _read(path: Path, domain: Domain | None) -> list[_File]:
    """The files with the shards of this process."""
    names = manifest(path) or [path.name]
    first, last = rank() * len(names) // count(), -(-(rank() + 1) * len(names) // count())
    paths = [path.with_name(name) for name in names[first:last]]
    files = [_File(file, domain, Trajectory.load(file, domain)) for file in paths]
    final = files[0].run.final
    if not isinstance(final, Sharded):
        raise ValueError(f"{str(path)!r} is a run of one process; jko.Trajectory.load reads it")
    if final.shards % count():
        raise ValueError(
            f"the {final.shards} shards of {str(path)!r} cannot be shared equally by {count()} processes"
        )
    return files


def _mine(runs: Sequence[Trajectory]) -> Trajectory:
    """What is of this process."""
    each = runs[0].final.shards // count()  # type: ignore[attr-defined]
    mine = (each * rank(), each * (rank() + 1))
    states = _Joined([run.states for run in runs], mine)
    return replace(runs[0], states=states, memory=_memory(runs, mine))


class _Joined(Sequence[State]):
    """The states of a run, each put together when it is asked for: some shards of what the files hold."""

    def __init__(self, states: Sequence[Sequence[State]], shards: tuple[int, int]) -> None:
        self.parts, self.shards = states, shards

    def __len__(self) -> int:
        return len(self.parts[0])

    @overload
    def __getitem__(self, j: int) -> State: ...
    @overload
    def __getitem__(self, j: slice) -> Sequence[State]: ...

    def __getitem__(self, j: int | slice) -> State | Sequence[State]:
        if isinstance(j, slice):
            return _Joined([states[j] for states in self.parts], self.shards)
        return joined([states[j] for states in self.parts]).shard(*self.shards)  # type: ignore[misc]


def joined(states: Sequence[Sharded]) -> Sharded:
    """One state of parts that hold consecutive shards."""
    points, weights = (torch.cat([getattr(s, f) for s in states]) for f in ("points", "weights"))
    return states[0]._with(points=points, weights=weights)


def _memory(runs: Sequence[Trajectory], shards: tuple[int, int]) -> dict[str, Tensor]:
    """What the solver keeps of the atoms of these shards: fields (N, dim), stacks of them (k, N, dim), numbers (N,)."""
    first: Sharded = runs[0].final  # type: ignore[assignment]
    ends = cuts(first.total, first.shards)
    here = slice(*(ends[k] - ends[first.first] for k in shards))
    memory = {}
    for name, known in runs[0].memory.items():
        axis = max(known.ndim - 2, 0)
        of_atoms = name != TABLE and known.ndim > 0 and known.shape[axis] == first.N
        whole = torch.cat([run.memory[name] for run in runs], axis) if of_atoms else known
        cut = whole.movedim(axis, 0)[here].movedim(0, axis) if of_atoms else whole
        memory[name] = cut.contiguous()
    return memory


Whole = TypeVar("Whole", State, Trajectory)


def gathered(thing: Whole) -> Whole:
    """All atoms in every process: of a state as :class:`jko.Particles`, of a run as one of those, which saves as such.

    Every process calls it.

    Examples
    --------
    >>> import jko, torch
    >>> from jko import distributed
    >>> mu = distributed.Sharded(torch.zeros(64, 2), shards=2)
    >>> distributed.gathered(mu).N
    64
    """
    if isinstance(thing, Trajectory):
        states = tuple(gathered(state) for state in thing.states)
        return replace(thing, states=states, memory={})
    if not isinstance(thing, Sharded):
        return thing
    points, weights = thing.whole(thing.points), thing.whole(thing.weights)
    return Particles.of(points, weights, thing.domain)
