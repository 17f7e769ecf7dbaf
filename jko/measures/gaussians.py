"""The kinds of normal laws: one, and a finite mixture of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures import whitened
from jko.measures.normals import NormalLaws, turns
from jko.spaces import cached

NODES = 1024  # of each component, at most
SINGLE = 1e-5  # relative: what float32 leaves of a frame
ROUNDING = 1e-9  # relative: what of a covariance may be unsymmetric


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
        quasi-random sequence, whose error falls faster than 1/sqrt(nodes).  Quadratic functions are exact with either.
    C : (d, d), optional
        With ``C C^T = S``: where time schemes have the labels; default the Cholesky factor.  It is of no measure.

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
    >>> abs(round(float(run.final.m), 6)), round(float(run.final.S), 6)
    (0.0, 1.0)
    """

    remedy = NormalLaws.remedy
    m: Tensor
    S: Tensor
    nodes: int
    C: Tensor

    def __init__(self, m: Any, S: Any, nodes: int = NODES, C: Any = None) -> None:
        m = checks.shape("m", checks.owned("m", m), ("d",))
        S = _positive("S", checks.shape("S", checks.owned("S", S, m, "m"), (len(m), len(m))))
        self._fill(m=m, S=S, nodes=_enough(nodes, m), C=_framed("C", C, S))

    @property
    def means(self) -> Tensor:  # type: ignore[override]
        """(1, d)."""
        return self.m[None]

    @property
    def covariances(self) -> Tensor:  # type: ignore[override]
        """(1, d, d)."""
        return self.S[None]

    @property
    def frames(self) -> Tensor:  # type: ignore[override]
        """(1, d, d)."""
        return self.C[None]

    @cached
    def masses(self) -> Tensor:
        """One."""
        return self.m.new_ones(1)

    def shaped(self, means: Tensor, covariances: Tensor, frames: Tensor | None = None) -> Gaussian:
        """Another normal law with as many nodes; trusted."""
        C = torch.linalg.cholesky(covariances.detach()) if frames is None else frames
        return self._with(m=means[0], S=covariances[0], C=C[0])


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
    frames : (K, d, d), optional
        As C of a :class:`Gaussian`.

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
    frames: Tensor

    def __init__(
        self,
        means: Any,
        covariances: Any,
        masses: Any = None,
        nodes: int = NODES,
        frames: Any = None,
    ) -> None:
        means = checks.shape("means", checks.owned("means", means), ("K", "d"))
        K, d = means.shape
        S = checks.owned("covariances", covariances, means, "means")
        S = _positive("covariances", checks.shape("covariances", S, (K, d, d)))
        masses = checks.weights("masses", masses, K, means)
        nodes, frames = _enough(nodes, means[0]), _framed("frames", frames, S)
        self._fill(means=means, covariances=S, masses=masses, nodes=nodes, frames=frames)

    def shaped(
        self, means: Tensor, covariances: Tensor, frames: Tensor | None = None
    ) -> GaussianMixture:
        """The same masses with other components; trusted."""
        C = torch.linalg.cholesky(covariances.detach()) if frames is None else frames
        return self._with(means=means, covariances=covariances, frames=C)


def _framed(name: str, C: Any, S: Tensor) -> Tensor:
    """Frames of covariances S: the Cholesky factors, or those that are given."""
    if C is None:
        return torch.linalg.cholesky(S.detach())
    C = checks.shape(name, checks.owned(name, C, S, "the covariance"), tuple(S.shape))
    off = float((C.detach() @ C.detach().mT - S.detach()).abs().max() / S.detach().abs().max())
    if not off <= SINGLE:
        raise ValueError(f"{name} times its transpose is not the covariance; leave {name} out")
    if off <= torch.finfo(S.dtype).eps ** 0.5:
        return C
    L = torch.linalg.cholesky(S.detach())  # what was kept in float32: the nearest frame of S
    return L @ turns(C.detach(), L)


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
