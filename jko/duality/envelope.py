"""The Moreau envelope e_tau[phi](y) = min over z of phi(z) + |z - y|^2 / (2 tau), at all base atoms at once.

phi is not convex, so this is a global minimisation in a few dimensions, once for each base atom.  It is done by many
local ones in a single batch, from starts chosen by a fixed rule: no random numbers.  The rate 1/tau may be zero; then
the envelope is min phi, and one block stands for all atoms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.duality.descent import descend
from jko.duality.minima import Minima, order, rank
from jko.duality.minorant import Minorant
from jko.spaces import Box, Cylinder, Domain, projected

STARTS = 4  # of each block from the pool; a single block takes SINGLE
SINGLE = 12
KNOWN = (
    10  # of each block from the minimisers known at other prices; a single block takes up to 100
)
LATTICE = 128  # points of a low-discrepancy sequence in the pool
ROUNDING = 1e-13  # of a gradient, relative to the parts that cancel in it
FAR = 1e3  # times the size of the problem: what runs out so far is taken to run to infinity
NEIGHBOUR = 0.2  # distance, relative to the spread of the pool, at which starts are one
SAME = 1e-6  # distance, relative to the size, at which two minimisers are one


@dataclass(frozen=True, eq=False)
class Envelope:
    """``min over z of phi_g(z) + rate |z - y_i|^2 / 2`` for the anchors y, z in the domain.

    Attributes
    ----------
    minorant : Minorant
        Gives phi_g.
    anchors : (N, dim)
        The base atoms y; a block for each.
    rate : float
        1 / tau, >= 0.
    domain : Domain, optional
        Where z may be.
    own : (N', dim)
        Where the atoms are now; if N' = N, block i starts from own[i].
    """

    minorant: Minorant
    anchors: Tensor
    rate: float
    domain: Domain | None
    own: Tensor

    @property
    def N(self) -> int:
        """Number of blocks."""
        return len(self.anchors)

    @property
    def stiffness(self) -> float | None:
        """k = lam + rate for V = lam |xi|^2 / 2: the curvature of all but <g, Phi>; None for another V."""
        return None if self.minorant.lam is None else self.minorant.lam + self.rate

    @property
    def w_range(self) -> tuple[Tensor, Tensor] | None:
        """The intervals of w where the domain is R x Theta or a box, (k,); None where w and theta are tied."""
        k, like = self.minorant.width, self.anchors
        if self.domain is None or (isinstance(self.domain, Cylinder) and k == 1):
            return like.new_full((k,), -math.inf), like.new_full((k,), math.inf)
        if isinstance(self.domain, Box):
            return self.domain.lower[:k].to(like), self.domain.upper[:k].to(like)
        return None

    @cached_property
    def size(self) -> float:
        """A length: one plus how far the points are spread."""
        points = torch.cat([self.anchors, self.own])
        return 1.0 + float((points - points.mean(0)).norm(dim=1).max())

    @cached_property
    def pool(self) -> Tensor:
        """Points that any block may start from: atoms, anchors, a lattice around them, (C, dim)."""
        return torch.cat([self.own, self.anchors, self.lattice(LATTICE, 1)])

    def lattice(self, count: int, first: int, scale: Tensor | float = 1.0) -> Tensor:
        """Points of the low-discrepancy sequence from the ``first`` on, in a box around the atoms, (count, dim)."""
        points = torch.cat([self.own, self.anchors])
        middle, engine = points.mean(0), torch.quasirandom.SobolEngine(points.shape[1])
        engine.fast_forward(first)
        sobol = engine.draw(count, dtype=points.dtype).to(points.device)
        reach = 1.0 + 2 * (points - middle).abs().amax(0)
        return projected(middle + scale * reach * (2 * sobol - 1), self.domain)

    def value(self, g: Tensor, z: Tensor, block: Tensor) -> Tensor:
        """phi_g(z) + rate |z - y|^2 / 2, shape (b,)."""
        return self.minorant.value(g, z) + self._distance(z, block)

    def cost(self, z: Tensor, block: Tensor) -> Tensor:
        """V(z) + rate |z - y|^2 / 2, shape (b,)."""
        return self.minorant.potential(z) + self._distance(z, block)

    def _distance(self, z: Tensor, block: Tensor) -> Tensor:
        return 0.5 * self.rate * ((z - self.anchors[block]) ** 2).sum(1)

    def gradient(self, g: Tensor, z: Tensor, block: Tensor) -> Tensor:
        """The gradient of phi_g + rate |. - y|^2 / 2, shape (b, dim)."""
        return self.minorant.slope(g, z)[1] + self.rate * (z - self.anchors[block])

    def hessian(self, g: Tensor, z: Tensor) -> Tensor:
        """Second derivatives of phi_g + rate |. - y|^2 / 2, shape (b, dim, dim)."""
        H = self.minorant.hessian(g, z)
        H.diagonal(dim1=1, dim2=2).add_(self.rate)
        return H

    def search(self, g: Tensor, known: Minima | None = None, thorough: bool = True) -> Minima:
        """Local minimisers for every block.

        Parameters
        ----------
        g : (M,)
            The prices.
        known : Minima, optional
            Minimisers at other prices: each block starts from its own ones, and may start from the others'.
        thorough
            False: one start for each block, its own atom or where another one's is better.
        """
        every = torch.arange(self.N, device=self.anchors.device)
        if self.flat(g):
            return self._at_once(g, every)
        pool = self.pool if known is None else torch.cat([self.pool, known.points])
        table = self.table(g, pool)
        count = (SINGLE if self.N == 1 else STARTS) if thorough else 1
        starts = [self._picked(table, pool, g, count)]
        if len(self.own) == self.N and thorough:
            starts.append((self.own, every))
        if known is not None:
            values = self.value(g, known.points, known.block)
            lowest = order(known.block, values)
            lowest = lowest[rank(known.block[lowest]) < (KNOWN if self.N > 1 else 10 * KNOWN)]
            starts.append((known.points[lowest], known.block[lowest]))
        elif thorough:
            starts.append(self._escapes(g))
        z, block = (torch.cat(part) for part in zip(*starts, strict=True))
        if not thorough:
            z, block = self._best_start(g, z, block)
        return self.descended(g, z, block)

    def descended(self, g: Tensor, z: Tensor, block: Tensor, fine: float = 0.0) -> Minima:
        """The local minimisers below the starts ``z`` of the blocks ``block``, to ``fine``; every block has a start."""
        step = 1.0 / (self.stiffness or self.rate or 1.0)
        z, values = descend(_Rows(self, g, block), z, self.domain, abs(step), self._far, fine)
        return self._collect(z, block, values)

    def table(self, g: Tensor, pool: Tensor) -> Tensor:
        """The value of every pool point for every block, w chosen best where it can be; shape (N, C)."""
        return self.priced(self.paid(g, pool), pool)

    def paid(self, g: Tensor, pool: Tensor) -> Tensor:
        """What prices say of a pool: c_g(theta), (C,) or (C, k), where w is chosen best; else phi_g, (C,)."""
        if not self.chosen:
            return self.minorant.value(g, pool)
        with torch.no_grad():
            return self.minorant.charge(g, pool[:, self.minorant.width :])

    def priced(self, paid: Tensor, pool: Tensor) -> Tensor:
        """The table of a pool for which that is paid, (N, C)."""
        minorant, k, width = self.minorant, self.stiffness or 0.0, self.minorant.width
        if not self.chosen:
            return paid + 0.5 * self.rate * torch.cdist(self.anchors, pool) ** 2
        theta = pool[:, width:]
        near = 0.5 * self.rate * torch.cdist(self.anchors[:, width:], theta) ** 2
        rest = near + 0.5 * float(minorant.lam or 0.0) * (theta**2).sum(1)
        y, c = (self.anchors[:, :1], paid) if width == 1 else (self.anchors[:, None, :width], paid)
        w = self._best_w(c, y)
        each = w * (c + 0.5 * k * w - self.rate * y) + 0.5 * self.rate * y**2
        return rest + (each if width == 1 else each.sum(2))

    def _best_w(self, c: Tensor, y: Tensor) -> Tensor:
        """w* = (y_w rate - c_g(theta)) / k, cut to its interval."""
        w = (self.rate * y - c) / (self.stiffness or 1.0)
        return w if self.w_range is None else w.clamp(*self.w_range)

    def _picked(self, table: Tensor, pool: Tensor, g: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The best pool points of each block, one from each neighbourhood."""
        every, table = torch.arange(self.N, device=pool.device), table.clone()
        place = pool[:, self.minorant.width :] if self.chosen else pool
        near = None
        if count > 1 and len(place) > 1 and place.shape[1]:  # theta may have no coordinates
            near = torch.cdist(place, place) < NEIGHBOUR * place.std(0).norm()
        picks = []
        for _ in range(count):
            pick = table.argmin(1)
            picks.append(pick)
            if near is not None:
                table[near[pick]] = torch.inf
        picked = torch.cat(picks)
        return self.placed(pool[picked], self.paid(g, pool)[picked], every.repeat(count))

    def placed(self, z: Tensor, paid: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
        """The points z for the blocks ``block``, with the best w where it can be chosen: ``paid`` is said of them."""
        if not self.chosen:
            return z, block
        width = self.minorant.width
        w = self._best_w(paid.view(len(z), -1), self.anchors[block, :width])
        return torch.cat([w, z[:, width:]], dim=1), block

    @property
    def chosen(self) -> bool:
        """Whether the best w of a theta is known in closed form."""
        linear = self.minorant.activations is not None and self.w_range is not None
        return linear and bool(self.stiffness)

    def _escapes(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Points to both sides of each atom and anchor, along the direction of lowest curvature."""
        every = torch.arange(self.N, device=self.anchors.device)
        sources = [self.anchors, *([self.own] if len(self.own) == self.N else [])]
        starts = []
        for z in sources:
            # at a kink, or above the largest number, it is no number
            H = self.hessian(g, z).nan_to_num(0.0, 0.0, 0.0)
            lowest = torch.linalg.eigh(H)[1][:, :, 0]
            starts += [z + s * lowest for s in (-1.0, -0.1, 0.1, 1.0)]
        return torch.cat(starts), every.repeat(len(starts))

    def _best_start(self, g: Tensor, z: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.own) == self.N:
            z = torch.cat([self.own, z])
            block = torch.cat([torch.arange(self.N, device=block.device), block])
        rows = order(block, self.value(g, z, block))
        rows = rows[rank(block[rows]) == 0]
        return z[rows], block[rows]

    def flat(self, g: Tensor) -> bool:
        """Whether phi_g + rate |. - y|^2 / 2 has no curvature in w (lam = rate = 0, w free): minimum -inf or 0."""
        free = self.w_range is not None and not all(bool(w.isfinite().all()) for w in self.w_range)
        linear = self.minorant.activations is not None or not self.minorant.risks
        return self.stiffness == 0 and free and linear

    def _at_once(self, g: Tensor, every: Tensor) -> Minima:
        z = projected(self.anchors, self.domain)
        value = self.value(g, z, every)
        zero = bool((self.minorant.q * g == 0).all())
        return Minima(z, every, value, value if zero else torch.full_like(value, -torch.inf))

    @property
    def _far(self) -> float:
        k = self.stiffness or self.rate or 1.0
        return FAR * self.size * (1 + 1 / max(abs(k), 1e-12))

    def _collect(self, z: Tensor, block: Tensor, values: Tensor) -> Minima:
        """Minimisers without repetitions; those that ran away are called back to a moderate distance."""
        out = z - self.anchors[block]
        norm = out.norm(dim=1, keepdim=True)
        away = (norm[:, 0] >= 0.5 * self._far) | ~torch.isfinite(values)
        lowest = values.new_full((self.N,), torch.inf).scatter_reduce_(0, block, values, "amin")
        lowest[block[away]] = -torch.inf
        z = torch.where(
            away[:, None], self.anchors[block] + out * (4 * self.size / norm.clamp(min=1e-300)), z
        )
        finite = torch.isfinite(z).all(1)
        z, block, values = z[finite], block[finite], values[finite]
        rows = order(block, values)
        z, block, values = z[rows], block[rows], values[rows]
        keep = torch.ones_like(block, dtype=torch.bool)
        for lag in range(1, int(torch.bincount(block, minlength=1).max())):
            same = (
                (block[lag:] == block[:-lag])
                & ((z[lag:] - z[:-lag]).norm(dim=1) < SAME * self.size)
                & keep[:-lag]
            )
            keep[lag:] &= ~same
        return Minima(z[keep], block[keep], values[keep], lowest)


@dataclass(frozen=True)
class _Rows:
    """The envelope as a landscape: row j belongs to ``block[j]``."""

    envelope: Envelope
    g: Tensor
    block: Tensor

    def value(self, z: Tensor, rows: Tensor) -> Tensor:
        return self.envelope.value(self.g, z, self.block[rows])

    def slope(self, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        envelope = self.envelope
        _, slope = envelope.minorant.slope(self.g, z)
        pull = envelope.rate * (z - envelope.anchors[self.block[rows]])
        k = abs(envelope.stiffness or envelope.rate)
        return slope + pull, ROUNDING * (
            slope.norm(dim=1) + pull.norm(dim=1) + k * (0.1 + z.norm(dim=1))
        )

    def hessian(self, z: Tensor, rows: Tensor) -> Tensor:
        return self.envelope.hessian(self.g, z)
