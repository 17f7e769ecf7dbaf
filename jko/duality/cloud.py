"""A cloud of candidates for the minima of all blocks at once, and what prices say of it.

What a price says of a candidate is linear in the price.  So the features of a cloud that serves at many prices are
kept; then one product prices it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from jko.duality.envelope import Envelope

SCALES = (0.5, 1.0, 1.0, 4.0)  # of the extent of the atoms
NEIGHBOURS = 6
KEPT = 2**23  # features of a cloud, at most; of a larger one they are computed each time


@dataclass(frozen=True, eq=False)
class Cloud:
    """Candidates z, (C, dim); where the best w of each theta is known their w is not looked at.

    ``features`` holds h(theta, x), or Phi(z, x), of each risk, (C, M): None where they are not kept.
    """

    points: Tensor
    places: Tensor
    features: tuple[Tensor, ...] | None = None

    @classmethod
    def of(cls, envelope: Envelope, points: Tensor, keep: bool = False) -> Cloud:
        """These points; ``keep`` where they are to be priced many times."""
        minorant = envelope.minorant
        places = points[:, minorant.width :] if envelope.chosen else points
        if not keep or not minorant.risks or len(points) * len(minorant.q) > KEPT:
            return cls(points, places)
        with torch.no_grad():
            maps = [R.activation if envelope.chosen else R.features for R in minorant.risks]
            pairs = zip(maps, minorant.risks, strict=True)
            features = tuple(h(places, R.data.x) for h, R in pairs if h is not None)
        return cls(points, places, features)

    @cached_property
    def near(self) -> Tensor | None:
        """The nearest neighbours of each candidate, itself first, (C, NEIGHBOURS); None where there are too few."""
        if len(self.places) <= NEIGHBOURS + 1 or not self.places.shape[1]:
            return None
        places = self.places.detach().cpu().numpy()
        found = cKDTree(places).query(places, NEIGHBOURS + 1)[1]
        own = np.arange(len(places))[:, None]  # a neighbour beyond all numbers is none
        near = torch.from_numpy(np.where(found == len(places), own, found))
        return near.to(self.points.device)

    def paid(self, envelope: Envelope, g: Tensor) -> Tensor:
        """:meth:`Envelope.paid` at the candidates."""
        if self.features is None:
            return envelope.paid(g, self.points)
        minorant = envelope.minorant
        prices = minorant.charges(g) if envelope.chosen else minorant.prices(g)
        paid = sum(h @ price for h, price in zip(self.features, prices, strict=True))
        assert isinstance(paid, Tensor)
        return paid if envelope.chosen else paid + minorant.potential(self.points)

    def basins(self, envelope: Envelope, g: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """For each block the lowest candidates that are lower than their neighbours, w chosen best; with their blocks.

        Returns
        -------
        points (b, dim), block (b,)
        """
        paid = self.paid(envelope, g)
        table = envelope.priced(paid, self.points)
        if self.near is not None:
            columns = table.T.contiguous()  # rows are read faster
            low = columns[self.near[:, 1]]
            for k in range(2, NEIGHBOURS + 1):
                torch.minimum(low, columns[self.near[:, k]], out=low)
            table = torch.where(columns <= low, columns, torch.inf).T
        values, pick = table.topk(min(count, len(self.points)), largest=False)
        block = torch.arange(envelope.N, device=pick.device)[:, None].expand_as(pick)
        some = torch.isfinite(values)
        pick, block = pick[some], block[some]
        return envelope.placed(self.points[pick], paid[pick], block)


def scattered(envelope: Envelope, count: int, turn: int) -> Tensor:
    """The points of a turn of the low-discrepancy sequence, around the atoms at several scales; no two turns share."""
    scale = torch.tensor(SCALES).to(envelope.own).repeat_interleave(count)[:, None]
    return envelope.lattice(len(scale), 1 + len(scale) * turn, scale)
