"""Section 5: what is open, looked at in examples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import jko.limits
from jko import exact
from jko.diagnostics import decay, decomposition, dissipation, motion, stationary
from jko.energies import Entropy, SquaredNorm, TwoLayerRisk
from jko.flows import flow
from jko.measures import ChargedParticles, ChargedSpan, Particles
from jko.networks import Data
from jko.steps import LBFGS
from jko.survey.instances import LAM, LINE_LAM, SYSTEMS, Array, line, net, slopes
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim
from jko.survey.regularised import bumpy, network, plane

GAUSS = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}
START = np.zeros(2), np.diag([1.0, 0.5])  # of the Gaussian network


@claim(
    "5.1",
    Kind.EXPERIMENT,
    "N neurons follow the limit N -> infinity uniformly in time here, at order N^{-1/2}",
)
def uniform_in_time(quick: bool) -> Measurement:
    """The exponent in N of the root mean square over samples of sup_{t <= T} |f_{mu_N(t)} - f_{mu(t)}|."""
    repeats, T = (4, 10.0) if quick else (16, 40.0)
    big = net(1000 if quick else 4000, seed=100)
    times = np.linspace(0, T, 21)
    sizes = [16, 32, 64, 128]

    def predictions(mu: Particles) -> torch.Tensor:
        run = jko.limits.wasserstein(big.F, mu, t1=T, rtol=1e-6, times=times)
        return torch.stack([big.risk.predict(state) for state in run.states])

    limit, errors = predictions(big.mu), []
    for N in sizes:
        sups = [
            float((predictions(net(N, seed=k).mu) - limit).square().mean(1).max())
            for k in range(repeats)
        ]
        errors.append(float(np.mean(sups)) ** 0.5)
    order = -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])
    slope = [errors[0] * (sizes[0] / N) ** 0.5 for N in sizes]
    curves = (
        Curve(sizes, errors, f"$\\sup_{{t \\leq {T:g}}}$", "dots"),
        Curve(sizes, slope, "$N^{-1/2}$", "dashed"),
    )
    return Measurement(
        order, 0.5, 0.25, picture=Picture(curves, "neurons $N$", "distance of $f$", True, True)
    )


def _gaps(times: Array) -> Array:
    """F - F_* of the Gaussian network along (4.2), by the closed forms of the library."""
    bottom = exact.network_energy(*exact.network_rest(**GAUSS), **GAUSS)
    laws = [START if t == 0 else exact.network_flow(*START, t=float(t), **GAUSS) for t in times]
    return np.array([exact.network_energy(*law, **GAUSS) for law in laws]) - bottom


def _rest_by_hand() -> tuple[float, Array]:
    """q, and the variances beta / (lam +- q) along (w +- theta) / sqrt 2, of the state of rest."""
    s2, target, lam, beta = GAUSS.values()
    q = brentq(lambda q: q + s2 * (beta * q / (lam**2 - q**2) + target), -lam + 1e-9, lam - 1e-9)
    return q, np.array([beta / (lam + q), beta / (lam - q)])


def _rates_by_hand() -> Array:
    """The rates at which covariances come to rest: eigenvalues of ``S' = -A_q S - S A_q + 2 beta I``, linearised."""
    s2, lam = GAUSS["s2"], GAUSS["lam"]
    q, (plus, minus) = _rest_by_hand()
    two = [[2 * (lam + q) + s2 * plus, -s2 * plus], [-s2 * minus, 2 * (lam - q) + s2 * minus]]
    return np.sort(np.append(np.linalg.eigvals(two).real, 2 * lam))


def _energy_by_hand(S: Array) -> float:
    """F at N(0, S)."""
    s2, target, lam, beta = GAUSS.values()
    entropy = -0.5 * math.log(np.linalg.det(2 * math.pi * math.e * S))
    return float(s2 / 2 * (S[0, 1] - target) ** 2 + lam / 2 * np.trace(S) + beta * entropy)


def _least_ratio(T: float) -> float:
    """The least ratio of the dissipation to F - F_* up to time T, by scipy's own integration."""
    s2, target, lam, beta = GAUSS.values()

    def force(S: Array) -> Array:
        q = s2 * (S[0, 1] - target)
        return np.array([[lam, q], [q, lam]]) - beta * np.linalg.inv(S)

    def velocity(t: float, y: Array) -> Array:
        S = y.reshape(2, 2)
        B = force(S)
        return -(B @ S + S @ B).ravel()

    _, (plus, minus) = _rest_by_hand()
    half, mixed = (plus + minus) / 2, (plus - minus) / 2
    bottom = _energy_by_hand(np.array([[half, mixed], [mixed, half]]))
    times = np.linspace(0, T, 2001)
    run = solve_ivp(velocity, (0, T), START[1].ravel(), t_eval=times, rtol=1e-10, atol=1e-12)
    laws = run.y.T.reshape(-1, 2, 2)
    return min(
        float(np.trace(force(S) @ S @ force(S))) / (_energy_by_hand(S) - bottom) for S in laws
    )


