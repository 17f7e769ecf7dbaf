"""Internal energies of atoms, by a mollifier: the blob method.

``E(mu) = int U(K * mu) dmu`` with a Gaussian K of standard deviation ``bandwidth`` is finite and smooth on atoms, where
the internal energies of section 4 are +inf.  As the bandwidth goes to zero, more slowly than the atoms get closer, its
flows converge to heat (4.2) and porous medium flows (4.7): Carrillo, Craig and Patacchini (Calc. Var. 58, 2019).

With ``rho = K * mu``, ``s = log rho`` and ``u(s) = U(e^s)``:

``dE/dmu(x) = u(s(x)) + int u'(s) / rho K(x - .) dmu``
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Energy, Evaluation
from jko.energies.curvature import Curvature
from jko.energies.mollified import Cross, Profile, blocks, charged, log_density, peak
from jko.energies.pairs import exponent, sums
from jko.energies.potential import Linear
from jko.measures import Particles, State


@dataclass(frozen=True)
class KernelInternal(Energy):
    """``int U(K * mu) dmu``; a subclass writes ``u(s) = U(e^s)`` and its first two derivatives.

    Examples
    --------
    >>> import jko
    >>> E = jko.KernelEntropy(0.5)
    >>> isinstance(E, jko.energies.KernelInternal), E.bandwidth
    (True, 0.5)
    """

    _bare = 1
    bandwidth: float

    def __post_init__(self) -> None:
        checks.number("bandwidth", self.bandwidth, above=0)
        exponent(self.bandwidth, torch.float64)

    @abstractmethod
    def u(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``u, u', u''`` at s = log rho."""

    def log_density(self, state: State, at: Tensor | None = None) -> Tensor:
        """``log (K * mu)`` at the points ``at`` (n, dim), default the atoms; shape (n,).

        Finite wherever there is a point, however small the bandwidth.
        """
        mu = state.atoms
        at = mu.points if at is None else at
        checks.alike("at", at, "the points of the state", mu.points)
        return log_density(mu, at, self.bandwidth)

    def peak(self, dim: int) -> float:
        """The logarithm of K(0)."""
        return peak(self.bandwidth, dim)

    def __call__(self, state: State) -> Tensor:
        """``int U(K * mu) dmu``."""
        mu = state.atoms
        if torch.is_grad_enabled() and mu.requires_grad:
            return mu.integrate(self.u(self.log_density(mu))[0])
        return mu.integrate(self.profile(mu).u[0])

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``u(s(x)) + int u'(s) / rho K(x - .) dmu``, shape (n,)."""
        mu = state.atoms
        if torch.is_grad_enabled() and mu.requires_grad:
            s = self.log_density(mu)
            charges = charged(mu, self.u(s)[1], s - self.peak(mu.dim))
            return self._variation(mu, charges, mu.points if at is None else at)
        if at is None:
            return self.evaluate(mu).variation
        return self._variation(mu, self.profile(mu).charges, at)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """Its gradient, shape (n, dim)."""
        mu = state.atoms
        if at is None:
            return self.evaluate(mu).gradient
        return _FrozenVariation(self, self.profile(mu)).gradient(mu, at)

    def evaluate(self, mu: Particles) -> Evaluation:
        """Two passes over the pairs: one for the density, one for the rest."""
        with torch.no_grad():
            profile = self.profile(mu)
            u, du, _ = profile.u
            weights = torch.stack([mu.weights, profile.charges], dim=1)
            total, moment = profile.pairs.moments(weights)
            variation = u + total[:, 1]
            slope = (du / profile.r)[:, None] * moment[:, :, 0] + moment[:, :, 1]
            gradient = slope.div_(-(self.bandwidth**2))
        empty = profile.empty
        if len(empty):  # cells without mass, where the density may underflow
            at = mu.points[empty]
            variation[empty] = self._variation(mu, profile.charges, at)
            gradient[empty] = _FrozenVariation(self, profile).gradient(mu, at)
        return Evaluation(mu.integrate(u).detach(), variation, gradient)

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """The second derivatives of the variation at the points ``at``, default the atoms; shape (n, dim, dim)."""
        return self._hessian(self.profile(mu), at)

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks, and the rest as products through the pairs (nothing for atoms without mass)."""
        profile = self.profile(mu)
        return Curvature(self._hessian(profile, None), cross=Cross(profile))

    def _hessian(self, profile: Profile, at: Tensor | None) -> Tensor:
        if at is None and not len(profile.empty):
            return blocks(profile)
        return _FrozenVariation(self, profile).hessian(profile.mu, at)

    def _variation(self, mu: Particles, charges: Tensor, at: Tensor) -> Tensor:
        u = self.u(self.log_density(mu, at))[0]
        return u + sums(at, mu, charges, self.bandwidth)

    def profile(self, mu: Particles) -> Profile:
        """The mollified density on the atoms, and what the energy makes of it."""
        return Profile(self.u, self.bandwidth, mu)


@dataclass(frozen=True, eq=False)
class _FrozenVariation(Linear):
    """The first variation at a fixed measure, as a potential; its derivatives are taken of some points at a time."""

    energy: KernelInternal
    profile: Profile

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """That of the energy at its own measure."""
        at = state.atoms.points if at is None else at
        return self.energy._variation(self.profile.mu, self.profile.charges, at)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """Its gradient, shape (n, dim)."""
        return torch.cat([Linear.gradient(self, state, z) for z in self._split(state, at)])

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """Its second derivatives, shape (n, dim, dim)."""
        return torch.cat([Linear.hessian(self, mu, z) for z in self._split(mu, at)])

    def _split(self, state: State, at: Tensor | None) -> tuple[Tensor, ...]:
        """Points at a time, where torch records derivatives."""
        mu = self.profile.mu
        return (state.atoms.points if at is None else at).split(max(1, 2**20 // (mu.N * mu.dim)))


@dataclass(frozen=True)
class KernelEntropy(KernelInternal):
    """``int log(K * mu) dmu`` with a Gaussian K: the entropy (4.1), for atoms.

    Parameters
    ----------
    bandwidth
        Standard deviation of K, in the units of the points; a little more than the distance of neighbouring atoms.

    Notes
    -----
    Not convex in mu.  Every evaluation is a pass over all pairs within reach of K; memory stays bounded, except where
    torch records gradients.  Atoms further apart than the bandwidth do not feel each other.  On a lattice of spacing h
    with masses for the density, ``bandwidth = h^0.99`` makes flows converge like h^2; with equal masses, which are far
    apart in tails, the bandwidth must fall more slowly than the mean spacing, or the tails stay behind.

    Source: survey (4.1)-(4.2); Carrillo, Craig, Patacchini (2019).

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(
    ...     jko.KernelEntropy(0.5), jko.Particles([[-1.0], [0.0], [1.0]]), tau=0.1, steps=3
    ... )
    >>> bool(run.final.covariance() > 2 / 3)
    True
    """

    def u(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``u(s) = s``."""
        return s, torch.ones_like(s), torch.zeros_like(s)


