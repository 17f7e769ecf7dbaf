"""Section 5.1: the evolutions of pairs for long times: rates, no rate, and a fold."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp

import jko.limits
from jko.diagnostics import decay, dissipation, fold_free, motion
from jko.measures import ChargedParticles, ChargedSpan, Particles
from jko.survey.claims import Curve, Measurement, Picture, experiment
from jko.survey.instances import Array
from jko.survey.systems import LINE_LAM, SYSTEMS, line


@experiment(
    "5.1 (iii)",
    "(3.19) comes to rest three times as fast as (3.23) in the example, both exponentially",
)
def two_rates(quick: bool) -> Measurement:
    """The ratio of the fitted rates of both dissipations, for t in [15, 40] along characteristics; and by scipy."""
    example, times = line(), np.linspace(0, 40, 81)
    pair = example.labels(48).pair
    rho = Particles(pair.theta, pair.weights)
    span = ChargedSpan(rho, example.charge, example.activation, example.risk.data.x)
    together = jko.limits.chaos(example.G, pair, t1=40.0, times=times)
    apart = jko.limits.separated(example.G, span, t1=40.0, times=times)
    series = {
        "(3.23)": [dissipation(example.G, state) for state in together.states],
        "(3.19)": [
            -motion(example.G, s).separated for s in apart.states if isinstance(s, ChargedSpan)
        ],
    }
    found = {name: decay(times, values, since=15.0, floor=1e-12) for name, values in series.items()}
    curves = [Curve(times, v, f"{name}: {found[name].rate:.3g}") for name, v in series.items()]
    picture = Picture(tuple(curves), "$t$", "dissipation", logy=True)
    exponential = all(f.is_exponential for f in found.values())
    ratio = found["(3.19)"].rate / found["(3.23)"].rate if exponential else math.nan
    return Measurement(ratio, _two_rates_by_hand(pair, times), 0.005, picture=picture)


def _two_rates_by_hand(pair: ChargedParticles, times: Array) -> float:
    """The same ratio for both systems written out: (3.19) has H_t = e^{-lam t} H_0 + sum_m a_m h(., x_m)."""
    example = line()
    x, f, q = example.data
    m, theta0, H0 = (t.numpy() for t in (pair.weights, pair.theta[:, 0], pair.H))
    n = len(m)

    def together(t: float, y: Array) -> Array:
        theta, H = y[:n], y[n:]
        N, slope, _ = example.N(theta, H, m)
        return np.concatenate([-H * slope - LINE_LAM * theta, -N - LINE_LAM * H])

    def apart(t: float, y: Array) -> tuple[Array, Array, Array]:
        theta, a, fade = y[:n], y[n:], math.exp(-LINE_LAM * t)
        h = np.tanh(theta[:, None] + x)
        s = 1 - h * h
        H = fade * (1 + 0.6 * np.sin(1.3 * theta)) + h @ a
        slope = fade * 0.78 * np.cos(1.3 * theta) + s @ a
        g = q * ((m * H) @ h - f)
        p = h @ g + LINE_LAM * H
        return -slope * p - H * (s @ g) - LINE_LAM * theta, -LINE_LAM * a - g, p

    def fitted(speeds: Array) -> float:
        used = (times >= 15) & (speeds > 1e-12)
        return -float(np.polyfit(times[used], np.log(speeds[used]), 1)[0])

    options = {"t_eval": times, "rtol": 1e-9, "atol": 1e-12, "method": "LSODA"}
    T = float(times[-1])
    one = solve_ivp(together, (0, T), np.concatenate([theta0, H0]), **options).y
    masses = np.concatenate([m, m])
    first = np.array([masses @ together(0, y) ** 2 for y in one.T])
    start = np.concatenate([theta0, np.zeros(len(x))])
    two = solve_ivp(lambda t, y: np.concatenate(apart(t, y)[:2]), (0, T), start, **options).y
    parts = [apart(t, y) for t, y in zip(times, two.T, strict=True)]
    second = np.array([m @ (v**2 + p**2) for v, _, p in parts])
    return fitted(second) / fitted(first)


@experiment(
    "5.1 (iii)",
    r"(3.21) has no rate in the example: $G$ falls to its least value, then rises by .0064 as $\rho$ gathers",
)
def no_rest(quick: bool) -> Measurement:
    """G(40) minus the least of G(0), ..., G(40) along (3.21), by finite volumes; beside it (3.23) and (3.19).

    Expected: the same by a scheme of first order, written out.
    """
    example, times = line(), np.arange(41.0)
    start = example.grid(100 if quick else 400)
    energies = {
        system.equation: system(example.G, start, t1=40.0, times=times).energies
        for system in SYSTEMS
    }
    curves = [Curve(times[2:], values[2:], name) for name, values in energies.items()]
    rise = energies["(3.21)"][-1] - energies["(3.21)"].min()
    picture = Picture(tuple(curves), "$t$", "$G$")
    return Measurement(float(rise), _rise_by_hand(200), 0.0006, picture=picture)


def _rise_by_hand(n: int) -> float:
    """G(40) less the least G along (3.21), by upwind differences on n cells, of first order.

    Characteristics cross at t = 3, so that no smooth solution is left to compare with.
    """
    x, f, q = line().data
    dx = 6 / n
    theta = -3 + dx * (np.arange(n) + 0.5)
    m, H = np.exp(-0.5 * ((theta - 0.3) / 0.6) ** 2), 1 + 0.6 * np.sin(1.3 * theta)
    m /= m.sum()
    h, t, values = np.tanh(theta[:, None] + x), 0.0, []
    while t < 40:
        r = (m * H) @ h - f
        N = h @ (q * r)
        values.append(float(0.5 * q @ r**2 + LINE_LAM / 2 * m @ (H**2 + theta**2)))
        v = -np.diff(H * N + LINE_LAM / 2 * (H**2 + theta**2)) / dx  # between the cells
        dt = 0.4 * dx / max(float(np.abs(v).max()), 0.05)
        flux, rise = np.where(v > 0, m[:-1], m[1:]) * v, np.diff(H) / dx
        carried = np.append(0, np.maximum(v, 0) * rise) + np.append(np.minimum(v, 0) * rise, 0)
        m = m - dt / dx * np.diff(flux, prepend=0, append=0)
        H = H - dt * (carried + N + LINE_LAM * H)
        t += dt
    return values[-1] - min(values)


@experiment(
    "5.1 (i)", "a smooth pair may become singular in finite time: a large charge folds the graph"
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
    example, n = line(), len(u)

    def velocity(t: float, y: Array) -> Array:
        theta, H, dtheta, dH = y.reshape(4, n)
        N, first, second = example.N(theta, H, np.full(n, 1 / n))
        return np.concatenate(
            [
                -H * first - LINE_LAM * theta,
                -N - LINE_LAM * H,
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
