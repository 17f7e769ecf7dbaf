"""G with H held: an energy of the measure rho on Theta.

``G(rho, H) = 1/2 |int H h drho - f|^2 + lam/2 int (H^2 + |theta|^2) drho`` is the risk of the features
``Phi(theta, x) = H(theta) h(theta, x)`` and a potential: survey (3.12)-(3.15).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.derivatives import Differentiable
from jko.energies import Evaluation
from jko.energies.potential import Linear
from jko.measures import ChargedSpan, Particles, State
from jko.networks import FeatureMap, feature_map
from jko.networks.passes import Pullback

BLOCK = 2**17  # feature values at a time


@dataclass(frozen=True, eq=False)
class Charge:
    """``H(theta) = alpha H0(theta) - sum_m b[m] h(theta, x[m])`` with its first and second derivatives."""

    H0: FeatureMap  # as one feature, whatever x is
    h: FeatureMap
    x: Tensor
    alpha: float
    b: Tensor

    @classmethod
    def of(cls, span: ChargedSpan) -> Charge:
        """H of a state."""
        H0 = Differentiable("the function H0", span.H0)
        first = feature_map("H0", lambda theta, _: H0(theta)[:, None])
        return cls(first, feature_map("h", span.h), span.x, span.alpha, span.b)

    @property
    def _one(self) -> Tensor:
        return self.x[:1]

    @property
    def rows(self) -> int:
        """Points in a block."""
        return max(1, BLOCK // len(self.x))

    def __call__(self, theta: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return self.alpha * self.H0(theta, self._one)[:, 0] - self.h(theta, self.x) @ self.b

    def linearise(self, theta: Tensor, pull_h: Pullback | None = None) -> tuple[Tensor, Tensor]:
        """H and its gradient, (n,) and (n, d); ``pull_h`` is the pullback of h(theta, x), if it is known."""
        if pull_h is None:
            _, pull_h = self.h.linearise(theta, self.x)
        _, pull = self.H0.linearise(theta, self._one)
        first, first_slope = pull(self.x.new_full((1,), self.alpha))
        rest, rest_slope = pull_h(self.b)
        return first - rest, first_slope - rest_slope

    def hessian(self, theta: Tensor) -> Tensor:
        """Second derivatives of H, shape (n, d, d)."""
        first = self.H0.hessian(theta, self._one, self.x.new_full((1,), self.alpha))
        return first - self.h.hessian(theta, self.x, self.b)


@dataclass(frozen=True, eq=False)
class HeldFeatures(FeatureMap):
    """``Phi(theta, x) = H(theta) h(theta, x)``: the features of a measure on Theta when H is held."""

    charge: Charge

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""
        return self.charge(z)[:, None] * self.charge.h(z, x)

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (H c, c grad H + H grad c) with c(theta) = sum_m g[m] h(theta, x_m)."""
        h, pull_h = self.charge.h.linearise(z, x)
        H, slope = self.charge.linearise(z, pull_h if x is self.charge.x else None)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            c, c_slope = pull_h(g)
            return H * c, c[:, None] * slope + H[:, None] * c_slope

        return H[:, None] * h, pull

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """H grad h + h grad H."""
        h = self.charge.h
        H, slope = self.charge.linearise(z)
        return H[:, None, None] * h.jacobian(z, x) + h(z, x)[:, :, None] * slope[:, None, :]

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """``H Hess c + c Hess H + grad H grad c^T + grad c grad H^T``."""
        _, pull_h = self.charge.h.linearise(z, x)
        c, c_slope = pull_h(g)
        H, slope = self.charge.linearise(z, pull_h if x is self.charge.x else None)
        mixed = slope[:, :, None] * c_slope[:, None, :]
        own = H[:, None, None] * self.charge.h.hessian(z, x, g)
        return own + c[:, None, None] * self.charge.hessian(z) + mixed + mixed.mT


@dataclass(frozen=True, eq=False)
class HeldNorm(Linear):
    """``1/2 int (H^2 + |theta|^2) drho``: the quadratic potential (3.15) when H is held."""

    charge: Charge

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``(H^2 + |theta|^2) / 2`` at the points, shape (n,)."""
        at = state.atoms.points if at is None else at
        H = torch.cat([self.charge(z) for z in at.split(self.charge.rows)])
        return 0.5 * (H * H + (at * at).sum(-1))

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """``H grad H + theta``, shape (n, d)."""
        return self._linearised(state.atoms.points if at is None else at)[1]

    def evaluate(self, mu: Particles) -> Evaluation:
        """One pass."""
        variation, gradient = self._linearised(mu.points)
        return Evaluation(mu.integrate(variation), variation, gradient)

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """``grad H grad H^T + H Hess H + 1``, shape (n, d, d)."""
        at = mu.points if at is None else at
        eye = torch.eye(at.shape[1], dtype=at.dtype, device=at.device)

        def block(z: Tensor) -> Tensor:
            H, slope = self.charge.linearise(z)
            outer = slope[:, :, None] * slope[:, None, :]
            return outer + H[:, None, None] * self.charge.hessian(z) + eye

        return _in_blocks(block, at, self.charge.rows)

    def _linearised(self, at: Tensor) -> tuple[Tensor, Tensor]:
        def block(z: Tensor) -> Tensor:
            H, slope = self.charge.linearise(z)
            value = 0.5 * (H * H + (z * z).sum(-1))
            return torch.cat([value[:, None], H[:, None] * slope + z], dim=1)

        both = _in_blocks(block, at, self.charge.rows)
        return both[:, 0], both[:, 1:]


def _in_blocks(function: Callable[[Tensor], Tensor], at: Tensor, rows: int) -> Tensor:
    with torch.no_grad():
        return torch.cat([function(z) for z in at.detach().split(rows)])
