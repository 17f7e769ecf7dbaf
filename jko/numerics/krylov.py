"""Conjugate gradients, for arrays and tensors alike; and GMRES in any inner product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

Vector = TypeVar("Vector", bound=Any)  # an array or a tensor, shape (n,)


class Solution(NamedTuple, Generic[Vector]):
    """An approximate solution.

    Attributes
    ----------
    x : (n,)
        The solution.
    products : int
        How often the operator was applied.
    positive : bool
        False where it ended early: a direction was met along which the operator is not positive.
    """

    x: Vector
    products: int
    positive: bool = True


def conjugate_gradients(
    product: Callable[[Vector], Vector],
    right: Vector,
    precondition: Callable[[Vector], Vector],
    enough: float,
    most: int,
    *,
    natural: bool = False,
) -> Solution[Vector]:
    """Solve ``product(x) = right`` by conjugate gradients, from zero.

    Parameters
    ----------
    product
        ``x -> A x`` with A symmetric and positive (semi)definite, shape (n,) to (n,).
    right
        (n,).
    precondition
        ``r -> P r``, P symmetric and positive definite, near the inverse of A.
    enough
        The size of the residual at which to stop.
    most
        How often A is applied at most.
    natural
        Measure residuals r by ``sqrt(r . P r)``, which no choice of units changes, and not by ``|r|_1``.
    """
    x, r, p = right * 0, right, right * 0
    before = float("inf")
    for done in range(most):
        if not natural and not float(abs(r).sum()) > enough:
            return Solution(x, done)
        z = precondition(r)
        rz = float(r @ z)
        if natural and not max(rz, 0.0) ** 0.5 > enough:
            return Solution(x, done)
        p = z + rz / before * p
        before = rz
        image = product(p)
        bend = float(p @ image)
        if not bend > 0:
            return Solution(x, done + 1, positive=False)
        x = x + rz / bend * p
        r = r - rz / bend * image
    return Solution(x, most)


def gmres(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    inner: Callable[[Tensor, Tensor], Tensor],
    enough: float,
    restart: int = 100,
    cycles: int = 5,
) -> Tensor:
    """Solve ``product(x) = right`` by GMRES, from zero: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986).

    Parameters
    ----------
    product
        ``x -> A x``, of one shape.
    right
        Of this shape, ``(...)``.
    inner
        The inner products of fields (k, ...) and (l, ...), shape (k, l).
    enough
        The residual at which to stop, in units of the right side's.
    restart, cycles
        The vectors that are kept, and how often it begins again.
    """
    x, r = torch.zeros_like(right), right
    room = right.new_empty(restart + 1, *right.shape)
    goal = enough * float(inner(right[None], right[None])) ** 0.5
    for _ in range(cycles):
        size = float(inner(r[None], r[None])) ** 0.5
        if not size > goal:
            break
        torch.div(r, size, out=room[0])
        H, first = np.zeros((restart + 1, restart)), np.eye(restart + 1)[0] * size
        for k in range(restart):
            w, basis = product(room[k]), room[: k + 1]
            for _ in range(2):  # once is not enough for rounding
                shares = inner(w[None], basis)[0]
                w = w - torch.tensordot(shares, basis, dims=1)
                H[: k + 1, k] += shares.cpu().numpy()
            H[k + 1, k] = float(inner(w[None], w[None])) ** 0.5
            used = H[: k + 2, : k + 1]
            y = np.linalg.lstsq(used, first[: k + 2], rcond=None)[0]
            done = np.linalg.norm(used @ y - first[: k + 2]) <= goal
            if done or not H[k + 1, k] > 0:
                break
            torch.div(w, H[k + 1, k], out=room[k + 1])
        x = x + torch.tensordot(right.new_tensor(y), room[: len(y)], dims=1)
        r = right - product(x)
    return x
