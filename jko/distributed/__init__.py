"""Neurons over processes: states whose atoms lie in several, by torch.distributed.

The same program runs in each process, started by ``torchrun --nproc-per-node P program.py``:

>>> import jko, torch
>>> from jko import distributed
>>> if distributed.launched():
...     distributed.start()
>>> points = torch.linspace(-1, 1, 512).double()[:, None]
>>> run = jko.flow(jko.SquaredNorm(), distributed.Sharded(points), tau=0.1, steps=2)
>>> distributed.gathered(run.final)
Particles(N=512, dim=1, weights=equal)
"""

from jko.distributed import certificates  # noqa: F401 (registers the certificate of shards)
from jko.distributed.processes import (
    ProcessLost,
    Stopped,
    count,
    gather,
    launched,
    rank,
    start,
    together,
    told,
)
from jko.distributed.saving import gathered, load, manifest, steps
from jko.distributed.sharded import Sharded

__all__ = [
    "start",
    "launched",
    "rank",
    "count",
    "Sharded",
    "gathered",
    "load",
    "gather",
    "told",
    "together",
    "manifest",
    "steps",
    "ProcessLost",
    "Stopped",
]
