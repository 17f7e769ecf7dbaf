"""Lower bounds on the minimum of a step, by weak duality: they hold for any prices, however a solver found them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from jko.energies import Entropy, Internal
from jko.steps.conic.corners import Corners
from jko.steps.conic.terms import Internals, Terms

Array = NDArray[np.float64]

TINY = 1e-14  # of the largest density
HEAVY = (
    1e-8  # of the heaviest atom: lighter ones do not shape the prices, whose digits they have lost
)


def conjugate(internal: Internals, p: Array, rho: Array) -> Array:
    """An upper bound on ``U*(p)`` for ``U = sum_i c_i U_i``, tight where rho is the density of the price p.

    ``(U_1 + U_2)*(p) <= U_1*(q) + U_2*(p - q)`` for all q, with equality at ``q = U_1'(rho)``.
    Without internal energies U* is 0 for p <= 0 and +inf above.
    """
    alike: dict[Internal, float] = {}
    for c, term in internal:
        alike[term] = alike.get(term, 0.0) + c
    if not alike:
        return np.where(p > 0, np.inf, 0.0)
    terms = sorted(alike.items(), key=lambda item: isinstance(item[0], Entropy))
    total, left, r = np.zeros_like(p), torch.from_numpy(p), torch.from_numpy(rho)
    for k, (E, c) in enumerate(terms):
        q = left if k == len(terms) - 1 else c * E.slope(r)
        at = E.density(q / c)
        total = total + (q * at - c * E.U(at)).numpy()
        left = left - q
    return total


def risk_part(terms: Terms, lam: Array) -> float:
    """``constant - |lam|^2 / 2 - lam . b``."""
    return terms.constant - 0.5 * float(lam @ lam) - float(lam @ terms.targets)


def pressure(internal: Internals, rho: Array) -> Array:
    """``sum_i c_i U_i'(rho)``, with densities lifted off zero, where that of the entropy is -inf."""
    lifted = torch.from_numpy(np.maximum(rho, TINY * rho.max()))
    total = np.zeros_like(rho)
    for c, E in internal:
        total = total + c * E.slope(lifted).numpy()
    return total


def plan_bound(
    terms: Terms,
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
        internal = volume * float(conjugate(terms.internal, p, rho).sum())
        return risk_part(terms, lam) + float(masses @ beta) - internal

    def best_beta(p: Array) -> Array:
        return np.asarray((half_costs + (s + p)[:, None]).min(0))

    def best_p(beta: Array) -> Array:
        return np.asarray((beta[heavy] - half_costs[:, heavy]).max(1) - s)

    if not terms.internal:
        return value(np.zeros_like(s), best_beta(np.zeros_like(s)))
    bounds = []
    for beta in (prices, best_beta(pressure(terms.internal, rho))):
        p = best_p(beta)
        bounds.append(value(p, np.where(heavy, beta, best_beta(p))))
    return max(bounds)


def action_bound(
    terms: Terms,
    corners: Corners,
    rho0: Array,
    mobility0: Array,
    tau: float,
    volume: float,
    phi: Array,
    lam: Array,
    r: Array,
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
    r : (n 2^d,)
        Corner densities of the minimiser.
    """
    V = terms.potential + lam @ terms.features
    price, g = corners.price(phi, V, tau)
    if not terms.internal:  # a constant added to phi makes every price admissible
        phi, price = phi - price.max(), price - price.max()
    stars = float(conjugate(terms.internal, price, r).sum()) / 2**corners.dim
    J = volume * (stars - float(rho0 @ phi) + tau / 2 * float(mobility0 @ (g * g)))
    return risk_part(terms, lam) - J
