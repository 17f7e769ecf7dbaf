"""The certificate of a coupling whose atoms lie in several processes.

The step's own potential p proves ``x_i <-> y_i`` optimal if ``|x_i - y_i|^2/2 + p_i - p_j - |x_j - y_i|^2/2 <= 0`` for
all i, j (:func:`jko.metrics.by_potential`).  Each process prices the atoms of all shards, which are sent one after the
other, against its own: N^2 / P pairs.  There is nothing beyond: where this proves nothing no other plan is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from jko.distributed.processes import count, rank, sent
from jko.distributed.sharded import Sharded, cuts
from jko.metrics import Certificate, Proof, examined
from jko.metrics.certificates import TOLERANCE
from jko.metrics.couplings import Array, pair_costs
from jko.metrics.pricing import price, rounding


@examined.register
def _(base: Sharded, x: Array, y: Array, potential: Array) -> Certificate:
    index = np.arange(len(x))
    costs = pair_costs(x, y, index, index)
    level = float(base.integrate(torch.from_numpy(potential).to(base.weights)))
    alpha = -2 * (potential - level)
    beta = costs - alpha
    ends = np.cumsum([0, *base.sizes])
    deficit, unsure = np.zeros(len(x)), rounding(x.shape[1], 0 * costs, alpha, beta)
    hidden = np.zeros(len(x))
    for there, theirs in _shards(base, x, alpha):
        for a, b in pairwise(ends):
            priced = price(there, y[a:b], theirs, beta[a:b])
            np.maximum(deficit[a:b], priced.deficit, out=deficit[a:b])
            np.maximum(hidden[a:b], priced.unsure, out=hidden[a:b])
    columns = torch.from_numpy(np.stack([costs, deficit, unsure + hidden], axis=1))
    cost, gap, spare = base.integrate(columns.to(base.weights)).tolist()
    proved = gap + spare <= TOLERANCE * cost or cost == 0
    bound = gap if proved else gap + spare
    return Certificate(Proof.POTENTIAL, min(bound, cost), cost, None, proved)


def _shards(base: Sharded, x: Array, alpha: Array) -> Iterator[tuple[Array, Array]]:
    """The new atoms of every shard, with their potential."""
    mine = torch.from_numpy(np.column_stack([x, alpha])).to(base.points.device)
    ends, each = cuts(base.total, base.shards), len(base.sizes)
    for process in range(count()):
        sizes = np.diff(ends[process * each : (process + 1) * each + 1]).tolist()
        theirs = mine if process == rank() else mine.new_empty(sum(sizes), mine.shape[1])
        for shard in sent(theirs, process).cpu().split(sizes):
            yield shard[:, :-1].contiguous().numpy(), shard[:, -1].contiguous().numpy()
