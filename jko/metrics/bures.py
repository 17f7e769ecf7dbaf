"""The Bures metric: W2 of normal laws, and of their mixtures the optimal transport of components with these costs.

The optimal map from N(m_a, A) to N(m_b, B) is affine, ``x -> m_b + T (x - m_a)`` with T symmetric and positive
definite, ``T A T = B``.  With roots ``A = L L^T`` and ``B = R R^T`` it is ``T = R Q L^{-1}``, where the orthogonal Q is
the polar factor of ``R^T L``, and

``W2^2 = |m_a - m_b|^2 + |L - R Q|_F^2``,

a sum of squares: small moves keep their digits, which ``tr A + tr B - 2 tr (A^{1/2} B A^{1/2})^{1/2}`` loses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.measures import Gaussian, GaussianMixture, NormalLaws, State
from jko.measures.normals import turns
from jko.measures.tensors import on_numbers
from jko.metrics.alike import alike
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import Array, Plan, as_array


@dataclass(frozen=True)
class BuresWasserstein(Metric):
    """W2 between normal laws, in closed form; between mixtures ``MW2``, which is at least W2.

    ``BW^2 = |m_a - m_b|^2 + tr A + tr B - 2 tr (A^{1/2} B A^{1/2})^{1/2}``  of N(m_a, A) and N(m_b, B);
    ``MW2^2 = min over plans p of the masses, sum_kl p_kl BW^2(k, l)``  of mixtures.

    MW2 is a metric on mixtures as measures on the space of normal laws: mass may not leave its component, so that it is
    W2 under a constraint and bounds it from above, ``W2 <= MW2``.  A step of a mixture pays the index coupling,
    ``sum_k masses[k] BW^2(k, k)``, which is at least MW2^2 and is it for moves that are small beside the distances
    between components.

    Notes
    -----
    Source: Dowson and Landau, J. Multivariate Anal. 12 (1982); Takatsu, Osaka J. Math. 48 (2011); for mixtures Delon
    and Desolneux, SIAM J. Imaging Sci. 13 (2020).

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Gaussian([0.0], [[1.0]]), jko.Gaussian([3.0], [[25.0]])
    >>> jko.distance(a, b).value  # of the means 3, of the deviations 4
    5.0
    """

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_k masses[k] BW^2(k, k)`` by index; as a function of ``state`` its slope is exact."""
        new, old = _comparable(state, base, ("state", "base"))
        if new.K != old.K:
            raise ValueError(
                f"state has {new.K} components but base has {old.K}; the index coupling pairs them one to one. Use "
                "metric.distance(a, b), which takes any numbers of them"
            )
        return old.masses @ squares(old.means, old.roots, new.means, new.roots)

    @on_numbers
    def distance(self, a: State, b: State) -> Distance:
        """BW of two normal laws, MW2 of mixtures: with an optimal plan of the components and its potentials."""
        mu, nu = _comparable(a, b, ("a", "b"))
        i, j = torch.ones(mu.K, nu.K).nonzero().T
        costs = as_array(squares(mu.means[i], mu.roots[i], nu.means[j], nu.roots[j]))
        return _planned(as_array(mu.masses), as_array(nu.masses), costs.reshape(mu.K, nu.K))


def squares(m: Tensor, L: Tensor, n: Tensor, R: Tensor) -> Tensor:
    """``BW^2`` of N(m, L L^T) and N(n, R R^T), of each of K pairs, (K,)."""
    return (m - n).square().sum(-1) + (L - R @ turns(L, R)).square().sum((-2, -1))


@on_numbers
def normal_map(a: Gaussian, b: Gaussian) -> Tensor:
    """The matrix T (d, d) of the optimal map ``x -> b.m + T (x - a.m)`` from a to b: symmetric, positive definite.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Gaussian([0.0], [[1.0]]), jko.Gaussian([3.0], [[25.0]])
    >>> jko.metrics.normal_map(a, b).tolist()
    [[5.0]]
    """
    for name, law in (("a", a), ("b", b)):
        checks.kind(name, law, Gaussian)
    _comparable(a, b, ("a", "b"))
    L, R = a.roots[0], b.roots[0]
    T = torch.linalg.solve_triangular(L, R @ turns(L, R), upper=False, left=False)
    return 0.5 * (T + T.T)


def normal_geodesic(a: NormalLaws, b: NormalLaws, t: float, plan: Plan) -> NormalLaws:
    """Normal laws on their way along the optimal maps, at time t: a component for each entry of the plan."""
    if isinstance(a, Gaussian) and isinstance(b, Gaussian):
        return a.towards(b, t)
    order = plan.rows.argsort(kind="stable")
    i, j = (torch.from_numpy(index[order]) for index in (plan.rows, plan.cols))
    mass = torch.from_numpy(plan.mass[order]).to(a.means)
    start, end = (
        GaussianMixture(laws.means[k], laws.covariances[k], mass / mass.sum(), a.nodes)
        for laws, k in ((a, i), (b, j))
    )
    return start.towards(end, t)


def _planned(p: Array, q: Array, costs: Array) -> Distance:
    """An optimal plan between masses, with potentials that prove it."""
    if costs.size == 1:
        return Distance(float(costs[0, 0]), Plan.identity(p), (costs[0], np.zeros(1)), 0.0)
    import ot

    dense, log = ot.emd(p, q / q.sum() * p.sum(), costs, log=True)
    beta = np.asarray(log["v"])
    alpha = (costs - beta).min(1)
    rows, cols = np.nonzero(dense)
    plan = Plan(rows, cols, dense[rows, cols], costs.shape)
    cost = float(plan.mass @ costs[rows, cols])
    return Distance(cost, plan, (alpha, beta), max(cost - float(p @ alpha + q @ beta), 0.0))


def _comparable(a: State, b: State, names: tuple[str, str]) -> tuple[NormalLaws, NormalLaws]:
    """Two normal laws, or mixtures, on one space."""
    hint = "compare the .to_particles() of other states by jko.Wasserstein()"
    mu, nu = (
        checks.kind(n, state, NormalLaws, hint=hint) for n, state in zip(names, (a, b), strict=True)
    )
    alike(mu, nu, names)
    return mu, nu
