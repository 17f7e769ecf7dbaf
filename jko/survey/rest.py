"""Footnotes and remarks between the equations."""

from __future__ import annotations

import numpy as np
import torch
from scipy.integrate import solve_ivp

import jko.limits
from jko.diagnostics import dissipation, fold_free
from jko.energies import PowerNorm, SquaredNorm
from jko.flows import flow
from jko.measures import ChargedDensity, ChargedParticles, Particles
from jko.spaces import Grid
from jko.survey.instances import LINE_LAM, Array, line, net
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim


@claim(
    "footnote 5, footnote 6",
    Kind.IDENTITY,
    "int |xi|^p dmu >= int |(H, theta)|^p drho, p >= 1, with H the mean of nu_theta",
)
def moments_of_order_p(quick: bool) -> Measurement:
    """What the right side lacks, over p = 1, 1.5, 2, 4 together, for three w at each of ten theta; and written out."""
    points = net(10).points.repeat(3, axis=0)
    points[:, 0] = np.random.default_rng(0).normal(size=30)
    m = np.arange(1.0, 31.0) / 465
    mu, orders = Particles(points, m), (1.0, 1.5, 2.0, 4.0)
    gaps = [float(PowerNorm(p)(mu) - PowerNorm(p)(mu.project())) for p in orders]
    whole = m.reshape(10, 3).sum(1)
    means = (m[:, None] * points).reshape(10, 3, 3).sum(1) / whole[:, None]
    lengths = np.linalg.norm(points, axis=1), np.linalg.norm(means, axis=1)
    exact = [m @ lengths[0] ** p - whole @ lengths[1] ** p for p in orders]
    return Measurement(sum(gaps) if min(gaps) >= 0 else np.nan, float(sum(exact)), 1e-12)


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
    """d/dt int w dmu along the hierarchy has no boundary term: the change of int rho H_1 to t = .5, against its ODE.

    Theta = [-1, 1], on which rho has most of its mass near the walls and Vbar pushes it there.
    """
    example = line()
    G = example.risk + (-0.5) * SquaredNorm()
    start = ChargedDensity.from_function(
        Grid((-1.0, 1.0), 100), lambda t: 1 + 4 * t[:, 0] ** 2, example.charge
    )
    times = np.linspace(0, 0.5, 41)
    moments = jko.limits.Moments.of_pair(start, k=2)
    run = jko.limits.hierarchy(G, moments, t1=0.5, times=times)
    totals = [float((s.values * s.H[0]).sum()) * s.grid.cell for s in run.states]
    rates = []
    for state in run.states:
        pair: ChargedDensity = state.pair
        rates.append(-float(pair.integrate(G.gradient(pair)[:, 0].reshape(pair.grid.shape))))
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
    """(3.23) from H = A sin 2 theta to t = 4: no fold for A = .5; for A = 6 its time, against tangents by scipy."""
    example, curves, folds = line(), [], []
    theta = torch.linspace(-1.5, 2.0, 80, dtype=torch.float64)[:, None]
    for A in (0.5, 6.0):
        pair = ChargedParticles(theta, A * torch.sin(2 * theta[:, 0]))
        slope = 2 * A * torch.cos(2 * theta)
        found = fold_free(example.G, pair, t1=4.0, slope=slope)
        folds.append(found.fold)
        curves.append(Curve(found.times, np.minimum(found.slopes, 1e3), f"$A$ = {A:g}"))
    picture = Picture(tuple(curves), "$t$", "largest slope of the graph", logy=True)
    measured = folds[1] if np.isinf(folds[0]) else np.nan
    return Measurement(measured, _fold_by_hand(theta[:, 0].numpy(), 6.0), 1e-4, picture=picture)


def _fold_by_hand(u: Array, A: float) -> float:
    """When a tangent of the graph stands upright: (3.23) for (theta, H) and its derivative in the label."""
    data = line().risk.data
    x, f, q = (t.numpy() for t in (data.x[:, 0], data.f, data.weights))
    n = len(u)

    def velocity(t: float, y: Array) -> Array:
        theta, H, dtheta, dH = y.reshape(4, n)
        h = np.tanh(theta[:, None] + x)
        g, s = q * (H @ h / n - f), 1 - h * h
        first, second = s @ g, (-2 * h * s) @ g  # N' and N''
        return np.concatenate(
            [
                -H * first - LINE_LAM * theta,
                -h @ g - LINE_LAM * H,
                -dH * first - H * second * dtheta - LINE_LAM * dtheta,
                -first * dtheta - LINE_LAM * dH,
            ]
        )

    def upright(t: float, y: Array) -> float:
        return float(y[2 * n : 3 * n].min())

    upright.terminal = True  # type: ignore[attr-defined]
    start = np.concatenate([u, A * np.sin(2 * u), np.ones(n), 2 * A * np.cos(2 * u)])
    run = solve_ivp(velocity, (0, 4), start, rtol=1e-9, atol=1e-11, events=upright)
    return float(run.t_events[0][0]) if len(run.t_events[0]) else np.inf
