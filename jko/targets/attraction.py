"""Half of the squared Wasserstein distance to a measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko.energies import Curvature, Energy, Evaluation
from jko.measures import Particles, State
from jko.metrics import Distance, as_array
from jko.metrics.lifted import lifted_distance
from jko.spaces import refuse_wrapped
from jko.targets.discrepancy import of_one_space

BLOCK = 2**20  # pairs at a time


@dataclass(frozen=True, init=False, eq=False)
class Attraction(Energy):
    """``1/2 W2(mu, nu)^2``: towards nu, along the geodesic.

    Parameters
    ----------
    measure : state, or (M, dim)
        nu: points of equal weights, or a state; a density on cells is read as its atoms, a pair (rho, H) as its lift,
        so that on pairs it is half of D^2.

    Notes
    -----
    Value, variation and gradient come from one exact plan with its potentials, of which :meth:`distance` has the proof:

    - the variation is the Kantorovich potential ``alpha(x) / 2``, ``alpha(x) = min_y |x - y|^2 - beta(y)``, with
      ``int alpha dmu = W2^2``: then it is the derivative also of ``c mu -> c E(mu)``;
    - the gradient on the atoms is ``x - T(x)``, T(x) the mean of what the plan sends x to; beside them, x minus the y
      of that minimum.

    Convex in mu.  Along moves of the atoms it is at most 1-convex, with kinks where the plan changes.  Where the
    potential is not unique (equal weights on both sides), the variation is one subgradient of many.

    With equal weights, and as many, a flow goes along the geodesic: a step of size tau by ``tau / (1 + tau)`` of what
    is left, so ``W2(mu_k, nu) = W2(mu_0, nu) / (1 + tau)^k``.

    Source: Santambrogio, Optimal Transport for Applied Mathematicians (2015), Proposition 7.17; Ambrosio, Gigli and
    Savare, Gradient Flows (2008), Theorem 10.4.12 for barycentric projections.

    Examples
    --------
    >>> import jko
    >>> E = jko.Attraction([[3.0], [1.0]])
    >>> run = jko.flow(E, jko.Particles([[0.0], [1.0]]), tau=1.0, steps=2)
    >>> [round(x, 12) for x in run.final.points[:, 0].tolist()]
    [0.75, 2.5]
    """

    measure: Particles
    convex = True

    def __init__(self, measure: Any) -> None:
        nu = (measure if isinstance(measure, State) else Particles(measure)).to_particles().atoms
        object.__setattr__(self, "measure", nu)

    def distance(self, state: State) -> Distance:
        """W2(mu, nu) with its plan, potentials and proof: ``exact`` says whether it was proved."""
        mu = state.atoms
        mu.refuse_part("an optimal plan")
        refuse_wrapped("W2 to a measure as an energy", mu.domain, self.measure.domain)
        of_one_space("the points of the measure", self.measure, mu.points)
        return lifted_distance(mu, self.measure)

    def __call__(self, state: State) -> Tensor:
        """Half the cost of the plan."""
        mu = state.atoms
        return self._value(mu, self.distance(mu))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``alpha / 2``, shape (n,)."""
        mu = state.atoms
        return self._variation(self.distance(mu), mu.points if at is None else at)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """``x - T(x)``, shape (n, dim)."""
        if at is not None:
            return super().gradient(state, at)
        mu = state.atoms
        return self._slope(mu, self.distance(mu))

    def evaluate(self, mu: Particles) -> Evaluation:
        """From one plan."""
        found = self.distance(mu)
        with torch.no_grad():
            variation = self._variation(found, mu.points)
            return Evaluation(self._value(mu, found), variation, self._slope(mu, found))

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """The identity: as long as the plan stays."""
        at = mu.points if at is None else at
        eye = torch.eye(mu.dim, dtype=at.dtype, device=at.device)
        return eye.expand(len(at), mu.dim, mu.dim)

    def second_order(self, mu: Particles) -> Curvature:
        """Identity blocks: as long as the plan stays."""
        return Curvature(self.hessian(mu))

    def _value(self, mu: Particles, found: Distance) -> Tensor:
        """Half the cost of the plan; its slope in the weights is the variation."""
        plan, like = found.plan, mu.points
        rows, cols = (torch.from_numpy(index).to(like.device) for index in (plan.rows, plan.cols))
        costs = (like[rows] - self.measure.points[cols]).square().sum(-1)
        mass = mu.weights.detach().sum() * torch.from_numpy(plan.mass).to(like)
        half = 0.5 * torch.dot(mass, costs)
        if not mu.weights.requires_grad:
            return half
        along = mu.integrate(self._variation(found, like).detach())
        return half + (along - along.detach())

    def _variation(self, found: Distance, at: Tensor) -> Tensor:
        """The c-transform of beta, with the integral of ``W2^2 / 2`` against mu."""
        j, beta = self._nearest(found, at)
        alpha = (at - self.measure.points[j]).square().sum(-1) - beta[j]
        return 0.5 * (alpha + self.measure.integrate(beta))

    def _nearest(self, found: Distance, at: Tensor) -> tuple[Tensor, Tensor]:
        """The y of ``min_y |x - y|^2 - beta(y)`` for each point, by its index, and beta."""
        y = self.measure.points
        x = of_one_space("the points of the measure", self.measure, at).detach()
        beta = torch.from_numpy(np.array(found.beta)).to(y)
        parts = x.split(max(1, BLOCK // len(y)))
        return torch.cat([(_squares(part, y) - beta).argmin(1) for part in parts]), beta

    def _slope(self, mu: Particles, found: Distance) -> Tensor:
        """``x - T(x)``; without mass, x minus the y of the minimum."""
        x, y = mu.points.detach(), self.measure.points
        with np.errstate(invalid="ignore"):  # a mean of nothing
            T = torch.from_numpy(found.plan.barycentres(as_array(y))).to(x)
        idle = ~torch.isfinite(T).all(dim=1)
        if bool(idle.any()):
            T[idle] = y[self._nearest(found, x[idle])[0]]
        return x - T


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """``|x_i - y_j|^2`` from differences, (len(x), len(y))."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
