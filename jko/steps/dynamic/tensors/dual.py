"""The dual function of a step and its first derivative, on whole fields."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from jko.energies import Mixture
from jko.steps.dynamic.tensors.conjugates import conjugate


def ahead(x: Tensor, o: int) -> Tensor:
    """x at the cell ``o`` further on."""
    return torch.roll(x, -o)


class Fields(NamedTuple):
    """What one evaluation of the dual leaves: J and the norm of its gradient F per unit cell volume, and fields.

    Shapes: rho, F (size,); mobilities M and slopes g (d, size); corner weights w, 2^d fields.
    """

    J: float
    norm: float
    rho: Tensor
    F: Tensor
    M: Tensor
    g: Tensor
    w: list[Tensor]


def evaluate(
    internal: Mixture,
    strides: list[int],
    inverse: Tensor,
    tau: float,
    phi: Tensor,
    V: Tensor,
    rho0: Tensor,
    M0: Tensor,
) -> Fields:
    """``J = sum_K mean_c U*(p_c) - rho0 phi + sum_f tau/2 M0 g^2`` with ``p_c = phi - V + tau/4 sum_a g_{c,a}^2``,

    its derivative ``F = rho - rho0 - tau div(M g)`` and what the Hessian needs.
    """
    share = 0.5 ** len(strides)
    g = torch.stack([inverse[a] * (ahead(phi, s) - phi) for a, s in enumerate(strides)])
    square = 0.25 * tau * g * g
    sides = [(ahead(square[a], -s), square[a]) for a, s in enumerate(strides)]
    corners = list(product((0, 1), repeat=len(strides)))
    total, rho, w, on_side = torch.zeros_like(phi), torch.zeros_like(phi), [], _zeros(sides)
    for corner in corners:
        p = phi - V + sum(sides[a][c] for a, c in enumerate(corner))
        value, r, weight = conjugate(internal, p)
        total, rho = total + share * value, rho + share * r
        w.append(share * weight)
        for a, c in enumerate(corner):
            on_side[a][c].add_(r, alpha=0.5 * share)
    M = M0 + torch.stack([h + ahead(low, s) for (low, h), s in zip(on_side, strides, strict=True)])
    M = torch.where(inverse > 0, M, torch.zeros_like(M))
    flux = tau * M * g * inverse
    F = rho - rho0 - sum(f - ahead(f, -s) for f, s in zip(flux, strides, strict=True))
    J = float((total - rho0 * phi).sum() + 0.5 * tau * (M0 * g * g).sum())
    return Fields(J, float(F.abs().sum()), rho, F, M, g, w)


def _zeros(sides: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    return [(torch.zeros_like(low), torch.zeros_like(high)) for low, high in sides]
