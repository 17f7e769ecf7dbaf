"""Section 5.1 (i): how high a density becomes along (3.7)."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp

from jko.diagnostics import smoothness
from jko.measures import Particles
from jko.survey.claims import Curve, Measurement, Picture, identity
from jko.survey.instances import Array
from jko.survey.systems import LINE_LAM, line

T = 3.0


@identity(
    "5.1 (i)",
    r"the density of (3.7) stays finite for smooth $\phi$: along characteristics $(\log \mu)' = \operatorname{tr} "
    r"\operatorname{Hess} \phi$, so $|\mu_t|_\infty \le |\mu_0|_\infty \exp \int_0^t \sup \operatorname{tr} "
    r"\operatorname{Hess} \phi$",
)
def density(quick: bool) -> Measurement:
    """log of the growth of the largest density by t = 3, if it is below the bound; and by tangents from scipy."""
    generator = torch.Generator().manual_seed(0)
    mu = Particles(torch.randn(60 if quick else 120, 2, generator=generator, dtype=torch.float64))
    found = smoothness(line().G, mu, t1=T, log_density=lambda z: -0.5 * (z**2).sum(-1))
    below = bool((found.heights <= found.bounds * (1 + 1e-3)).all())
    curves = (
        Curve(found.times, found.heights, "largest density"),
        Curve(found.times, found.bounds, "bound on it", "dashed"),
    )
    picture = Picture(curves, "$t$", "of the largest at the start", logy=True)
    measured = math.log(found.heights[-1]) if below else math.nan
    return Measurement(measured, _height_by_hand(mu.points.numpy()), 1e-4, picture=picture)


def _height_by_hand(xi: Array) -> float:
    """``max (log mu_0 - log det J) - max log mu_0`` at time T: atoms with two tangents each."""
    n, m = len(xi), np.full(len(xi), 1 / len(xi))

    def velocity(t: float, y: Array) -> Array:
        theta, H, dtheta, dH = y[:n], y[n : 2 * n], *y[2 * n :].reshape(2, 2, n)
        N, first, second = line().N(theta, H, m)
        return -np.concatenate(
            [
                H * first + LINE_LAM * theta,
                N + LINE_LAM * H,
                (dH * first + (H * second + LINE_LAM) * dtheta).ravel(),
                (first * dtheta + LINE_LAM * dH).ravel(),
            ]
        )

    one, none = np.ones(n), np.zeros(n)
    start = np.concatenate([xi[:, 1], xi[:, 0], one, none, none, one])
    y = solve_ivp(velocity, (0, T), start, rtol=1e-8, atol=1e-10).y[:, -1]
    dtheta, dH = y[2 * n :].reshape(2, 2, n)
    log = -0.5 * (xi**2).sum(1)
    grown = log - np.log(dtheta[0] * dH[1] - dtheta[1] * dH[0])
    return float(grown.max() - log.max())
