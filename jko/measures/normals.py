"""Normal laws N(m, S) on R^d and finite mixtures of them: densities in any dimension, without a grid.

Such a state knows its density exactly, so the internal energies of it do: the entropy of a normal law is closed,
``-(d + log det(2 pi S)) / 2``.  What else an energy asks of it is answered by the *nodes*: each component carries the
nodes of :mod:`jko.measures.whitened`, mapped by ``z -> m + L z`` with L the Cholesky factor of S.  So every energy is a
smooth function of (m, S), deterministic, and steps have exact ledgers.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from jko import checks
from jko.measures import looks, sampling, whitened
from jko.measures.state import Particles, State
from jko.spaces import cached

Same = TypeVar("Same", bound="NormalLaws")
NODES = 1024  # of each component, at most
ROUNDING = 1e-9  # relative: what of a covariance may be unsymmetric


class NormalLaws(State):
    """``sum_k masses[k] N(means[k], covariances[k])``: a normal law, or a finite mixture of them.

    Notes
    -----
    The state of :class:`jko.metrics.BuresWasserstein`.  ``support`` and ``weights`` are the nodes of all components,
    K n of them in turn; ``mean()`` and ``covariance()`` are exact.

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

    @abstractmethod
    def shaped(self: Same, means: Tensor, covariances: Tensor) -> Same:
        """The same kind, masses and nodes with other components; trusted, not checked."""

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
        L, R = self.roots, other.roots
        root = torch.lerp(L, R @ turns(L, R), t)
        return self.shaped(torch.lerp(self.means, other.means, t), root @ root.mT)

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
        4.0
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


@dataclass(frozen=True, eq=False)
class Gaussian(NormalLaws):
    """The normal law N(m, S) on R^d: it moves in the Bures metric, which is W2 of normal laws.

    Parameters
    ----------
    m : (d,)
        Mean.
    S : (d, d)
        Covariance, symmetric and positive definite.
    nodes : int, optional
        At most so many nodes for integrals that are not closed (potentials, risks, interactions): Gauss-Hermite with at
        least five on each axis where there are so many, up to d = 4 with the default 1024; else a whitened
        quasi-random sequence, whose error falls about like 1/nodes.  Quadratic functions are exact with either.

    Raises
    ------
    ValueError
        Wrong shapes, numbers that are not finite, S not symmetric or not positive definite, too few nodes.

    Notes
    -----
    A step takes N(m, S) to the best normal law: exactly the JKO step where that is normal, for a quadratic potential
    with an entropy; else the step of variational inference, which minimises among normal laws.

    Source: survey (4.1)-(4.2); Lambert, Chewi, Bach, Bonnabel and Rigollet, NeurIPS 35 (2022).

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm() + jko.Entropy()  # KL(. | N(0, I)) and a constant
    >>> run = jko.flow(E, jko.Gaussian([2.0], [[9.0]]), tau=0.5, t1=20.0)
    >>> abs(round(float(run.final.m), 3)), round(float(run.final.S), 6)
    (0.001, 1.0)
    """

    remedy = NormalLaws.remedy
    m: Tensor
    S: Tensor
    nodes: int

    def __init__(self, m: Any, S: Any, nodes: int = NODES) -> None:
        m = checks.shape("m", checks.owned("m", m), ("d",))
        S = checks.shape("S", checks.owned("S", S, m, "m"), (len(m), len(m)))
        self._fill(m=m, S=_positive("S", S), nodes=_enough(nodes, m))

    @property
    def means(self) -> Tensor:  # type: ignore[override]
        """(1, d)."""
        return self.m[None]

    @property
    def covariances(self) -> Tensor:  # type: ignore[override]
        """(1, d, d)."""
        return self.S[None]

    @cached
    def masses(self) -> Tensor:  # type: ignore[override]
        """One."""
        return self.m.new_ones(1)

    def shaped(self, means: Tensor, covariances: Tensor) -> Gaussian:
        """Another normal law with as many nodes; trusted."""
        return self._with(m=means[0], S=covariances[0])


@dataclass(frozen=True, eq=False)
class GaussianMixture(NormalLaws):
    """The mixture ``sum_k masses[k] N(means[k], covariances[k])`` on R^d, whose components move and keep their masses.

    Parameters
    ----------
    means : (K, d)
    covariances : (K, d, d)
        Symmetric and positive definite.
    masses : (K,), optional
        Positive, with sum one; default 1/K each.
    nodes : int, optional
        Of each component, as for :class:`Gaussian`.

    Raises
    ------
    ValueError
        As for :class:`Gaussian`; masses that are no probability.

    Notes
    -----
    Its density is exact; the entropy of a mixture is not closed, and is the sum of ``log rho`` over the nodes.  Where
    components are far apart that is exact too; between, the error is that of the nodes: other numbers of them show it.

    Source: Lambert, Chewi, Bach, Bonnabel and Rigollet, NeurIPS 35 (2022), section 5.

    Examples
    --------
    >>> import jko
    >>> mu = jko.GaussianMixture([[-1.0], [1.0]], [[[0.25]], [[0.25]]])
    >>> float(mu.covariance()), round(float(mu.log_density(mu.means)[0].exp()), 6)
    (1.25, 0.399076)
    """

    remedy = "build it by jko.GaussianMixture(means, covariances)"
    means: Tensor
    covariances: Tensor
    masses: Tensor
    nodes: int

    def __init__(
        self, means: Any, covariances: Any, masses: Any = None, nodes: int = NODES
    ) -> None:
        means = checks.shape("means", checks.owned("means", means), ("K", "d"))
        K, d = means.shape
        S = checks.owned("covariances", covariances, means, "means")
        S = _positive("covariances", checks.shape("covariances", S, (K, d, d)))
        masses = checks.weights("masses", masses, K, means)
        self._fill(means=means, covariances=S, masses=masses, nodes=_enough(nodes, means[0]))

    def shaped(self, means: Tensor, covariances: Tensor) -> GaussianMixture:
        """The same masses with other components; trusted."""
        return self._with(means=means, covariances=covariances)


def turns(L: Tensor, R: Tensor) -> Tensor:
    """The orthogonal Q (..., d, d) with the least ``|L - R Q|_F``: ``R Q L^-1`` is the map between normal laws."""
    with torch.no_grad():  # at the minimum the slope is that with Q held
        U, _, Vt = torch.linalg.svd(R.mT @ L)
        return U @ Vt


def _enough(nodes: Any, mean: Tensor) -> int:
    """The number of nodes, if an integral can be made of them."""
    count = checks.count("nodes", nodes)
    whitened.rule(count, len(mean), mean.detach())
    return count


def _positive(name: str, S: Tensor) -> Tensor:
    """Symmetric matrices (..., d, d), made so up to rounding, with Cholesky factors; else a sentence."""
    judged = S.detach()
    slack = max(ROUNDING, 8 * torch.finfo(S.dtype).eps) * judged.abs().amax((-2, -1), keepdim=True)
    if bool(((judged - judged.mT).abs() > slack).any()):
        raise ValueError(
            f"{name} must be symmetric; pass ({name} + its transpose) / 2 if that is meant"
        )
    _, failed = torch.linalg.cholesky_ex(0.5 * (judged + judged.mT))
    if bool((failed > 0).any()):
        low = float(torch.linalg.eigvalsh(judged).min())
        raise ValueError(
            f"{name} has the eigenvalue {low:.4g}; a covariance is positive definite here, as a law that lies in a "
            "plane has no density: add a small multiple of the identity, or take jko.Particles"
        )
    return S if bool((judged == judged.mT).all()) else 0.5 * (S + S.mT)
