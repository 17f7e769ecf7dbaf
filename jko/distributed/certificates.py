"""The certificate of a coupling whose atoms lie in several processes.

The step's own potential p proves ``x_i <-> y_i`` optimal if ``|x_i - y_i|^2/2 + p_i - p_j - |x_j - y_i|^2/2 <= 0`` for
all i, j (:func:`jko.metrics.by_potential`).  Each process prices the atoms of all shards, which are sent one after the
other, against its own: N^2 / P pairs.  Where this proves nothing, as after a loose step, and the atoms are few, each
process looks at all of them as one would; else nothing is proved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from jko.distributed.processes import count, rank, sent
from jko.distributed.sharded import Sharded, cuts
from jko.metrics import Certificate, Proof, as_array, certify, examined
from jko.metrics.certificates import TOLERANCE
from jko.metrics.couplings import Array, pair_costs
from jko.metrics.pricing import price, rounding

FEW = 20_000  # atoms that every process may look at


@examined.register
def _(base: Sharded, x: Array, y: Array, potential: Array) -> Certificate:
    base = base._with(points=base.points.double(), weights=base.weights.double())
    found = by_potential(base, x, y, potential)
    if found.optimal or base.total > FEW:
        return found
    fields = (torch.from_numpy(a).to(base.points.device) for a in (x, y, potential))
    x, y, potential = (as_array(base.whole(field)) for field in fields)
    again = certify(x, y, as_array(base.whole(base.weights)), potential)
    relabels = again.plan is not None and again.plan.is_permutation and base.has_equal_weights
    return again if again.optimal or relabels else replace(again, plan=None)


def by_potential(base: Sharded, x: Array, y: Array, potential: Array) -> Certificate:
    """The proof by the step's own potential, shard by shard."""
    index = np.arange(len(x))
    costs = pair_costs(x, y, index, index)
    level = float(base.integrate(torch.from_numpy(potential).to(base.points.device)))
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
    cost, gap, spare = base.integrate(columns.to(base.points.device)).tolist()
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
