"""What a step of normal laws minimises: ``E(u) + |u|^2 / (2 tau)``, with its slope and a model of its curvature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.derivatives import leaf, recording, slope
from jko.energies import Internal, joined, negative, refuse, sorted_terms
from jko.measures import NormalLaws
from jko.steps.bures.maps import AffineMaps
from jko.steps.problem import StepProblem


@dataclass(frozen=True, eq=False)
class Mapped:
    """A move u with what is known there: the state, its energy, and the slopes of the two parts of the energy."""

    u: Tensor
    T: Tensor
    state: NormalLaws
    energy: float
    value: float
    inside: Tensor
    rest: Tensor
    slope: Tensor

    @property
    def residual(self) -> float:
        """The length of the slope: the L2(mu_k) norm of ``grad dE/dmu + (T - id) / tau``, among affine fields."""
        return float(self.slope.norm())

    @property
    def scale(self) -> float:
        """The size of what cancels in the slope."""
        return float(
            self.inside.norm() + self.rest.norm() + (self.slope - self.inside - self.rest).norm()
        )

    @property
    def finite(self) -> bool:
        """Whether value and slope are numbers."""
        return math.isfinite(self.value) and bool(torch.isfinite(self.slope).all())


class AffineObjective:
    """The objective of a step, of moves u in the coordinates of :class:`AffineMaps`."""

    def __init__(self, problem: StepProblem, base: NormalLaws) -> None:
        terms = sorted_terms(problem.energy)
        refuse(
            negative(terms.internal),
            "{name} has the coefficient {c:g}: backward diffusion has no step; take a positive one",
        )
        self.internal = terms.mixture
        refuse(
            self.internal.terms if self.internal.congested else (),
            "a normal law cannot be packed: {name} needs a density on cells, jko.GridDensity or jko.LineMesh",
        )
        self.rest = joined(terms.without(Internal))
        self.problem, self.maps = problem, AffineMaps(base)

    @property
    def here(self) -> Mapped:
        """What is known of no move at all."""
        return self._spot(self.maps.zero())

    def at(self, u: Tensor) -> Mapped | None:
        """What is known at u; None where a map is not positive definite, so that its cost is not the distance."""
        for S in (self.maps.maps(u)[1], self.maps.state(u).covariances):
            if bool((torch.linalg.cholesky_ex(S).info > 0).any()):
                return None
        return self._spot(u)

    def _spot(self, u: Tensor) -> Mapped:
        with recording():
            u = leaf(u)
            state, (_, T) = self.maps.state(u), self.maps.maps(u)
            inside, pushed, energy = self._energies(state)
            own, rest = slope(inside, u, retain=True), slope(pushed, u)
        u, tau = u.detach(), self.problem.tau
        value = energy + float(u @ u) / (2 * tau)
        total = own + rest + u / tau
        return Mapped(u, T.detach(), state.detach(), energy, value, own, rest, total)

    def _energies(self, state: NormalLaws) -> tuple[Tensor, Tensor, float]:
        """The internal energy; a function of the nodes with the slope of the others; and the sum of both energies."""
        inside = self.internal(state) if self.internal.summands else state.weights.new_zeros(())
        if self.rest is None:
            return inside, state.weights.new_zeros(()), float(inside.detach())
        mu = state.atoms
        found = self.rest.evaluate(mu.detach())
        return (
            inside,
            mu.inner(found.gradient, mu.points),
            float(inside.detach()) + float(found.value),
        )

    @cached_property
    def pressure(self) -> float:
        """``int P dx`` of the internal energies at the base: the coefficient of an entropy."""
        base = self.maps.base
        if not self.internal.summands:
            return 0.0
        s = base.log_density(base.support)
        return max(
            float(base.integrate(self.internal.of_log(s)[0] - self.internal.per_mass(s))), 0.0
        )

    @cached_property
    def steady(self) -> Tensor:
        """The curvature of the cost and of what is not internal, by Stein: ``E Hess V = E grad V z^T L^-1``."""
        eye = torch.eye(len(self.maps.zero())).to(self.maps.s)
        if self.rest is None:
            return eye / self.problem.tau
        base = self.maps.base
        gradient = self.rest.evaluate(base.atoms).gradient.view(base.K, -1, base.dim)
        z, w = base._rule
        H = torch.linalg.solve_triangular(
            base.roots, gradient.mT @ (w[:, None] * z), upper=False, left=False
        )
        size, turn = torch.linalg.eigh(0.5 * (H + H.mT))
        convex = (turn * size.nan_to_num().clamp(min=0)[:, None]) @ turn.mT
        return eye / self.problem.tau + self.maps.of_potential(convex)

    def curvature(self, spot: Mapped) -> Tensor:
        """The model of the Hessian at a spot, (n, n): exact for normal laws, an entropy and a quadratic potential."""
        return (
            self.steady + self.pressure * self.maps.of_volume(spot.T)
            if self.pressure
            else self.steady
        )
