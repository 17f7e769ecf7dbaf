"""Neurons to begin with."""

from __future__ import annotations

import torch

from jko import checks
from jko.measures import Particles
from jko.networks.data import Data


def drawn(N: int, data: Data, generator: torch.Generator) -> Particles:
    """N independent neurons ``(w_1 ... w_k, theta', bias)`` for :class:`jko.Ridge`, in the dtype of the data.

    ``w ~ N(0, 1)`` for each output, ``theta' ~ N(0, 1/n)``, so that ``theta' . x`` is of order one for standardised x,
    and ``bias ~ N(0, 1)``.

    Examples
    --------
    >>> import jko, torch
    >>> data = jko.Data(torch.zeros(5, 3), torch.zeros(5, 2))
    >>> jko.networks.drawn(4, data, torch.Generator().manual_seed(0))
    Particles(N=4, dim=6, weights=equal)
    """
    checks.count("N", N)
    checks.kind("data", data, Data, hint="build it by jko.Data(x, f)")
    checks.kind("generator", generator, torch.Generator, hint="torch.Generator().manual_seed(0)")
    k, n = data.k, data.n
    points = torch.randn(
        N, k + n + 1, generator=generator, dtype=torch.float64, device=generator.device
    )
    points[:, k:-1] /= n**0.5
    return Particles(points.to(data.x))
