"""Normal laws N(m, S) on R^d and finite mixtures of them: densities in any dimension, without a grid.

Such a state knows its density exactly, so the internal energies of it do: the entropy of a normal law is closed,
``-(d + log det(2 pi S)) / 2``.  What else an energy asks of it is answered by the *nodes*: each component carries the
nodes of :mod:`jko.measures.whitened`, mapped by ``z -> m + L z`` with L the Cholesky factor of S.  So every energy is a
smooth function of (m, S), deterministic, and steps have exact ledgers.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from jko.measures import looks, sampling, whitened
from jko.measures.state import Particles, State
from jko.spaces import cached

Same = TypeVar("Same", bound="NormalLaws")


class NormalLaws(State):
    """``sum_k masses[k] N(means[k], covariances[k])``: a normal law, or a finite mixture of them.

    Notes
    -----
    The state of :class:`jko.metrics.BuresWasserstein`.  ``support`` and ``weights`` are the nodes of all components,
    K n of them in turn; ``mean()`` and ``covariance()`` are exact.

    ``frames`` are of no measure: time schemes of several stages follow labels, ``z -> m + C z``, and a step by the map
    T takes C to T C.  No energy and no distance reads them.

    Examples
    --------
    >>> import jko
    >>> law = jko.Gaussian([0.0, 1.0], [[1.0, 0.0], [0.0, 4.0]])
    >>> isinstance(law, jko.measures.NormalLaws), law.means.tolist(), law.K
    (True, [[0.0, 1.0]], 1)
    """

    remedy = "build it by jko.Gaussian(m, S)"
    means: Tensor  # of the components, (K, d)
    covariances: Tensor  # (K, d, d)
    masses: Tensor  # (K,)
    nodes: int
    frames: Tensor  # C with C C^T = S of each component, (K, d, d): where its labels are

    @abstractmethod
    def shaped(
        self: Same, means: Tensor, covariances: Tensor, frames: Tensor | None = None
    ) -> Same:
        """The same kind, masses and nodes with other components; trusted, not checked.  Default frames: the roots."""

    @property
    def K(self) -> int:
        """Number of components."""
        return self.means.shape[0]

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.means.shape[1]

    @property
    def domain(self) -> None:  # type: ignore[override]
        """All of R^d."""
        return None

    @cached
    def roots(self) -> Tensor:
        """L with ``L L^T = S``, lower triangular, of each component, (K, d, d)."""
        return torch.linalg.cholesky(self.covariances)

    @cached
    def _rule(self) -> tuple[Tensor, Tensor]:
        return whitened.rule(self.nodes, self.dim, self.means.detach())

    @cached
    def weights(self) -> Tensor:
        """Masses of the nodes, (N,) with N = K n."""
        w = self._rule[1]
        return (self.masses[:, None] * w).reshape(-1)

    @cached
    def support(self) -> Tensor:
        """The nodes ``m_k + L_k z``, component by component, (N, d)."""
        z, _ = self._rule
        return (self.means[:, None] + z @ self.roots.mT).reshape(-1, self.dim)

    @cached
    def atoms(self) -> Particles:
        """The nodes as atoms: what energies sum over."""
        return Particles.of(self.support, self.weights)

    def log_density(self, at: Tensor) -> Tensor:
        """``log sum_k masses[k] N(x; m_k, S_k)`` at the points x (n, d), shape (n,): exact, and finite everywhere."""
        away = (at[None] - self.means[:, None]).mT  # (K, d, n)
        z = torch.linalg.solve_triangular(self.roots, away, upper=False)
        volumes = self.roots.diagonal(dim1=1, dim2=2).log().sum(1)
        peaks = self.masses.log() - volumes - 0.5 * self.dim * math.log(2 * math.pi)
        logs = peaks[:, None] - 0.5 * z.square().sum(1)
        return logs[0] if self.K == 1 else torch.logsumexp(logs, dim=0)

    def towards(self: Same, other: NormalLaws, t: float) -> Same:
        """The components on their way to those of ``other``, index by index, along the optimal maps: there at t = 1."""
        L, R = self.frames, other.frames
        frames = torch.lerp(L, R @ turns(L, R), t)
        return self.shaped(torch.lerp(self.means, other.means, t), frames @ frames.mT, frames)

    @cached
    def labels(self) -> Tensor:
        """Where the labels z are, ``m_k + C_k z`` at the nodes, (N, d)."""
        z, _ = self._rule
        return (self.means[:, None] + z @ self.frames.mT).reshape(-1, self.dim)

    def shifted(self: Same, field: Tensor) -> Same | None:
        """The labels of each component moved by a field (N, d) affine in z; None where that turns it inside out."""
        z, w = self._rule
        v = field.view(self.K, -1, self.dim) * w[:, None]
        frames = self.frames + v.mT @ z
        T = torch.linalg.solve(self.frames, frames, left=False)
        if bool((torch.linalg.cholesky_ex(T + T.mT).info > 0).any()):
            return None
        S = frames @ frames.mT
        return self.shaped(self.means + v.sum(1), 0.5 * (S + S.mT), frames)

    def projected(self, field: Tensor) -> Tensor:
        """The part of a field at the nodes (N, d) that keeps the laws normal: ``a + B (x - m)``, B symmetric, (N, d).

        The nearest in L2 of each component: ``a = E v``, ``B S + S B = E[v (x - m)^T + (x - m) v^T]``.
        """
        _, w = self._rule
        v = field.view(self.K, -1, self.dim)
        away = self.support.view_as(v) - self.means[:, None]
        s, U = torch.linalg.eigh(self.covariances)
        half = U.mT @ (w[:, None] * v).mT @ away @ U
        B = U @ ((half + half.mT) / (s[:, :, None] + s[:, None, :])) @ U.mT
        mean = (w[:, None] * v).sum(1, keepdim=True)
        return (mean + away @ B).reshape(-1, self.dim)

    def mean(self) -> Tensor:
        """The mean, (d,)."""
        return self.masses @ self.means

    def covariance(self) -> Tensor:
        """The covariance matrix, (d, d): that of the components and that of their means."""
        away = self.means - self.mean()
        parts = self.covariances + away[:, :, None] * away[:, None, :]
        return torch.tensordot(self.masses, parts, dims=1)

    def sample(self, N: int, *, generator: torch.Generator) -> Particles:
        """N independent atoms, of equal weights.

        Examples
        --------
        >>> import jko, torch
        >>> law = jko.Gaussian([0.0], [[4.0]])
        >>> cloud = law.sample(10000, generator=torch.Generator().manual_seed(0))
        >>> round(float(cloud.covariance()), 1)
        4.1
        """
        z = sampling.normal(N, self.dim, generator, 1.0).to(self.means)
        shares = self.masses.detach().to(generator.device)
        k = torch.multinomial(shares, N, replacement=True, generator=generator).to(z.device)
        turned = torch.einsum("nij,nj->ni", self.roots.detach()[k], z)
        return Particles(self.means.detach()[k] + turned)

    def _facts(self) -> dict[str, Any]:
        S = self.covariances.detach()
        spread = torch.linalg.eigvalsh(S).clamp(min=0).sqrt()
        low, high = float(spread.min()), float(spread.max())
        kind = {"components": self.K} if self.K > 1 else {}
        sd = f"{low:.4g}" if low == high else f"{low:.4g} .. {high:.4g}"
        return {"dim": self.dim} | kind | {"deviations": sd, "nodes": self.N // self.K}

    def _picture(self) -> str:
        return looks.of_atoms(self.atoms.points)


def turns(L: Tensor, R: Tensor) -> Tensor:
    """The orthogonal Q (..., d, d) with the least ``|L - R Q|_F``: ``R Q L^-1`` is the map between normal laws."""
    with torch.no_grad():  # at the minimum the slope is that with Q held
        U, _, Vt = torch.linalg.svd(R.mT @ L)
        return U @ Vt
