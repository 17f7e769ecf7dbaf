"""Lower bounds, by theorems, on the dissipation ratio of densities over a sublevel set.

For F convex in the measure with an entropy of strength beta, ``F - F_* <= beta KL(mu | mu^)`` with the proximal Gibbs
measure ``mu^ ~ e^{-(phi_mu + V) / beta}``, and ``I = beta^2 int |grad log(mu / mu^)|^2 dmu``.  So, if all mu^ of the
sublevel set have the log-Sobolev constant alpha, ``I >= 2 beta alpha (F - F_*)`` (Nitanda, Wu, Suzuki; Chizat).  There
``|f_mu - f_*|^2 <= 2 (F - F_*)``, which bounds ``phi_mu - phi_*`` and its derivatives on the whole set.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import gradient, hessian
from jko.energies import (
    Energy,
    Entropy,
    Internal,
    Linear,
    Risk,
    SquaredNorm,
    joined,
    parts,
    sorted_terms,
)
from jko.energies.directions import main_directions
from jko.measures import GridDensity, Particles, State
from jko.shown import shown

MANY = 256  # data above which only directions are taken in which features move
FEW = 1e-8  # of the largest singular value of the features: these are left out


@shown
class RateBound(NamedTuple):
    """A lower bound on the dissipation ratio, 0 where none is known, and the theorem, or why there is none.

    Examples
    --------
    >>> import jko
    >>> from jko.diagnostics import proved_ratio
    >>> rest = jko.minimiser(2 * jko.SquaredNorm() + jko.Entropy(), jko.Grid((-5.0, 5.0), 80)).state
    >>> proved_ratio(2 * jko.SquaredNorm() + jko.Entropy(), rest, level=1.0).value
    4.0
    """

    value: float
    theorem: str


def proved_ratio(energy: Energy, rest: State, *, level: float) -> RateBound:
    """The greatest lower bound that a theorem gives for ``I / (F - F_*)`` where ``F - F_* <= level``.

    Parameters
    ----------
    energy : Energy
        A risk of the squared loss, potentials and an entropy; without a risk any convex internal energies.
    rest : GridDensity
        The minimiser; the box is the domain, with no flux through its walls.  Of a quadratic potential with internal
        energies any state will do.
    level : float
        Of the sublevel set.

    Returns
    -------
    RateBound
        The best of three, with the theorem; 0 if none applies.

    Notes
    -----
    Bakry and Emery: ``Hess(phi_mu + V) >= a`` gives ``2 a``.  Holley and Stroock: a measure with the constant alpha_0,
    that of V or the uniform one, with a density between ``e^{-osc}`` and 1 besides, gives ``2 beta alpha_0 e^{-osc}``.
    Without a risk, convexity along geodesics (McCann) gives twice the least eigenvalue of ``Hess V``.  All are about
    measures on the box, not about their cells; extrema are taken over the centres of the cells.

    Examples
    --------
    >>> import jko
    >>> wells = jko.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1)) + 0.5 * jko.Entropy()
    >>> rest = jko.minimiser(wells, jko.Grid((-3.0, 3.0), 120)).state
    >>> jko.diagnostics.proved_ratio(wells, rest, level=0.1).theorem[:18]
    'Holley and Stroock'
    """
    checks.kind("energy", energy, Energy)
    checks.kind("rest", rest, State, hint="the minimiser: jko.minimiser(energy, grid).state")
    level = checks.number("level", level, above=0)
    terms = sorted_terms(energy)
    if (
        terms.lam > 0
        and not terms.without(SquaredNorm, Internal)
        and all(c > 0 for c, _ in terms.internal)
    ):
        return RateBound(2 * terms.lam, "convexity along geodesics (McCann)")
    unknown = _obstacle(energy, rest)
    if unknown or not isinstance(rest, GridDensity):
        return RateBound(0.0, unknown)
    at, mu = rest.grid.centres.to(rest.values), rest.atoms
    V = joined(terms.linear)
    bend_V = _least_eigenvalue(V, mu, at)
    beta = float(sum(c for c, E in terms.internal if isinstance(E, Entropy)))
    if not terms.risks and beta < sum(c for c, _ in terms.internal):
        found = [(2 * float(bend_V.min()), "convexity along geodesics (McCann)")]
    else:
        found = _log_sobolev(energy, rest, level, beta, bend_V)
    value, theorem = max(found, key=lambda bound: bound[0])
    if value > 0:
        return RateBound(value, theorem)
    return RateBound(
        0.0, "no theorem applies: the potentials are not convex, and no entropy is there"
    )


def _obstacle(energy: Energy, rest: State) -> str:
    """Why no theorem applies."""
    if not isinstance(rest, GridDensity):
        return "with this energy lower bounds are known of densities on a grid alone"
    terms = sorted_terms(energy)
    strange = terms.without(Linear, Internal, Risk) or terms.curved
    if strange or any(c < 0 for c, _ in (*terms.risks, *terms.internal)):
        return "no theorem is known for energies but risks of the squared loss, potentials, and internal energies"
    if not bool(parts(energy, rest).potential.isfinite().all()):
        return "no theorem is known for a domain with obstacles"
    if terms.risks and any(not isinstance(E, Entropy) for _, E in terms.internal):
        return "no theorem is known for a risk with an internal energy but the entropy"
    return ""


def _log_sobolev(
    energy: Energy, rest: GridDensity, level: float, beta: float, bend_V: Tensor
) -> list[tuple[float, str]]:
    """Bakry and Emery's bound, and two of Holley and Stroock's."""
    terms, at = sorted_terms(energy), rest.grid.centres.to(rest.values)
    mine = parts(energy, rest)
    with torch.no_grad():
        phi = mine.A.T @ mine.residual(rest.weights)
    reach, norms, bend = math.sqrt(2 * level), mine.A, bend_V
    if terms.risks:
        smooth = joined((*terms.linear, *terms.risks))
        bend = _least_eigenvalue(smooth, rest.atoms, at) - reach * _bends(energy, rest)
        norms = mine.A - 0.5 * (mine.A.amax(1) + mine.A.amin(1))[:, None]
    swing = 2 * reach * float(norms.square().sum(0).max().sqrt()) if terms.risks else 0.0
    of_V = float(bend_V.min()) * math.exp(-(_range(phi) + swing) / beta)
    uniform = beta * _of_box(rest) * math.exp(-(_range(phi + mine.potential) + swing) / beta)
    return [
        (2 * float(bend.min()), "Bakry and Emery: the proximal Gibbs measures are log-concave"),
        (2 * of_V, "Holley and Stroock: the proximal Gibbs measures beside e^(-V / beta)"),
        (2 * uniform, "Holley and Stroock: the proximal Gibbs measures beside the uniform one"),
    ]


def _range(values: Tensor) -> float:
    return float(values.max() - values.min())


def _of_box(rest: GridDensity) -> float:
    """The log-Sobolev constant of the uniform measure: the least of its axes."""
    grid = rest.grid
    axes = zip(grid.periodic, grid.shape, grid.spacing, strict=True)
    return min(((2 if wraps else 1) * math.pi / (n * h)) ** 2 for wraps, n, h in axes)


def _least_eigenvalue(energy: Energy | None, mu: Particles, at: Tensor) -> Tensor:
    """Of the Hessian of the first variation, at each point, (n,)."""
    if energy is None:
        return at.new_zeros(len(at))
    with torch.no_grad():
        return torch.linalg.eigvalsh(energy.hessian(mu, at))[:, 0]


def _bends(energy: Energy, rest: GridDensity) -> Tensor:
    """A bound at each cell on ``|Hess <g, Phi>|`` over all g of norm one in L2(D), (N,)."""
    at, mine = rest.grid.centres.to(rest.values), parts(energy, rest)
    W = main_directions(mine.A, FEW) if len(mine.A) > MANY else torch.eye(len(mine.A)).to(at)
    total, first = at.new_zeros(len(at)), 0
    for c, R in sorted_terms(energy).quadratic:
        root = (c * R.data.quadrature).sqrt()
        rows = W[first : first + len(root)]
        first += len(root)
        for column in rows.T:
            total += _norm_of_hessian(R, root * column, at).square()
    return total.sqrt()


def _norm_of_hessian(risk: Risk, prices: Tensor, at: Tensor) -> Tensor:
    """``|Hess sum_m g_m Phi(., x_m)|`` at each point, (n,)."""

    def pairing(at: Tensor) -> Tensor:
        return risk.pairing(prices, at)

    H = hessian(pairing, lambda at: gradient("the features", pairing, at)[1], at)
    return torch.linalg.eigvalsh(H).abs().amax(1)
