"""The Hessian of the dual on all levels, and conjugate gradients preconditioned by a V-cycle that is not serial.

The smoother is a Chebyshev polynomial of the fourth kind (Lottes 2022) in place of Gauss-Seidel, for eigenvalues up to
a bound by row sums; the coarsest level is solved directly.
"""

from __future__ import annotations

from itertools import combinations, pairwise, product

import torch
from torch import Tensor

from jko.numerics.krylov import conjugate_gradients
from jko.steps.dynamic.layout import Layout
from jko.steps.dynamic.tensors.dual import ahead

DEGREE = 3  # of the smoothing polynomial


class StencilHierarchy:
    """The Hessian of the dual on all levels, and its preconditioner."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.start = [int(q) for q in layout.start]
        self.strides = [[int(s) for s in row] for row in layout.strides]
        parent = torch.from_numpy(layout.parent.astype("int64")).to(device)
        inverse = torch.from_numpy(layout.inverse).to(device)
        share = torch.from_numpy(layout.share).to(device)
        spans = [slice(a, b) for a, b in zip(self.start, self.start[1:], strict=False)]
        self.inverse = [inverse[:, span] for span in spans]
        self.share = [share[:, span] for span in spans]
        self.parent = [parent[fine] - coarse.start for fine, coarse in pairwise(spans)]
        self.children = [
            _children(up, span.stop - span.start)
            for up, span in zip(self.parent, spans[1:], strict=False)
        ]

    def assemble(self, tau: float, w: list[Tensor], K: Tensor, g: Tensor, shift: float) -> None:
        """The stencils of all levels from corner weights w, mobilities K and slopes g (d, size) of the finest."""
        self.links: list[dict[int, Tensor]] = []
        self.D: list[Tensor] = []
        for k, strides in enumerate(self.strides):
            links, D = stencil(tau, w, K, g, self.inverse[k], strides)
            D = torch.where(D > 0, D + shift, torch.zeros_like(D))
            self.links.append(links)
            self.D.append(D)
            if k + 1 < len(self.strides):
                w, K, g = self._coarsen(k, w, K, g)
        self.R = [torch.where(D > 0, 1 / D, torch.zeros_like(D)) for D in self.D]
        self.top = [self._bound(k) for k in range(len(self.strides) - 1)]
        self.factor = self._factor()

    def _coarsen(
        self, k: int, w: list[Tensor], K: Tensor, g: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Sums of weights and mobilities, mean slopes of the faces that make up a coarse face."""
        up = self.parent[k]
        mean = sum(w[1:], w[0]) / len(w)
        crossing = torch.stack([(up != ahead(up, s)) for s in self.strides[k]])
        gather = self.children[k]
        K_ = torch.stack([self._sum(gather, a) for a in K * crossing])
        g_ = torch.stack([self._sum(gather, a) for a in g * crossing]) * self.share[k + 1]
        return [self._sum(gather, mean)] * len(w), K_, g_

    @staticmethod
    def _sum(children: Tensor, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(1)])[children].sum(0)

    def apply(self, k: int, x: Tensor) -> Tensor:
        """H x on level k."""
        y = self.D[k] * x
        for o, A in self.links[k].items():
            y += A * ahead(x, o)
            y += ahead(A * x, -o)
        return y

    def _bound(self, k: int) -> float:
        """A bound on the eigenvalues of R H: the largest row sum of D^-1/2 |H| D^-1/2."""
        scale = self.R[k].sqrt()
        total = (self.D[k] > 0).to(scale)
        for o, A in self.links[k].items():
            both = A.abs() * scale * ahead(scale, o)
            total += both + ahead(both, -o)
        return float(total.max())

    def _factor(self) -> Tensor:
        """The Cholesky factor of the coarsest level; ghosts and obstacles get a one on the diagonal."""
        D = self.D[-1]
        H = torch.diag(torch.where(D > 0, D, torch.ones_like(D)))
        for o, A in self.links[-1].items():
            H += torch.diag(A[:-o], o) + torch.diag(A[:-o], -o)
        return torch.linalg.cholesky(H)

    def precondition(self, r: Tensor, k: int = 0) -> Tensor:
        """One V-cycle on level k from zero."""
        if k + 1 == len(self.strides):
            x = torch.cholesky_solve(r[:, None], self.factor)[:, 0]
            return torch.where(self.D[k] > 0, x, torch.zeros_like(x))
        x = self.smooth(k, r)
        below = self._sum(self.children[k], r - self.apply(k, x))
        x = x + self.precondition(below, k + 1)[self.parent[k]] * (self.D[k] > 0)
        return x + self.smooth(k, r - self.apply(k, x))

    def smooth(self, k: int, r: Tensor) -> Tensor:
        """p(R H) R r with the Chebyshev polynomial of the fourth kind, for eigenvalues of R H up to ``top``."""
        top = self.top[k]
        d = (4.0 / 3.0 / top) * self.R[k] * r
        x = d.clone()
        for j in range(2, DEGREE + 1):
            r = r - self.apply(k, d)
            d = ((2 * j - 3) / (2 * j + 1)) * d + ((8 * j - 4) / (2 * j + 1) / top) * self.R[k] * r
            x += d
        return x

    def solve(self, r: Tensor, target: float, limit: int) -> tuple[Tensor, int]:
        """H x = r by conjugate gradients from zero until ``|r|_1 <= target``; the iterations."""
        found = conjugate_gradients(lambda x: self.apply(0, x), r, self.precondition, target, limit)
        return found.x, found.products


def stencil(
    tau: float, w: list[Tensor], K: Tensor, g: Tensor, inverse: Tensor, strides: list[int]
) -> tuple[dict[int, Tensor], Tensor]:
    """Links (by positive distance in memory) and diagonal of

    ``v . H v = sum_K sum_c w_c (v_K (1 - sum_a b_a) + sum_a b_a v_{K_a})^2 + sum_f tau K_f g_f(v)^2``
    """
    D = torch.zeros_like(w[0])
    links: dict[int, Tensor] = {}

    def link(o: int, first: int, x: Tensor) -> None:
        """Add x[q] to the link of q + first with q + first + o."""
        links[o] = links.get(o, torch.zeros_like(D)) + ahead(x, -first)

    for a, s in enumerate(strides):
        c = tau * K[a] * inverse[a]
        link(s, 0, -c)
        D = D + c + ahead(c, -s)
    b = 0.5 * tau * g * inverse
    for corner, weight in zip(product((0, 1), repeat=len(strides)), w, strict=True):
        sides = [
            (s, b[a]) if c else (-s, -ahead(b[a], -s))
            for a, (c, s) in enumerate(zip(corner, strides, strict=True))
        ]
        own = 1 - sum(share for _, share in sides)
        D = D + weight * own * own
        for o, share in sides:
            D = D + ahead(weight * share * share, -o)
            link(abs(o), min(o, 0), weight * own * share)
        for (o, share), (other, third) in combinations(sides, 2):
            link(abs(o - other), min(o, other), weight * share * third)
    return links, D


def _children(parent: Tensor, count: int) -> Tensor:
    """The cells that merge into each of ``count`` coarse cells, (most, count); the index after the last is none."""
    n = len(parent)
    order = torch.argsort(parent, stable=True)
    label = parent[order]
    inside = label > 0  # 0 is a ghost
    order, label = order[inside], label[inside]
    first = torch.searchsorted(label, torch.arange(count, device=parent.device))
    place = torch.arange(len(label), device=parent.device) - first[label]
    table = torch.full((int(place.max()) + 1, count), n, device=parent.device)
    table[place, label] = order
    return table
