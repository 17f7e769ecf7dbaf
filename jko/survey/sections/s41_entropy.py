"""Section 4.1: entropy, its minimisers, and F seen from a minimiser."""

from __future__ import annotations

import math

import numpy as np
import torch

from jko import exact
from jko.diagnostics import decomposition, minimiser
from jko.energies import Entropy, Potential, SquaredNorm
from jko.measures import GridDensity, LineMesh
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, counterexample, identity, limit
from jko.survey.regularised import BETA, bumpy, network, plane, spread_order


@identity(
    "(4.1)",
    r"the heat regularisation adds $\tau \operatorname{Ent}(\mu) = \tau \int \rho \log \rho$",
)
def entropy(quick: bool) -> Measurement:
    """Energy of a normal law under |x|^2/2 + BETA Ent on a fine grid of the line, against the closed form."""
    grid = Grid((-8.0, 8.0), 800)
    rho = GridDensity.from_function(grid, lambda x: torch.exp(-(x[:, 0] ** 2) / 2))
    value = exact.gaussian_energy([0.0], [[1.0]], A=1.0, beta=BETA)
    return Measurement(float((SquaredNorm() + BETA * Entropy())(rho)), value, 1e-4)


@limit(
    "(4.2)",
    r"the JKO scheme of $F + \tau \operatorname{Ent}$ converges to the equation with $\tau \Delta \mu$, at order 1",
)
def heat_equation(quick: bool) -> Measurement:
    """Order in the time step of the second moment of a normal law under |x|^2/2 + BETA Ent, to the exact one."""
    cells = 200 if quick else 400
    grid = Grid((-6.0, 6.0), cells)
    start = LineMesh.from_density(
        GridDensity.from_function(grid, lambda x: torch.exp(-(x[:, 0] ** 2) / 0.5))
    )
    spread = float(start.integrate(start.support[:, 0] ** 2))
    after = spread * math.exp(-2) + BETA * (1 - math.exp(-2))
    return spread_order(SquaredNorm() + BETA * Entropy(), start, after, quick)


@identity(
    "(4.3)",
    r"with no flux through the walls the state of rest is $e^{x/\tau}/Z$, for $V = -x$ on $[0, 1]$",
)
def walls(quick: bool) -> Measurement:
    """L1 distance of the cell masses of the minimiser from those of the formula."""
    grid, n = Grid((0.0, 1.0), 200), 200
    rest = minimiser(Potential(lambda x: -x[:, 0]) + BETA * Entropy(), grid).state
    masses = np.diff(exact.wall_rest_mass(np.linspace(0, 1, n + 1), beta=BETA))
    return Measurement(float(np.abs(rest.weights.numpy() - masses).sum()), 0.0, 1e-4)


@identity(
    "(4.4)-(4.5)",
    r"$F(\mu) - F(\mu_*) = \frac{1}{2} |f_\mu - f_{\mu_*}|^2 + \tau \operatorname{KL}(\mu, \mu_*)$ at the "
    r"stationary $\mu_*$",
)
def relative_entropy(quick: bool) -> Measurement:
    """Both sides of (4.4)-(4.5), for a measure with random masses on a grid of the plane of (w, theta)."""
    F, grid = network(0.05, Entropy()), plane(quick)
    star, mu = minimiser(F, grid).state, bumpy(grid)
    terms = decomposition(F, mu, star)
    return Measurement(float(F(mu) - F(star)), terms.risk + terms.internal, 1e-10)


@identity(
    "after (4.5)",
    r"so $F(\mu) \ge F(\mu_*)$, and the stationary solution is the unique minimiser: $F$ curves up from it",
)
def unique_minimiser(quick: bool) -> Measurement:
    """(F(mu_* + s (mu - mu_*)) - F(mu_*)) / s^2 for small s, mean over both signs and over four mu.

    By (4.5) it tends to ``1/2 |f_mu - f_*|^2 + tau/2 int (mu - mu_*)^2 / mu_*``, which is positive; written out.
    """
    F, grid = network(0.05, Entropy()), plane(quick)
    star, s = minimiser(F, grid).state, 2e-5
    x = np.linspace(-1, 1, 9)
    w, theta = grid.centres.numpy().T
    phi = w[:, None] * np.tanh(theta[:, None] * x)
    found, exact = 0.0, 0.0
    for k in range(4):
        change = bumpy(grid, k).values - star.values
        ends = [float(F(GridDensity(grid, star.values + e * change))) for e in (s, -s)]
        found += (sum(ends) - 2 * float(F(star))) / (8 * s**2)
        masses, base = (v.numpy().ravel() * grid.cell for v in (change, star.values))
        exact += ((masses @ phi) ** 2).mean() / 8 + BETA / 8 * float((masses**2 / base).sum())
        if min(ends) < float(F(star)) or abs(ends[0] - ends[1]) > 2 * s * 1e-7:
            found = math.nan  # no minimum, or not stationary
    return Measurement(found, exact, 1e-4 * exact)


@counterexample(
    "4.1",
    r"without $V$, or with $w$ unbounded, there need be no stationary solution: $\inf F = -\infty$",
)
def no_minimiser(quick: bool) -> Measurement:
    """V = 0: slope of F in log L when w is spread evenly over [-L, L], which leaves f_mu alone; it is -BETA."""
    F = network(0.0, Entropy())
    lengths, values = [2.0, 4.0, 8.0, 16.0], []
    for L in lengths:
        grid = Grid(((-L, L), (-1.0, 1.0)), (40, 8))
        values.append(
            float(F(GridDensity.from_function(grid, lambda xi: torch.ones_like(xi[:, 0]))))
        )
    slope = float(np.polyfit(np.log(lengths), values, 1)[0])
    picture = Picture(
        (Curve(lengths, values, "$F$", "dots"),), "$L$", "$F$ of the even law on $[-L, L]$", True
    )
    return Measurement(slope, -BETA, 1e-10, picture=picture)
