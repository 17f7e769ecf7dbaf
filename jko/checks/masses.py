"""Masses: what makes numbers a probability measure, or a quadrature."""

import math
from typing import Any

import torch
from torch import Tensor

from jko.checks.arrays import floats, owned, shape

WEIGHT_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def weights(name: str, value: Any, count: int, like: Tensor) -> Tensor:
    """Positive weights with sum one; ``None`` means equal weights."""
    if value is None:
        return _equal(count, like)
    result = shape(name, owned(name, value, like), (count,))
    judged = result.detach()
    lowest, total = float(judged.min()), float(judged.sum())
    if lowest <= 0:
        i = int(judged.argmin())
        raise ValueError(
            f"{name}[{i}] = {lowest:g}; weights of atoms must be positive: drop atoms of weight zero, and "
            "put signs into the charge H (or w) of the atom, not into its mass"
        )
    if not abs(total - 1) <= WEIGHT_TOLERANCE[result.dtype]:
        raise ValueError(
            f"{name} sums to {total:.12g}; a state is a probability measure: "
            f"pass {name} / {name}.sum() if that is meant"
        )
    return result


def density(name: str, tensor: Tensor, shape_: tuple[int, ...], cell: float) -> Tensor:
    """Values of a probability density on cells of volume ``cell``."""
    if tuple(tensor.shape) != shape_:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; the grid has {shape_} cells: one value for each is needed"
        )
    judged = tensor.detach()
    lowest, total = float(judged.min()), float(judged.sum()) * cell
    if lowest < 0:
        raise ValueError(
            f"{name} goes down to {lowest:g}; a density is not negative: "
            "GridDensity.from_function(grid, lambda x: f(x).clamp(min=0)) cuts and normalises"
        )
    if abs(total - 1) > WEIGHT_TOLERANCE[tensor.dtype]:
        raise ValueError(
            f"{name} has total mass {total:.12g} (sum times the cell volume {cell:g}); a state is a probability "
            f"measure: pass {name} / ({name}.sum() * grid.cell) if that is meant"
        )
    return tensor


def quadrature(name: str, value: Any, count: int, like: Tensor) -> Tensor:
    """Positive quadrature weights (any total); ``None`` means 1 / count each."""
    if value is None:
        return _equal(count, like)
    result = shape(name, owned(name, value, like, "x"), (count,))
    if (lowest := float(result.detach().min())) <= 0:
        raise ValueError(
            f"{name}[{int(result.argmin())}] = {lowest:g}; quadrature weights must be positive"
        )
    return result


def _equal(count: int, like: Tensor) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((count,), 1.0 / count, dtype=like.dtype, device=like.device)


def unit(name: str, value: Tensor) -> Tensor:
    """Values to be normalised, divided by the power of two at the largest: sums of them stay in range, exactly."""
    top = float(floats(name, value).detach().max())
    if not top > 0:
        raise ValueError(f"{name} is at most {top:g} on its points; it must be positive somewhere")
    return value / (top / math.frexp(top)[0])
