"""Lower bounds on the minimum of a step, by weak duality: they hold for any prices, however a solver found them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jko.steps.conic.corners import Corners
from jko.steps.conic.terms import ConeTerms

Array = NDArray[np.float64]

HEAVY = 1e-8  # of the heaviest atom: lighter ones, whose digits are lost, do not shape the prices


def risk_part(terms: ConeTerms, lam: Array) -> float:
    """``constant - |lam|^2 / 2 - lam . b``."""
    return terms.constant - 0.5 * float(lam @ lam) - float(lam @ terms.targets)


def plan_bound(
    terms: ConeTerms,
    half_costs: Array,
    masses: Array,
    prices: Array,
    lam: Array,
    rho: Array,
    volume: float,
) -> float:
    """A lower bound on ``min over plans of E(plan 1) + sum_ij plan_ij |x_i - y_j|^2 / (2 tau)``.

    With ``s = V + A^T lam`` and ``beta_j - p_i <= |x_i - y_j|^2 / (2 tau) + s_i`` for all pairs it is
    ``sum_j m_j beta_j - sum_i volume U*(p_i)``.  Tried are the best p for the prices beta of the solver, and the best
    beta for ``p = U'(rho)``; without internal energies p = 0.

    Parameters
    ----------
    half_costs : (n, J)
        ``|x_i - y_j|^2 / (2 tau)``.
    masses, prices : (J,)
        Of the base atoms: m and beta.
    lam : (r,)
        Prices of the risk; A m - b of the minimiser is best.
    rho : (n,)
        Densities of the minimiser.
    """
    s = terms.potential + lam @ terms.features
    heavy = masses > HEAVY * masses.max()

    def value(p: Array, beta: Array) -> float:
        internal = volume * float(terms.conjugate(p).sum())
        return risk_part(terms, lam) + float(masses @ beta) - internal

    def best_beta(p: Array) -> Array:
        return np.asarray((half_costs + (s + p)[:, None]).min(0))

    def best_p(beta: Array) -> Array:
        return np.asarray((beta[heavy] - half_costs[:, heavy]).max(1) - s)

    if not terms.internal.summands:
        return value(np.zeros_like(s), best_beta(np.zeros_like(s)))
    bounds = []
    for beta in (prices, best_beta(terms.pressure(rho))):
        p = best_p(beta)
        bounds.append(value(p, np.where(heavy, beta, best_beta(p))))
    return max(bounds)


def action_bound(
    terms: ConeTerms,
    corners: Corners,
    rho0: Array,
    mobility0: Array,
    tau: float,
    volume: float,
    phi: Array,
    lam: Array,
) -> float:
    """``-J(phi, lam)``, a lower bound on the corner form of a step; see :mod:`jko.steps.conic.corners`.

    Parameters
    ----------
    rho0 : (n,)
        Density of the base point.
    mobility0 : (F,)
        ``1/4 (rho_0K + rho_0L) + eps``.
    phi, lam : (n,), (r,)
        Multipliers.
    """
    V = terms.potential + lam @ terms.features
    price, g = corners.price(phi, V, tau)
    if not terms.internal.summands:  # a constant added to phi makes every price admissible
        phi, price = phi - price.max(), price - price.max()
    stars = float(terms.conjugate(price).sum()) / 2**corners.dim
    J = volume * (stars - float(rho0 @ phi) + tau / 2 * float(mobility0 @ (g * g)))
    return risk_part(terms, lam) - J
