"""Section 4.2: the porous medium, its minimisers, and F seen from a minimiser."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

import jko.limits
from jko import exact
from jko.diagnostics import decomposition, minimiser
from jko.energies import Energy, PorousMedium, Potential, SquaredNorm
from jko.measures import GridDensity, LineMesh
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, counterexample, erratum, identity, limit
from jko.survey.regularised import BETA, bumpy, network, plane, spread_order


@identity("(4.6)", r"the porous-medium regularisation adds $\frac{\tau}{2} \int \mu^2$")
def square(quick: bool) -> Measurement:
    """Energy of a parabola under |x|^2/2 + BETA/2 int mu^2 on a fine grid of the line, against the closed form."""
    grid = Grid((-1.5, 1.5), 3000)
    rho = GridDensity.from_function(grid, lambda x: (1 - x[:, 0] ** 2).clamp(min=0))
    value = float(exact.barenblatt_energy(1.0, m=2, d=1, c=BETA, a=1.0))
    return Measurement(float((SquaredNorm() + BETA * PorousMedium(2))(rho)), value, 1e-5)


@limit(
    "(4.7)",
    r"its JKO scheme converges to the equation with $\tau \operatorname{div}(\mu \nabla \mu)$, at order 1",
)
def porous_medium_equation(quick: bool) -> Measurement:
    """Order in the time step of the second moment of a parabola, to Barenblatt's solution."""
    cells = 200 if quick else 400
    edges = np.linspace(-1, 1, cells + 1)
    start = LineMesh(edges, np.diff(0.75 * (edges - edges**3 / 3)))
    R = float(exact.barenblatt_flow(1.0, m=2, d=1, c=1.0, a=1.0, t=1.0))
    return spread_order(SquaredNorm() + 1.0 * PorousMedium(2), start, R**2 / 5, quick)


@counterexample(
    "4.2", '"any stationary solution should have full support": it is compact where $V$ confines'
)
def compact_support(quick: bool) -> Measurement:
    """Radius of the support of the minimiser of |x|^2/2 + 1/2 int mu^2 on the line, against R^3 = 3/2."""
    grid = Grid((-3.0, 3.0), 600)
    rest = minimiser(SquaredNorm() + 1.0 * PorousMedium(2), grid).state
    full = rest.support[rest.weights > 1e-9, 0]
    return Measurement(float(full.max()), exact.barenblatt_rest(m=2, d=1, c=1.0, a=1.0), 0.02)


@erratum(
    "(4.8)",
    r"$F(\mu) = F(\mu_*) + \frac{1}{2} |f_\mu - f_{\mu_*}|^2 + \frac{\tau}{2} \int (\mu - \mu_*)^2 + \int "
    r"(\varphi_* - \ell)\, d\mu$",
)
def porous_identity(quick: bool) -> Measurement:
    """The right side with its last term, which is positive where mu_* vanishes; as printed, without."""
    F, grid = network(1.0, PorousMedium(2)), plane(quick)
    star, mu = minimiser(F, grid).state, bumpy(grid)
    terms, base = decomposition(F, mu, star), float(F(star))
    printed = base + terms.risk + terms.internal
    return Measurement(printed + terms.slope, float(F(mu)), 1e-10, printed=printed)


@counterexample(
    "after (4.8)",
    '"uniqueness of stationary solutions": two bumps of any masses $p$, $1 - p$ are stationary',
)
def many_stationary(quick: bool) -> Measurement:
    """V = 5 (x^2 - 1)^2, tau = .5: F of the stationary measure with masses .3 and .7, against quadrature.

    Each bump has a level of its own, on which dF/dmu is constant; and the flow stays there for a while.
    """
    grid, c = Grid((-2.0, 2.0), 4000), 0.5
    x = grid.centres[:, 0]
    F = Potential(lambda y: 5 * (y[:, 0] ** 2 - 1) ** 2) + c * PorousMedium(2)
    energies, shares = [], np.linspace(0.05, 0.5, 10)
    for p in [0.3, *shares]:
        levels = np.where(x < 0, _level(p, c), _level(1 - p, c))
        rho = torch.from_numpy(np.maximum(levels - 5 * (x.numpy() ** 2 - 1) ** 2, 0) / c)
        energies.append(float(F(GridDensity(grid, rho / (rho.sum() * grid.cell)))))
        if p == 0.3:
            resting = _rests(F, GridDensity(grid, rho / (rho.sum() * grid.cell)))
    expected = sum(_bump(_level(p, c), c)[1] for p in (0.3, 0.7))
    picture = Picture(
        (Curve(shares, energies[1:], "", "dots"),), "mass $p$ of the left bump", "$F$"
    )
    return Measurement(energies[0] if resting else math.nan, expected, 1e-5, picture=picture)


def _bump(level: float, c: float) -> tuple[float, float]:
    """Mass and energy of ``rho = (level - V)_+ / c`` about one of the minima of V = 5 (x^2 - 1)^2, by quadrature."""
    reach = math.sqrt(level / 5)
    ends = math.sqrt(1 - reach), math.sqrt(1 + reach)

    def rho(x: float) -> float:
        return (level - 5 * (x * x - 1) ** 2) / c

    mass = quad(rho, *ends)[0]
    return mass, quad(lambda x: rho(x) * (level - c * rho(x) / 2), *ends)[0]


def _level(mass: float, c: float) -> float:
    """The level of the bump with this mass."""
    return float(brentq(lambda level: _bump(level, c)[0] - mass, 1e-9, 4.9))


def _rests(F: Energy, rho: GridDensity) -> bool:
    """Whether dF/dmu is constant on each of both bumps, and the flow leaves them where they are."""
    phi, full = F.variation(rho), rho.values > 1e-2
    left = rho.support[:, 0] < 0
    spreads = [float(phi[full & side].max() - phi[full & side].min()) for side in (left, ~left)]
    coarse = GridDensity(Grid((-2.0, 2.0), 80), rho.values.reshape(80, 50).mean(1))
    later = jko.limits.wasserstein(F, coarse, t1=0.05).final
    moved = float((later.weights - coarse.weights).abs().sum())
    levels = [float(phi[full & side].mean()) for side in (left, ~left)]
    return max(spreads) < 1e-4 and moved < 0.02 and abs(levels[0] - levels[1]) > 0.1
