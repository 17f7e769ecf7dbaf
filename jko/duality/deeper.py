"""A second look for inner minima that no bound on derivatives proves: many more starts than in every round.

Each turn takes the next points of the low-discrepancy sequence, around the atoms at several scales; those lower than
their neighbours are where basins may be, and every block starts from the lowest of its own.  Every block also starts
from the minimisers and atoms of all other blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.duality.cloud import Cloud, scattered
from jko.duality.envelope import Envelope
from jko.duality.minima import Minima, rank

POINTS = 1024  # at each scale, in one turn
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
    cloud = Cloud.of(envelope, scattered(envelope, POINTS, turn))
    known_cloud = Cloud.of(envelope, known.points)
    starts = [cloud.basins(envelope, g, count), known_cloud.basins(envelope, g, count)]
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
