"""Footnotes and remarks between the equations."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko.diagnostics import dissipation, fold_free
from jko.energies import PowerNorm
from jko.flow import flow
from jko.measures import ChargedDensity, ChargedParticles, Particles
from jko.survey.instances import line, net
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim


@claim(
    "footnote 5, footnote 6",
    Kind.INEQUALITY,
    "int |xi|^p dmu >= int |(H, theta)|^p drho, p >= 1, with H the mean of nu_theta",
)
def moments_of_order_p(quick: bool) -> Measurement:
    """The largest excess of the right side over p = 1, 1.5, 2, 4, for a measure with three w at each of ten theta."""
    points = net(10).points.repeat(3, axis=0)
    points[:, 0] = np.random.default_rng(0).normal(size=30)
    mu = Particles(points, np.arange(1.0, 31.0) / 465)
    excess = [float(PowerNorm(p)(mu.project()) - PowerNorm(p)(mu)) for p in (1.0, 1.5, 2.0, 4.0)]
    return Measurement(max(excess), 0.0, 1e-14)


@claim(
    "footnote 9",
    Kind.IDENTITY,
    "<dG/dH, phi> in L2(rho) is the derivative of G(rho, H + eps phi)",
)
def variation_in_H(quick: bool) -> Measurement:
    """A central difference against int p phi drho, phi = cos 2 theta."""
    example, e = line(), 1e-5
    pair = example.labels(32).pair
    phi = torch.cos(2 * pair.theta[:, 0])
    ahead, behind = (
        float(example.G(ChargedParticles(pair.theta, pair.H + s * phi, pair.weights)))
        for s in (e, -e)
    )
    p = example.G.gradient(pair)[:, 0]
    return Measurement((ahead - behind) / (2 * e), float(pair.integrate(p * phi)), 1e-9)


@claim(
    "(3.20), footnote 10",
    Kind.IDENTITY,
    "rho_t = (X_t)_# rho_0: its integrals are those of rho_0 along the flow X_t",
)
def push_forward(quick: bool) -> Measurement:
    """int cos theta drho_t of (3.21) at t = 1 from finite volumes, against labels carried by the flow."""
    example, n = line(), 200 if quick else 800
    cells = jko.limits.transported(example.G, example.grid(n), t1=1.0, times=[1.0]).final
    labels = jko.limits.transported(example.G, example.labels(), t1=1.0).final
    values = [float(s.integrate(s.support[:, 0].cos())) for s in (cells, labels)]
    return Measurement(values[0], values[1], 20 / n**2)


@claim(
    "(3.28)",
    Kind.IDENTITY,
    "number i belongs to equation number i - 1: no moment flows through the walls",
)
def no_flux_of_moments(quick: bool) -> Measurement:
    """d/dt int w dmu along the hierarchy has no boundary term: the change of int rho H_1 to t = .5, against its ODE."""
    example = line()
    start = jko.limits.Moments.of_pair(example.grid(100), k=2)
    times = np.linspace(0, 0.5, 41)
    run = jko.limits.hierarchy(example.G, start, t1=0.5, times=times)
    totals = [float((s.values * s.H[0]).sum()) * s.grid.cell for s in run.states]
    rates = []
    for state in run.states:
        pair: ChargedDensity = state.pair
        rates.append(
            -float(pair.integrate(example.G.gradient(pair)[:, 0].reshape(pair.grid.shape)))
        )
    return Measurement(totals[-1] - totals[0], float(np.trapezoid(rates, times)), 1e-4)


@claim(
    "Proposition 3.3",
    Kind.COUNTEREXAMPLE,
    'G is non-increasing, not "decreasing": at a stationary pair it stays',
)
def not_strictly(quick: bool) -> Measurement:
    """dG/dt at the end of a long JKO flow: zero."""
    example = net(6)
    pair = flow(example.F, example.mu.project(), tau=50.0, steps=60).final
    return Measurement(dissipation(example.F, pair), 0.0, 1e-8)


@claim(
    "5.1 (i)",
    Kind.EXPERIMENT,
    "a smooth pair may become singular in finite time: a large charge folds the graph",
)
def folding(quick: bool) -> Measurement:
    """(3.23) from H = A sin 2 theta: is there a fold before t = 4?  No for A = .5 (0), yes for A = 6 (1): the sum."""
    example, curves, folds = line(), [], 0.0
    theta = torch.linspace(-1.5, 2.0, 80, dtype=torch.float64)[:, None]
    for A in (0.5, 6.0):
        pair = ChargedParticles(theta, A * torch.sin(2 * theta[:, 0]))
        slope = 2 * A * torch.cos(2 * theta)
        found = fold_free(example.G, pair, t1=4.0, slope=slope)
        folds += float(np.isfinite(found.fold))
        curves.append(Curve(found.times, np.minimum(found.slopes, 1e3), f"$A$ = {A:g}"))
    picture = Picture(tuple(curves), "$t$", "largest slope of the graph", logy=True)
    return Measurement(folds, 1.0, 0.0, picture=picture)
