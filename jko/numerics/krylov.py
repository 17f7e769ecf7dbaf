"""Conjugate gradients, for arrays and tensors alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

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