@dataclass(frozen=True)
class KernelPorousMedium(KernelInternal):
    """``1/(m (m - 1)) int (K * mu)^{m-1} dmu`` with a Gaussian K: the porous medium energy (4.6), for atoms.

    Parameters
    ----------
    bandwidth
        Standard deviation of K, in the units of the points; a little more than the distance of neighbouring atoms.
    m
        Exponent, > 1; m = 2 is ``1/2 int (K * mu) dmu``, which is convex in mu (for other m, no promise is made).

    Notes
    -----
    Its flow converges to ``d_t rho = 1/m Lap rho^m``.  Source: survey (4.6)-(4.7); Carrillo, Craig, Patacchini (2019).

    Examples
    --------
    >>> import jko
    >>> E = jko.energies.KernelPorousMedium(1.0)
    >>> round(float(E(jko.Particles([[0.0, 0.0]]))), 6)  # K(0) / 2 = 1 / (4 pi)
    0.079577
    """

    m: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("m", self.m, above=1)

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether m = 2: then the energy is a quadratic form of a positive definite kernel."""
        return self.m == 2

    def u(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``u(s) = e^{(m-1) s} / (m (m - 1))``."""
        power = torch.exp((self.m - 1) * s)
        return power / (self.m * (self.m - 1)), power / self.m, power * ((self.m - 1) / self.m)
