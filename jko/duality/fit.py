"""All risks of an energy as one convex function of all outputs, ``sum_j c_j sum_m q_m l_j(y_m)``, and its conjugate.

Outputs y and prices g are (M,): the data of all risks one after the other, k numbers for each data point.  Prices are
slopes of the losses, without the quadrature, so that ``<g, y>_q`` is what they are paired by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.energies import Risk, SquaredLoss, Weighted
from jko.measures import Particles

INSIDE = 0.9  # of the way to the end of the conjugate's domain, at most


@dataclass(frozen=True, eq=False)
class Fit:
    """``terms`` are the risks with their coefficients; ``none`` is an empty tensor, which says dtype and device."""

    terms: Weighted[Risk]
    none: Tensor

    @cached_property
    def q(self) -> Tensor:
        """Quadrature weights, with the coefficients c_j in them, (M,)."""
        return torch.cat([self.none, *(c * R.data.quadrature for c, R in self.terms)])

    @cached_property
    def f(self) -> Tensor:
        """Targets, (M,)."""
        return torch.cat([self.none, *(R.data.values for _, R in self.terms)])

    @cached_property
    def quadratic(self) -> bool:
        """Whether all losses are squared: the function is ``|y - f|_q^2 / 2``."""
        return all(isinstance(R.loss, SquaredLoss) for _, R in self.terms)

    def outputs(self, mu: Particles) -> Tensor:
        """f_mu."""
        return self._joined(R.predict(mu) for _, R in self.terms)

    def value(self, y: Tensor) -> float:
        """The function."""
        each = self.split(y)
        return sum(float(c * R.loss.total(y, R.data.f, R.data.weights)) for c, R, y in each)

    def slope(self, y: Tensor) -> Tensor:
        """The prices g at which y is the best answer."""
        return self._joined(R.loss.slope(y, R.data.f) for _, R, y in self.split(y))

    def conjugate(self, g: Tensor) -> float:
        """``sup over y of <g, y>_q - value(y)``; +inf outside of its domain."""
        if self.quadratic:
            return float((self.q * g * (0.5 * g + self.f)).sum())
        each = self.split(g)
        return sum(float(c * (R.data.weights @ R.loss.conjugate(g, R.data.f))) for c, R, g in each)

    def answer(self, g: Tensor) -> Tensor:
        """The y whose prices are g."""
        return self._joined(R.loss.answer(g, R.data.f) for _, R, g in self.split(g))

    def stepped(self, g: Tensor, step: Tensor) -> Tensor:
        """``g + step``, at each data point only as far as the conjugate is finite."""
        if self.quadratic:
            return g + step
        pairs = zip(self.split(g), self.split(step), strict=True)
        share = (
            (INSIDE * R.loss.room(g, s, R.data.f)).clamp(max=1).repeat_interleave(R.data.k)
            for (_, R, g), (_, _, s) in pairs
        )
        return g + self._joined(share) * step

    def reach(self, g: Tensor) -> float:
        """The largest s such that the conjugate is finite from 0 to s g."""
        rooms = (float(R.loss.room(0 * g, g, R.data.f).min()) for _, R, g in self.split(g))
        return min(rooms, default=torch.inf)

    def root(self, y: Tensor) -> Root:
        """Of the second derivatives at y."""
        each = ((R.loss.factor(y, R.data.f), y.numel()) for _, R, y in self.split(y))
        return Root(self.q.sqrt(), tuple(each))

    def split(self, y: Tensor) -> Iterator[tuple[float, Risk, Tensor]]:
        """The coefficient of each risk, the risk, and its part of y, with a row for each data point."""
        start = 0
        for c, R in self.terms:
            size = R.data.f.numel()
            yield c, R, y[start : start + size].view(R.data.f.shape)
            start += size

    def _joined(self, parts: Iterator[Tensor]) -> Tensor:
        return torch.cat([self.none, *(part.reshape(-1) for part in parts)])


@dataclass(frozen=True, eq=False)
class Root:
    """``C sqrt q`` with ``C C^T`` the second derivatives of the losses: one, diagonal, or a square for each point.

    ``factors`` holds C and the number of prices of each risk.
    """

    scale: Tensor
    factors: tuple[tuple[Tensor | None, int], ...]

    def __call__(self, x: Tensor) -> Tensor:
        """``C^T sqrt(q) x`` for x (..., M)."""
        return self._each(self.scale * x, "...mk,mkr->...mr")

    def back(self, u: Tensor) -> Tensor:
        """``C u / sqrt(q)`` for u (M,): the step of prices that belongs to it."""
        return self._each(u, "...mr,mkr->...mk") / self.scale

    def _each(self, x: Tensor, product: str) -> Tensor:
        if all(C is None for C, _ in self.factors):
            return x
        pieces = x.split([size for _, size in self.factors], -1)
        pairs = zip((C for C, _ in self.factors), pieces, strict=True)
        return torch.cat([_times(C, piece, product) for C, piece in pairs], dim=-1)


def _times(C: Tensor | None, x: Tensor, product: str) -> Tensor:
    """C or its transpose, at each data point."""
    if C is None:
        return x
    if C.ndim == 1:
        return x * C
    return torch.einsum(product, x.unflatten(-1, C.shape[:2]), C).flatten(-2)
