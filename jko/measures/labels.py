"""Rows that are equal: the atoms of a measure that sit at one place."""

from __future__ import annotations

import torch
from torch import Tensor


def labels(theta: Tensor) -> Tensor:
    """Number the distinct rows in order of first appearance."""
    order = torch.sort(theta[:, 0]).values
    if len(theta) == 1 or bool(
        (order[1:] > order[:-1]).all()
    ):  # one coordinate alone tells all atoms apart
        return torch.arange(len(theta), device=theta.device)
    _, label = torch.unique(theta, dim=0, return_inverse=True)
    first = first_rows(label)
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=theta.device)
    return rank[label]


def first_rows(label: Tensor) -> Tensor:
    """The first row that carries each label."""
    rows = torch.arange(len(label), device=label.device)
    return torch.full((int(label.max()) + 1,), len(label), device=label.device).scatter_reduce_(
        0, label, rows, "amin"
    )
