"""Atoms that lie in several processes, of which each holds some.

The atoms are cut into shards, whose number belongs to the state and not to the processes.  A sum over atoms is one over
each shard first; these partial sums are gathered and added in the order of the shards.  So 1, 2 or 8 processes give the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import recordable
from jko.distributed.processes import count, gather, rank
from jko.measures import Particles, looks
from jko.spaces import Domain, cached, check_inside, refuse_wrapped

SHARDS = 8
ATOMS = 32  # a shard has a multiple of these: then no loop over vectors ends differently where a process ends


@dataclass(frozen=True, eq=False)
class Sharded(Particles):
    """An atomic measure whose atoms are cut into shards, of which this process holds as many as every other.

    ``points``, ``weights`` and ``N`` are those of the atoms here; what is integrated is integrated over all of them.

    Parameters
    ----------
    points : (N, dim)
        All atoms, the same in every process, which keeps its share.
    weights : (N,), optional
        Their masses.
    domain : Domain, optional
        As for :class:`jko.Particles`.
    shards : int
        How many: a multiple of the number of processes, for ever.  Their sizes are multiples of 32 atoms, as equal as
        can be, but for the last.
    total, first : int, optional
        Instead: the points are those of consecutive shards alone, from ``first`` on, and ``total`` atoms are there in
        all.  So files hold them, and so a state is made that no process could hold: see :meth:`drawn`.

    Raises
    ------
    ValueError
        Fewer than 32 atoms for each shard; shards that the processes do not divide; what ``Particles`` refuses.

    Examples
    --------
    >>> import torch
    >>> from jko.distributed import Sharded
    >>> mu = Sharded(torch.linspace(-1, 1, 1000).double()[:, None], shards=4)
    >>> mu
    Sharded(N=1000 of 1000, dim=1, shards=0 to 3 of 4)
    >>> abs(float(mu.integrate(mu.points))) < 1e-15
    True
    """

    shards: int
    total: int
    first: int

    def __init__(
        self,
        points: Any,
        weights: Any = None,
        domain: Domain | None = None,
        shards: int = SHARDS,
        total: int | None = None,
        first: int = 0,
    ) -> None:
        points = checks.shape("points", checks.owned("points", points), ("N", "dim"))
        check_inside("points", points, domain)
        refuse_wrapped("a measure in several processes", domain)
        if total is None:
            masses = checks.weights("weights", weights, len(points), points)
            total = len(points)
            first, here = _share(total, shards)
            points, masses = (checks.own(t[here]) for t in (points, masses))
        else:
            checks.count("first", first, least=0)
            masses = points.new_full((len(points),), 1 / checks.count("total", total))
            if weights is not None:
                masses = checks.shape(
                    "weights", checks.owned("weights", weights, points), (len(points),)
                )
        ends = cuts(total, shards)
        if len(points) not in [end - ends[first] for end in ends[first + 1 :]]:
            raise ValueError(
                f"{len(points)} points are no whole shards from number {first} on, of {total} atoms in {shards} shards"
            )
        self._fill(
            points=points, weights=masses, domain=domain, shards=shards, total=total, first=first
        )

    @classmethod
    def drawn(
        cls,
        total: int,
        draw: Callable[[int, int], Any],
        *,
        shards: int = SHARDS,
        domain: Domain | None = None,
    ) -> Sharded:
        """``total`` atoms of equal weight, of which ``draw(a, b)`` (b - a, dim) makes those from a to b.

        It is asked once for each shard here, so that no process ever holds them all; the atoms are the same in 1 and
        in 8 processes if it depends on a and b alone, as ``torch.Generator().manual_seed(a)`` does.
        """
        first, _ = _share(checks.count("total", total), shards)
        ends = cuts(total, shards)[first : first + shards // count() + 1]
        points = [torch.as_tensor(draw(a, b)) for a, b in pairwise(ends)]
        return cls(torch.cat(points), None, domain, shards, total, first)

    def _facts(self) -> dict[str, Any]:
        """Of the atoms here: one process may be asked alone."""
        last = self.first + len(self.sizes) - 1
        here = f"{self.first} to {last} of {self.shards}"
        size = {"N": f"{self.N} of {self.total}", "dim": self.dim, "shards": here}
        return size | looks.where(self)

    @cached
    def sizes(self) -> list[int]:
        """Of the shards here."""
        ends = cuts(self.total, self.shards)[self.first :]
        return [b - a for a, b in pairwise(ends) if b - ends[0] <= self.N]

    @cached
    def pieces(self) -> list[Particles]:
        """The shards here, each with its masses."""
        return [Particles.of(*part) for part in zip(*map(self._cut, (self.points, self.weights)))]  # noqa: B905

    def _cut(self, values: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
        return values.split(self.sizes, axis)

    def _sum(self, parts: Iterable[Tensor]) -> Tensor:
        """The sum over all shards, in their order, of what was summed over each."""
        here = torch.stack(list(parts))
        if len(here) * count() != self.shards:
            raise RuntimeError(
                f"these are {len(here)} of {self.shards} shards, and there are {count()} processes: some shards are "
                "nowhere. A state is moved by the processes that it was made or loaded in"
            )
        return _Summed.apply(here)

    def integrate(self, values: Tensor) -> Tensor:
        """``sum_i weights[i] values[i]`` over all atoms; the values (N, ...) are those here."""
        return self._sum(
            mu.integrate(v) for mu, v in zip(self.pieces, self._cut(values), strict=True)
        )

    def integrate_blocks(self, function: Callable[[Particles], Tensor], rows: int) -> Tensor:
        """The sum of ``function`` over the blocks of all shards."""
        return self._sum(mu.integrate_blocks(function, rows) for mu in self.pieces)

    def blocks(self, rows: int) -> Iterator[Particles]:
        """The atoms here, in pieces of one shard and of at most ``rows`` atoms."""
        return chain.from_iterable(mu.blocks(rows) for mu in self.pieces)

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """``int u . v dmu`` over all atoms."""
        fields = zip(self.pieces, self._cut(u), self._cut(v), strict=True)
        return self._sum(mu.inner(a, b) for mu, a, b in fields)

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> Tensor:
        """The inner product of each pair of fields, in one message."""
        parts = [(self._cut(u), self._cut(v)) for u, v in pairs]
        return self._sum(
            torch.stack([mu.inner(u[k], v[k]) for u, v in parts])
            for k, mu in enumerate(self.pieces)
        )

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """The inner products of the fields (k, N, dim) with the fields (l, N, dim), in one message."""
        fields = zip(self.pieces, self._cut(left, 1), self._cut(right, 1), strict=True)
        return self._sum(mu.products(a, b) for mu, a, b in fields)

    @cached
    def mass(self) -> Tensor:
        """Total mass, one up to rounding."""
        return self._sum(mu.mass for mu in self.pieces)

    @cached
    def has_equal_weights(self) -> bool:
        """Whether all weights are the same number."""
        first = gather(self.weights[0])[0]
        return self.every(self.weights == first)

    def every(self, true: Tensor | bool) -> bool:
        """Whether it holds in all processes."""
        here = true.all() if isinstance(true, Tensor) else true
        return bool(gather(torch.as_tensor(here, device=self.points.device).to(torch.uint8)).all())

    def largest(self, values: Tensor) -> float:
        """The largest number of all processes."""
        return float(gather(values.max().to(self.points.device)).max())

    @property
    def is_part(self) -> bool:  # type: ignore[override]
        """Whether some atoms are in other processes."""
        return self.total > self.N

    def whole(self, values: Tensor, axis: int = 0) -> Tensor:
        """Of numbers at the atoms here, (N, ...) or along another axis, those at all atoms, in every process."""
        ends = cuts(self.total, self.shards)[:: self.shards // count()]
        sizes = [b - a for a, b in pairwise(ends)]
        mine = values.movedim(axis, 0)
        padded = mine.new_zeros(max(sizes), *mine.shape[1:])
        padded[: self.N] = mine
        parts = zip(gather(padded), sizes, strict=True)
        return torch.cat([part[:n] for part, n in parts]).movedim(0, axis)

    def here(self, values: Tensor, axis: int = 0) -> Tensor:
        """Of numbers at all atoms, those at the atoms here."""
        first = cuts(self.total, self.shards)[self.first]
        return values.narrow(axis, first, self.N).contiguous()

    def reordered(self, values: Tensor, order: Tensor, axis: int = 0) -> Tensor:
        """Values at the atoms ``order[i]`` of all in place of those at the atoms i: they are sent."""
        return self.here(self.whole(values, axis).index_select(axis, order), axis)

    def moved(self, points: Tensor) -> Sharded:
        """The same masses with the atoms here at ``points``; trusted, not checked."""
        new = self._with(points=recordable(points))
        for name in ("sizes", "mass", "has_equal_weights"):  # of the masses alone
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name]
        return new

    placed = moved

    def shard(self, first: int, last: int) -> Sharded:
        """The shards from ``first`` up to ``last``, of those that are here."""
        ends = [0, *accumulate(self.sizes)]
        here = slice(ends[first - self.first], ends[last - self.first])
        return self._with(points=self.points[here], weights=self.weights[here], first=first)


class _Summed(torch.autograd.Function):
    """The sum over all shards of partial sums (S_here, ...); every process goes on with it in the same way."""

    @staticmethod
    def forward(ctx: Any, here: Tensor) -> Tensor:
        """Gather, and add in the order of the shards."""
        ctx.shape = here.shape
        return gather(here).flatten(0, 1).sum(0)

    @staticmethod
    def backward(ctx: Any, *slope: Tensor) -> Tensor:
        """The slope of the sum is that of each part: all processes have the same."""
        if torch.is_grad_enabled() and count() > 1:
            raise RuntimeError("second derivatives of a sum over several processes are not known")
        return slope[0].expand(ctx.shape)


def cuts(total: int, shards: int) -> list[int]:
    """Where the shards begin, and the last one ends: multiples of ATOMS, as equal as can be."""
    blocks = -(-total // ATOMS)
    if checks.count("shards", shards) > blocks:
        raise ValueError(
            f"{total} atoms are too few for {shards} shards of at least {ATOMS}; take fewer shards, or one process"
        )
    return [min(ATOMS * (blocks * k // shards), total) for k in range(shards + 1)]


def _share(total: int, shards: int) -> tuple[int, slice]:
    """The first shard of this process, and where its atoms are among all."""
    ends = cuts(total, shards)
    if shards % count():
        raise ValueError(
            f"{shards} shards cannot be shared equally by {count()} processes; take a multiple of them, such as "
            f"shards={count() * -(-shards // count())}"
        )
    each = shards // count()
    first = each * rank()
    return first, slice(ends[first], ends[first + each])