@claim(
    "5.1 (ii)",
    Kind.EXPERIMENT,
    "the dissipation controls F - F_* along the flow: their ratio stays away from zero",
)
def dissipation_ratio(quick: bool) -> Measurement:
    """The infimum over t in [0, 4] of -dF/dt / (F - F_*) for the Gaussian network with entropy, by differences.

    Expected: the least ratio of ``int |grad dF/dmu|^2 dmu`` to F - F_* along the flow that scipy integrates.
    """
    e, times = 1e-4, np.linspace(0, 4, 41 if quick else 401)
    gaps = _gaps(times)
    ahead, behind = _gaps(times + e), _gaps(np.maximum(times - e, 0))
    rates = -(ahead - behind) / (2 * e)
    rates[0] = -(4 * ahead[0] - _gaps(np.array([0.0, 2 * e]))[1] - 3 * gaps[0]) / (2 * e)
    ratios = rates / gaps
    picture = Picture(
        (
            Curve(times, ratios, "dissipation / $(F - F_*)$"),
            Curve(times, np.full(len(times), 2 * _rates_by_hand()[0]), "limit", "dashed"),
        ),
        "$t$",
        "rate",
    )
    return Measurement(float(ratios.min()), _least_ratio(4.0), 1e-3, picture=picture)


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "with entropy the Gaussian network decays exponentially, at rate 2.85",
)
def exponential_decay(quick: bool) -> Measurement:
    """The fitted rate of F - F_* along (4.2), against twice the least rate of the covariance at rest, 2.84845."""
    times = np.linspace(0, 8, 41)
    gaps = _gaps(times)
    found = decay(times, gaps, since=5.0)
    line = gaps[-1] * np.exp(found.rate * (times[-1] - times))
    picture = Picture(
        (
            Curve(times, gaps, "$F - F_*$"),
            Curve(times, line, f"$e^{{-{found.rate:.3g} t}}$", "dashed"),
        ),
        "$t$",
        "$F(\\mu_t) - F_*$",
        logy=True,
    )
    return Measurement(found.rate, 2 * float(_rates_by_hand()[0]), 0.005, picture=picture)


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "with a porous medium on the line and V = x^2/2 the decay is exponential, rate 6",
)
def porous_decay(quick: bool) -> Measurement:
    """The fitted rate of F - F_* along Barenblatt's solution of (4.7); R^3 tends to its limit like e^{-3t}."""
    times = np.linspace(0, 3, 61)
    radii = exact.barenblatt_flow(1.0, m=2, d=1, c=1.0, a=1.0, t=times)
    rest = exact.barenblatt_rest(m=2, d=1, c=1.0, a=1.0)
    gaps = exact.barenblatt_energy(radii, m=2, d=1, c=1.0, a=1.0) - float(
        exact.barenblatt_energy(rest, m=2, d=1, c=1.0, a=1.0)
    )
    found = decay(times, gaps, since=1.0, floor=1e-14)
    picture = Picture(
        (Curve(times, gaps, f"rate {found.rate:.3g}"),), "$t$", "$F(\\mu_t) - F_*$", logy=True
    )
    return Measurement(found.rate, 6.0, 0.02, picture=picture)


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
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
    data = line().risk.data
    x, f, q = (t.numpy() for t in (data.x[:, 0], data.f, data.weights))
    m, theta0, H0 = (t.numpy() for t in (pair.weights, pair.theta[:, 0], pair.H))
    n = len(m)

    def together(t: float, y: Array) -> Array:
        theta, H = y[:n], y[n:]
        h = np.tanh(theta[:, None] + x)
        g = q * ((m * H) @ h - f)
        return np.concatenate([-H * ((1 - h * h) @ g) - LINE_LAM * theta, -h @ g - LINE_LAM * H])

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


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "(3.21) has no rate in the example: G falls to its least value, then rises by .0064 as rho gathers",
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


