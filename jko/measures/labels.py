"""Rows that are equal: the atoms of a measure that sit at one place, and what they carry."""

from __future__ import annotations

import torch
from torch import Tensor


def labels(theta: Tensor) -> Tensor:
    """Number the distinct rows in order of first appearance."""
    theta = theta.detach()
    order = torch.sort(theta[:, 0]).values
    if bool((order.diff() > 0).all()):  # one coordinate alone tells all atoms apart
        return torch.arange(len(theta), device=theta.device)
    _, label = torch.unique(theta, dim=0, return_inverse=True)
    first = first_rows(label)
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=theta.device)
    return rank[label]


def first_rows(label: Tensor) -> Tensor:
    """The first row that carries each label."""
    rows, first = torch.arange(len(label)).to(label), label.new_zeros(int(label.max()) + 1)
    return first.scatter_reduce_(0, label, rows, "amin", include_self=False)


def merged(theta: Tensor, w: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Equal rows of theta as one: the rows (n, d), the mean of w in each, and their masses (n,)."""
    label = labels(theta)
    first, count = first_rows(label), int(label.max()) + 1
    mass = torch.zeros(count, dtype=w.dtype, device=w.device).index_add_(0, label, weights)
    H = torch.zeros_like(mass).index_add_(0, label, weights * w) / mass
    single = torch.bincount(label, minlength=count) == 1
    return theta[first], torch.where(single, w[first], H), mass  # one alone is not rounded


def check_graph(theta: Tensor, H: Tensor) -> None:
    """Refuse two atoms at one theta with different H."""
    H = H.detach()
    label = labels(theta)
    count = int(label.max()) + 1
    if count == len(theta):
        return
    low, high = (
        H.new_zeros(count).scatter_reduce_(0, label, H, which, include_self=False)
        for which in ("amin", "amax")
    )
    if bool((low < high).any()):
        bad = int((high - low).argmax())
        rows = torch.nonzero(label == bad).flatten()[:5].tolist()
        raise ValueError(
            f"the atoms in rows {rows} sit at one theta with different H (from {float(low[bad]):g} to "
            f"{float(high[bad]):g}), so H is not a function of theta; "
            "keep them as jko.Particles(points), whose .project() merges them with the mean of H"
        )
