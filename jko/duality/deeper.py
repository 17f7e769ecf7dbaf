"""A second look for inner minima that no bound on derivatives proves: many more starts than in every round.

Each turn takes the next points of the low-discrepancy sequence, around the atoms at several scales; those lower than
their neighbours are where basins may be, and every block starts from the lowest of its own.  Every block also starts
from the minimisers and atoms of all other blocks.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from jko.duality.envelope import Envelope
from jko.duality.minima import Minima, rank

SCALES = (0.5, 1.0, 1.0, 4.0)  # of the extent of the atoms
POINTS = 1024  # at each scale, in one turn
NEIGHBOURS = 6
BREADTH = 128  # starts of a block, at most; a single one takes twice as many
WORK = 1e6  # starts x data x dim^2, at most
KEPT = 12  # minimisers of a block that are handed on


def deeper(envelope: Envelope, g: Tensor, known: Minima, turn: int) -> Minima:
    """Local minimisers at ``g`` from the starts of a turn, joined with those known; each block keeps its lowest.

    Parameters
    ----------
    envelope : Envelope
        What is minimised.
    g : (M,)
        The prices.
    known : Minima
        Minimisers found so far, and other points that are worth a start.
    turn : int
        0, 1, ...: no two turns have the same starts.
    """
    count = breadth(envelope)
    if not count:
        return known
    scale = torch.tensor(SCALES).to(envelope.own).repeat_interleave(POINTS)[:, None]
    lattice = envelope.lattice(len(scale), 1 + len(scale) * turn, scale)
    starts = [_basins(envelope, g, lattice, count), _basins(envelope, g, known.points, count)]
    starts.append((known.points, known.block))
    z, block = (torch.cat(part) for part in zip(*starts, strict=True))
    found = envelope.descended(g, z, block)
    keep = rank(found.block) < KEPT
    return found._replace(
        points=found.points[keep], block=found.block[keep], values=found.values[keep]
    )


def breadth(envelope: Envelope) -> int:
    """Starts that each block can be given; 0 where the problem is too large for more than it has had."""
    most = BREADTH if envelope.N > 1 else 2 * BREADTH
    M, dim = len(envelope.minorant.q), envelope.anchors.shape[1]
    return min(most, int(WORK / (envelope.N * max(M, 1) * dim**2)))


def _basins(envelope: Envelope, g: Tensor, pool: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each block the lowest points of the pool that are lower than their neighbours, w chosen best."""
    table = envelope.table(g, pool)
    if len(pool) > NEIGHBOURS + 1:
        places = pool.detach().cpu().numpy()
        found = cKDTree(places).query(places, NEIGHBOURS + 1)[1]
        own = np.arange(len(places))[:, None]  # a neighbour beyond all numbers is none
        near = torch.from_numpy(np.where(found == len(places), own, found)).to(pool.device)
        table = torch.where(table <= table[:, near].amin(2), table, torch.inf)
    values, pick = table.topk(min(count, len(pool)), largest=False)
    block = torch.arange(envelope.N, device=pool.device)[:, None].expand_as(pick)
    some = torch.isfinite(values)
    return envelope.placed(g, pool, pick[some], block[some])
