"""The convex hull V** in w of a potential V(w, theta) at fixed theta: where it is V, and where it is a chord.

A chord touches V at both of its ends, with one slope.  A table of V finds it up to the spacing, a search in its cells
by values alone up to the root of rounding, and Newton's method polishes the ends where V is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jko.energies.base import Energy
from jko.measures import Particles
from jko.numerics.hulls import chords

CELLS, MOST = 512, 4096  # of the table: at first, and at most
ROOM, DOUBLINGS = 4.0, 16  # it reaches ROOM (1 + max |w|), and is doubled until the ends are inside
FAR, SPARSE = 4096.0, 97  # and points are looked at up to FAR times as far, so many on either side
NEAR = 4.0  # cells of the table, on either side, that the finer one of a place covers
ZOOMS, PARTS = 13, 4  # of the search: how often cells are cut, and into how many parts
BLOCK = 2**20  # values of V at a time
POLISHED = 1e-4  # Newton's steps are at most so long, as parts of the chord


class Bitangent(NamedTuple):
    """The chords above n places, by their ends in w, ``low <= w <= high``; ``low == high == w`` where V** is V.

    Shapes: (n,) each.
    """

    low: Tensor
    high: Tensor

    @property
    def is_chord(self) -> Tensor:
        """Whether there is a chord."""
        return self.low < self.high

    def share(self, w: Tensor) -> Tensor:
        """The mass of the lower end, of two with the mean w."""
        return (self.high - w) / (self.high - self.low)


@dataclass(frozen=True)
class Hull:
    """V as a linear energy, and the interval of w that the hull is over, or None for the line."""

    energy: Energy
    bounds: tuple[float, float] | None

    def values(self, mu: Particles, w: Tensor, theta: Tensor) -> Tensor:
        """V at each of w (n, m), one row for each theta (n, d); shape (n, m)."""
        n, m = w.shape
        at = torch.cat([w.reshape(-1, 1), theta.repeat_interleave(m, dim=0)], dim=1)
        parts = [self.energy.variation(mu, part) for part in at.split(BLOCK)]
        return torch.cat(parts).reshape(n, m)

    def over(self, mu: Particles, at: Tensor) -> Bitangent:
        """The chords above places (n, 1 + d)."""
        with torch.no_grad():
            at = at.detach()
            low, high = at[:, 0].clone(), at[:, 0].clone()
            left = torch.arange(len(at), device=at.device)
            for x in self._tables(at):
                for rows in left.split(max(1, BLOCK // len(x))):
                    low[rows], high[rows] = self._above(mu, at[rows], x)
                if self.bounds is not None:
                    break
                out = (low[left] <= x[0]) | (high[left] >= x[-1])
                found = Bitangent(low[left], high[left])
                left = left[out | self._undercut(mu, at[left], found, float(x[-1]))]
                if not len(left):
                    break
            else:
                raise ValueError(
                    f"V** at w = {float(at[left[0], 0]):g} has no chord within |w| <= {float(x[-1]):.3g}: V grows more "
                    "slowly than a line there, so that V** is -inf or has no minimiser; give bounds=(lower, upper) "
                    "for w, or add a potential that grows, such as lam * jko.SquaredNorm()"
                )
            return self._polished(mu, at, Bitangent(low, high))

    def _line(self, mu: Particles, at: Tensor, found: Bitangent) -> tuple[Tensor, Tensor]:
        """The line that touches V at the ends: its value at the lower one, and its slope."""
        low, high = (torch.cat([w[:, None], at[:, 1:]], dim=1) for w in found)
        V, top = (self.energy.variation(mu, z) for z in (low, high))
        own = self.energy.gradient(mu, low)[:, 0]
        return V, torch.where(found.is_chord, (top - V) / (found.high - found.low), own)

    def _undercut(self, mu: Particles, at: Tensor, found: Bitangent, reach: float) -> Tensor:
        """Whether V goes below that line far away, where points are looked at whose distances grow by a factor."""
        V, slope = self._line(mu, at, found)
        away = reach * FAR ** torch.linspace(0, 1, SPARSE).to(at)
        x = torch.cat([-away, away]).expand(len(at), -1)
        line = V[:, None] + slope[:, None] * (x - found.low[:, None])
        spare = 1e-9 * (1 + V.abs()[:, None] + (slope[:, None] * x).abs())
        return (self.values(mu, x, at[:, 1:]) < line - spare).any(1)

    def _tables(self, at: Tensor) -> list[Tensor]:
        """Abscissae of the tables to try, one after another."""
        if self.bounds is not None:
            low, high = self.bounds
            return [torch.linspace(low, high, CELLS + 1).to(at)]
        reach = ROOM * (1 + float(at[:, 0].abs().max()))
        reach = 2.0 ** int(
            torch.tensor(reach).log2().ceil()
        )  # steps that move w a little see one table
        sizes = [min(CELLS * 2**k, MOST) for k in range(DOUBLINGS)]
        return [
            torch.linspace(-1, 1, M + 1, dtype=at.dtype, device=at.device) * reach * 2.0**k
            for k, M in enumerate(sizes)
        ]

    def _above(self, mu: Particles, at: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Ends from one table; where it has no chord above w, from a finer one of the cells around w."""
        h = float(x[1] - x[0])
        low, high = self._of_table(mu, at, at.new_zeros(len(at)), x)
        rows = (low == high).nonzero()[:, 0]
        if len(rows):
            reach = NEAR * h
            middle = at[rows, 0]
            if self.bounds is not None:
                middle = middle.clamp(self.bounds[0] + reach, self.bounds[1] - reach)
            near = torch.linspace(-reach, reach, CELLS + 1).to(at)
            a, b = self._of_table(mu, at[rows], middle, near)
            inside = (a > middle - reach) & (b < middle + reach)
            low[rows], high[rows] = (
                torch.where(inside, a, low[rows]),
                torch.where(inside, b, high[rows]),
            )
        return low, high

    def _of_table(
        self, mu: Particles, at: Tensor, middle: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ends of the chord above w, or above a neighbour of w if it reaches over it, of tables at middle + x."""
        w, theta, h = at[:, 0], at[:, 1:], float(x[1] - x[0])
        table = self.values(mu, middle[:, None] + x, theta)
        low, high = w.clone(), w.clone()
        for shift in (0.0, -h, h):
            i, j = chords(table, x, (w - middle + shift).clamp(x[0], x[-1]))
            long = (j - i >= 2) & (low == high)
            if not bool(long.any()):
                continue
            ends = middle[long] + torch.stack([x[i[long]], x[j[long]]])
            room = middle[long] + x[0], middle[long] + x[-1]
            a, b = self._searched(mu, theta[long], ends, h, room)
            over = (a < w[long]) & (w[long] < b)
            rows = long.nonzero()[:, 0][over]
            low[rows], high[rows] = a[over], b[over]
        return low, high

    def _searched(
        self, mu: Particles, theta: Tensor, ends: Tensor, h: float, room: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Ends to the root of rounding: the minima of V - slope w around each, in windows that shrink."""
        grid = torch.linspace(-1, 1, 2 * PARTS + 1).to(ends)
        middle = ends.mean(0)  # which the lower end stays below, and the higher above
        least, most = torch.stack([room[0], middle]), torch.stack([middle, room[1]])
        for k in range(ZOOMS):
            V = torch.stack([self.values(mu, end[:, None], theta)[:, 0] for end in ends])
            slope = (V[1] - V[0]) / (ends[1] - ends[0])
            tried = ends[:, :, None] + 2 * h / PARTS**k * grid
            tried = torch.minimum(torch.maximum(tried, least[:, :, None]), most[:, :, None])
            below = torch.stack([self.values(mu, w, theta) for w in tried])
            best = (below - slope[:, None] * tried).argmin(-1, keepdim=True)
            ends = tried.gather(-1, best)[:, :, 0]
        return ends[0], ends[1]

    def _polished(self, mu: Particles, at: Tensor, found: Bitangent) -> Bitangent:
        """Newton's method for ``V_w(low) = V_w(high) = slope of the chord``, taken where it brings these together."""
        rows = found.is_chord.nonzero()[:, 0]
        if not len(rows):
            return found
        ends, theta = torch.stack([found.low[rows], found.high[rows]]), at[rows, 1:]
        for _ in range(2):
            places = [torch.cat([end[:, None], theta], dim=1) for end in ends]
            V = [self.energy.variation(mu, z) for z in places]
            slope = (V[1] - V[0]) / (ends[1] - ends[0])
            off = torch.stack([self.energy.gradient(mu, z)[:, 0] - slope for z in places])
            bend = torch.stack([self.energy.hessian(mu, z)[:, 0, 0] for z in places])
            step = -off / bend
            small = (bend > 0) & (step.abs() <= POLISHED * (ends[1] - ends[0]))  # not at kinks
            ends = torch.where(small & self._inside(ends), ends + step, ends)
        low, high = found.low.clone(), found.high.clone()
        low[rows], high[rows] = (
            torch.minimum(ends[0], at[rows, 0]),
            torch.maximum(ends[1], at[rows, 0]),
        )
        return Bitangent(low, high)

    def _inside(self, w: Tensor) -> Tensor:
        """Whether w is not at an end of the interval, where the slope of V need not be that of the chord."""
        if self.bounds is None:
            return torch.ones_like(w, dtype=torch.bool)
        return (self.bounds[0] < w) & (w < self.bounds[1])

    def depth(self, mu: Particles, at: Tensor, found: Bitangent) -> float:
        """How far V goes below the line that touches it at the ends, away from them; by the table, an estimate."""
        with torch.no_grad():
            V, slope = self._line(mu, at, found)
            x = next(
                x for x in self._tables(at) if self.bounds or x[-1] > 2 * found.high.abs().max()
            )
            above = self.values(mu, x.expand(len(at), -1), at[:, 1:]) - V[:, None]
            above = above - slope[:, None] * (x - found.low[:, None])
            bend = torch.zeros_like(above)
            bend[:, 1:-1] = above.diff(n=2, dim=1).abs()
            floor = torch.minimum(above[:, 1:], above[:, :-1])
            floor = floor - torch.maximum(bend[:, 1:], bend[:, :-1]) / 8
            h = x[1] - x[0]
            for end in (found.low, found.high):
                beside = (x[:-1] - h <= end[:, None]) & (end[:, None] <= x[1:] + h)
                floor = floor.masked_fill(beside, 0.0)
            return float((-floor).clamp(min=0).max())