@claim(
    "footnote 13",
    Kind.IDENTITY,
    "int dF/dmu d(mu - mu_*) = F(mu) - F_* + 1/2 |f_mu - f_*|^2 + tau KL(mu_*, mu)",
)
def proximal_identity(quick: bool) -> Measurement:
    """Both sides at a measure with random masses on a grid: the natural script F of the footnote is KL(mu_*, mu)."""
    F, grid = network(0.05, Entropy()), plane(quick)
    star, mu = stationary(F, grid).state, bumpy(grid)
    there = decomposition(F, star, mu)  # mu and mu_* change places
    left = -there.slope
    return Measurement(left, float(F(mu) - F(star)) + there.risk + there.internal, 1e-10)


@claim(
    "footnote 13",
    Kind.ERRATUM,
    'the rate "1/t" is not sharp: under its own assumption the decay is exponential',
)
def not_algebraic(quick: bool) -> Measurement:
    """The misfit of e^{-rt} in log(F - F_*), for the Gaussian network; as printed, that of t^{-p}."""
    times = np.linspace(0, 5, 51)
    gaps = _gaps(times)
    found = decay(times, gaps, since=2.5)
    return Measurement(found.exponential_misfit, 0.0, 0.01, printed=found.algebraic_misfit)


def _rise_by_hand(n: int) -> float:
    """G(40) less the least G along (3.21), by upwind differences on n cells, of first order.

    Characteristics cross at t = 3, so that no smooth solution is left to compare with.
    """
    data = line().risk.data
    x, f, q = (t.numpy() for t in (data.x[:, 0], data.f, data.weights))
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


@claim(
    "5.1", Kind.EXPERIMENT, "without regularisation a small network comes to rest exponentially too"
)
def rate_of_atoms(quick: bool) -> Measurement:
    """The rate at which the dissipation of ten neurons with V = LAM |xi|^2/2 decays, fitted late.

    Expected: twice the least eigenvalue of the derivative, by differences, of the velocities at rest, written out.
    """
    example, T = net(10), 600.0
    run = jko.limits.wasserstein(
        example.F, example.mu, t1=T, rtol=1e-10, times=np.linspace(0, T, 61)
    )
    speeds = [dissipation(example.F, state) for state in run.states]
    found = decay(run.times, speeds, since=0.4 * T, floor=1e-18)
    picture = Picture(
        (Curve(run.times, speeds, str(found)[:46], "line"),), "$t$", "dissipation", logy=True
    )
    rest, e = run.final.support.numpy(), 1e-5

    def force(points: Array) -> Array:
        return slopes(points, np.full(10, 0.1), example.data, LAM).ravel()

    steps = e * np.eye(30).reshape(30, 10, 3)
    J = np.array([(force(rest + s) - force(rest - s)) / (2 * e) for s in steps])
    expected = 2 * float(np.linalg.eigvals(J).real.min())
    rate = found.rate if found.is_exponential else math.nan
    return Measurement(rate, expected, 0.02 * expected, picture=picture)


@claim(
    "(5.1)",
    Kind.IDENTITY,
    "two hidden layers: the JKO scheme on both layers of particles dissipates; small steps pay half of the fall",
)
def two_layers(quick: bool) -> Measurement:
    """The part ``|nu_1 - nu_0|^2 / (2 tau)`` of the fall of the two-layer risk in one step of tau = .001, written out.

    Twenty steps of tau = 5 fall by more than they pay, too.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    F = TwoLayerRisk(Data(x, torch.sin(2 * x[:, 0])), N2=4) + 1e-3 * SquaredNorm()
    points = torch.randn(30, 9, generator=generator, dtype=torch.float64)
    points[:, 5:] = points[0, 5:]
    run = flow(F, Particles(points), tau=5.0, steps=20)
    picture = Picture(
        (Curve(run.times, run.energies, "", "dots"),), "$t$", "two-layer risk", logy=True
    )

    def energy(z: Array) -> float:
        theta, b, w = z[:, :1], z[:, 1:5], z[:, 5:].mean(0)
        inner = np.tanh(theta * x.numpy()[:, 0]).T @ b / 30
        r = np.tanh(inner) @ w / 4 - np.sin(2 * x.numpy()[:, 0])
        return float((r**2).mean() / 2 + 5e-4 * (z**2).sum(1).mean())

    def part(a: Array, b: Array, tau: float) -> float:
        return float(((a - b) ** 2).sum(1).mean() / (2 * tau) / (energy(a) - energy(b)))

    places = [state.support.numpy() for state in run.states]
    parts = [part(a, b, 5.0) for a, b in itertools.pairwise(places)]
    short = flow(F, Particles(points), tau=1e-3, steps=1, solver=LBFGS(tol=1e-10)).final
    half = part(points.numpy(), short.support.numpy(), 1e-3)
    return Measurement(half if max(parts) <= 1 else math.nan, 0.5, 1e-3, picture=picture)
