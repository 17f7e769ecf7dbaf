"""Random points, always from a generator that is given: nothing here depends on a global state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.spaces import Box, Grid, Torus


def normal(N: int, dim: int, generator: torch.Generator, scale: float) -> Tensor:
    """Points (N, dim) from the normal law with mean zero and covariance scale^2 I."""
    like = _of(generator)
    shape, scale = checks.size(N=N, dim=dim), checks.number("scale", scale, least=0)
    return scale * torch.randn(shape, generator=generator, **like)


def uniform(N: int, box: Box | Torus, generator: torch.Generator) -> Tensor:
    """Points (N, dim), uniform on a bounded box."""
    checks.kind("box", box, Box, Torus, hint="build it by jko.Box(lower, upper)")
    like = _of(generator)
    lower, upper = box.lower.to(generator.device), box.upper.to(generator.device)
    if not bool(torch.isfinite(upper - lower).all()):
        raise ValueError(f"{box!r} is unbounded; a uniform law needs finite bounds")
    unit = torch.rand(checks.size(N=N, dim=box.dim), generator=generator, **like)
    return lower + (upper - lower) * unit


def in_cells(N: int, grid: Grid, masses: Tensor, generator: torch.Generator) -> Tensor:
    """Points (N, d), uniform inside the cells they fall into, which have ``masses`` (grid.N,)."""
    like = _of(generator)
    shape = checks.size(N=N, dim=grid.dim)
    cells = torch.multinomial(masses, N, replacement=True, generator=generator)
    unit = torch.rand(shape, generator=generator, **like)
    spacing = masses.new_tensor(grid.spacing)
    return grid.centres.to(masses)[cells] + spacing * (unit.to(masses) - 0.5)


def _of(generator: torch.Generator) -> dict[str, Any]:
    hint = "pass torch.Generator().manual_seed(0)"
    checks.kind("generator", generator, torch.Generator, hint=hint)
    return {"dtype": torch.float64, "device": generator.device}
