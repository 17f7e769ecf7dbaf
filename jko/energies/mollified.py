"""The mollified density ``rho = K * mu`` on the atoms of mu, and the Hessian of ``int U(rho) dmu`` in L2(mu)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from jko.energies.pairs import PairKernel, log_sums
from jko.measures import Particles
from jko.spaces import refuse_wrapped

Density = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]  # u, u', u'' at s = log rho


def peak(bandwidth: float, dim: int) -> float:
    """The logarithm of K(0)."""
    return -0.5 * dim * math.log(2 * math.pi * bandwidth**2)


def log_density(mu: Particles, at: Tensor, bandwidth: float) -> Tensor:
    """``log (K * mu)`` at the points ``at`` (n, dim); shape (n,)."""
    refuse_wrapped("a Gaussian kernel", mu.domain)
    return log_sums(at, mu, bandwidth) + peak(bandwidth, mu.dim)


class Profile:
    """The mollified density on the atoms of a measure, and what the energy makes of it.

    ``r = rho / K(0)`` lies between the mass of an atom and one, in any dimension.
    """

    def __init__(self, u: Density, bandwidth: float, mu: Particles) -> None:
        self.mu, self.bandwidth = mu, bandwidth
        self.pairs = PairKernel(mu, bandwidth)
        with torch.no_grad():
            self.r = self.pairs.sums(mu.weights)
            s = self.r.log() + peak(bandwidth, mu.dim)
            if len(self.empty):
                s[self.empty] = log_density(mu, mu.points[self.empty], bandwidth)
            self.u = u(s)

    @cached_property
    def empty(self) -> Tensor:
        """Rows without mass."""
        return torch.nonzero(self.mu.weights == 0).flatten()

    @cached_property
    def charges(self) -> Tensor:
        """Masses times U'(rho), in units of 1 / K(0)."""
        return charged(self.mu, self.u[1], self.r.log())

    def slopes(self) -> tuple[Tensor, Tensor]:
        """U' and U'' as functions of r; zero where there is no mass."""
        _, du, ddu = self.u
        first, second = du / self.r, (ddu - du) / self.r**2
        return tuple(torch.where(self.mu.weights > 0, U, 0.0) for U in (first, second))  # type: ignore[return-value]


def charged(mu: Particles, du: Tensor, log_r: Tensor) -> Tensor:
    """``m u'(s) / r``, zero where there is no mass."""
    full = mu.weights > 0
    return mu.weights * du * torch.exp(-torch.where(full, log_r, 0.0))


def blocks(profile: Profile) -> Tensor:
    """``U'' grad r grad r^T + sum_j m_j (U'_i + U'_j) Hess k_ij``."""
    mu, pairs, square = profile.mu, profile.pairs, profile.bandwidth**2
    with torch.no_grad():
        first, second = profile.slopes()
        _, moment = pairs.moments(mu.weights[:, None])
        slope = moment[:, :, 0] / -square
        total, spread = pairs.second_moments(first, mu.weights)
        eye = torch.eye(mu.dim, dtype=slope.dtype, device=slope.device)
        far = second[:, None, None] * slope[:, :, None] * slope[:, None, :]
        return far + (spread / square - total[:, None, None] * eye) / square


class Cross:
    """What the other atoms' moves change in the gradient: ``v -> cross v`` of :class:`Curvature`.

    A move v changes the density at x by ``dr(x) = -sum_j m_j grad k(x - x_j) . v_j``, and that in atom j by
    ``Dr_j = dr(x_j) + grad r_j . v_j``; then

    ``(cross v)_i = U''_i dr_i grad r_i + sum_j m_j U''_j Dr_j grad k_ij - sum_j m_j (U'_i + U'_j) Hess k_ij v_j``
    """

    def __init__(self, profile: Profile) -> None:
        self.mu, self.pairs = profile.mu, profile.pairs
        self.square = profile.bandwidth**2
        with torch.no_grad():
            self.first, self.second = profile.slopes()
            self.slope = self.pairs.moments(self.mu.weights[:, None])[1][:, :, 0] / -self.square

    def __call__(self, v: Tensor) -> Tensor:
        """One product: two passes over the pairs."""
        m, square = self.mu.weights, self.square
        with torch.no_grad():
            plain, linear, along = self.pairs.along(v, torch.stack([m, m * self.first], dim=1))
            dr = plain / square
            Dr = dr + (self.slope * v).sum(1)
            _, moment = self.pairs.moments((m * self.second * Dr)[:, None])
            hessian = (along / square - linear) / square
            return (
                (self.second * dr)[:, None] * self.slope
                - moment[:, :, 0] / square
                - self.first[:, None] * hessian[:, :, 0]
                - hessian[:, :, 1]
            )
