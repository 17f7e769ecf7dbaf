"""Sliding: positions and masses of all portions at once, by L-BFGS in coordinates in which the metric is flat.

Positions are scaled by the roots of their masses, and masses are ``p = m t^2 / sum t^2`` over the portions of a
source, so that no constraint is left but that of a box.  Masses and positions in turn would stall: they are tied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from jko.spaces import Box
from jko.steps.frankwolfe.pieces import Portions, Sources

HISTORY = 30  # curvature pairs


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates u around a plan: ``sqrt(p) z`` of all portions, then t of those of sources that have several."""

    sources: Sources
    origin: Portions

    @cached_property
    def roots(self) -> Tensor:
        """The scales of positions, (n,)."""
        return self.origin.masses.sqrt()

    @cached_property
    def free(self) -> Tensor:
        """The portions whose mass is free."""
        return torch.nonzero(self.sources.several(self.origin)).flatten()

    @property
    def start(self) -> NDArray[np.float64]:
        """u of the origin."""
        return _flat(self.roots[:, None] * self.origin.points, self.roots[self.free])

    @property
    def bounds(self) -> list[tuple[float, float]] | None:
        """Of u, where the domain is a box."""
        box = self.sources.domain
        if not isinstance(box, Box):
            return None
        ends = (self.roots[:, None] * end.to(self.roots) for end in (box.lower, box.upper))
        lower, upper = (end.flatten().tolist() for end in ends)
        masses = [(-math.inf, math.inf)] * len(self.free)
        return [*zip(lower, upper, strict=True), *masses]

    def plan(self, u: NDArray[np.float64]) -> Portions:
        """The portions at u."""
        return self._read(u)[0]

    def _read(self, u: NDArray[np.float64]) -> tuple[Portions, Tensor, Tensor]:
        """The portions, t, and ``m / sum t^2`` beside each t."""
        like, masses = self.origin.points, self.origin.masses
        flat = torch.from_numpy(u).to(like)
        points, t = flat[: like.numel()].view_as(like) / self.roots[:, None], flat[like.numel() :]
        if self.sources.domain is not None:
            points = self.sources.domain.project(points)  # what scaling has rounded
        own = self.origin.block[self.free]
        squares = torch.zeros_like(self.sources.masses).index_add_(0, own, t * t)
        share = self.sources.masses[own] / squares[own]
        masses = masses.index_put((self.free,), share * t * t)
        return Portions(points, self.origin.block, masses), t, share

    def __call__(self, u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """J and its gradient in u."""
        plan, t, share = self._read(u)
        at = self.sources.at(plan)
        along = (plan.masses / self.roots)[:, None] * at.by_point
        mean = self.sources.summed(plan, plan.masses * at.by_mass) / self.sources.masses
        uneven = (at.by_mass - mean[plan.block])[self.free]
        return at.value, _flat(along, 2 * share * t * uneven)


def _flat(positions: Tensor, masses: Tensor) -> NDArray[np.float64]:
    return torch.cat([positions.flatten(), masses]).double().cpu().numpy()


def slide(sources: Sources, plan: Portions, iterations: int, fine: float) -> tuple[Portions, int]:
    """A local minimum over positions and masses, or what ``iterations`` lead to; and the evaluations.

    ``fine`` is the norm of the gradient in u that is small enough.
    """
    chart = Chart(sources, plan)
    start = chart.start
    options = {
        "maxcor": HISTORY,
        "maxiter": iterations,
        "maxfun": 2 * iterations,
        "ftol": 0.0,
        "gtol": fine / math.sqrt(len(start)),
    }
    found = minimize(
        chart, start, jac=True, method="L-BFGS-B", bounds=chart.bounds, options=options
    )
    return chart.plan(found.x), int(found.nfev)
