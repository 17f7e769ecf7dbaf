"""Section 2.3: the disintegration of densities, and of what flows of atoms tend to."""

from __future__ import annotations

import math

import numpy as np
import torch

from jko import exact
from jko.diagnostics import disintegration
from jko.energies import SquaredNorm
from jko.measures import GridDensity, YoungMeasure
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, identity, limit
from jko.survey.instances import exponent
from jko.survey.systems import line


@identity(
    "2.3",
    r"$\rho(\theta) = \int \mu(dw, \theta)$ and $\nu_\theta = \mu / \rho$ of a density: $F - G$ is $\frac{\lambda}{2} "
    r"\int \operatorname{Var}(w \mid \theta)\, d\rho$",
)
def of_a_density(quick: bool) -> Measurement:
    """F of a density on R x Theta less G of its pair, against a double sum; f_mu and f_{rho, H} are the same."""
    grid = Grid(((-2.0, 3.0), (-1.0, 1.0)), (40, 25))
    mu = GridDensity.from_function(
        grid, lambda xi: torch.exp(-((xi[:, 0] - torch.sin(3 * xi[:, 1])) ** 2)) + 0.1
    )
    risk, pair = line().risk, disintegration(mu).pair
    same = (risk.predict(mu) - risk.predict(pair)).abs().max() < 1e-12
    F = risk + SquaredNorm()
    values, w = mu.values.numpy(), grid.axes[0].numpy()[:, None]
    mean = (values * w).sum(0) / values.sum(0)
    spread = (values * (w - mean) ** 2).sum() * grid.cell
    return Measurement(float(F(mu) - F(pair)) if same else math.nan, 0.5 * float(spread), 1e-12)


@limit(
    "2.3",
    r"flows tear fibres apart, and cells find them again, at order 1 in their width: $\int \operatorname{Var}(w \mid "
    r"\theta)\, d\rho = (1 - 2 |\tanh s|) / \cosh^2 s$ after square waves and linear features",
)
def by_cells(quick: bool) -> Measurement:
    """The order in the width h, of which some cells lie at the ends of a sheet; atoms in closed form, 2 n = 8000."""
    n = 4000
    theta = ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[:, None]
    mu = YoungMeasure.of_fibres(theta, [1.0, -1.0])
    P = exact.linear_flow(np.diag([1.0, 1 / 3]), s2=1.0, target=0.4, t=0.5)
    s = math.asinh(P[0, 1])
    end = mu.placed(mu.points @ torch.from_numpy(P))
    wanted = (1 - 2 * abs(math.tanh(s))) / math.cosh(s) ** 2
    widths = [0.2 / 2**k for k in range(5)]
    errors = [abs(disintegration(end, h).expected_variance - wanted) for h in widths]
    picture = Picture((Curve(widths, errors, "", "dots"),), "width of a cell", "error", True, True)
    return Measurement(exponent(widths, errors), 1.0, 0.2, picture=picture)
