"""Section 5: what is open, looked at in examples."""

from __future__ import annotations

import math

import numpy as np
import torch

import jko.limits
from jko import exact
from jko.diagnostics import decay, decomposition, dissipation, motion, stationary
from jko.energies import Entropy, SquaredNorm, TwoLayerRisk
from jko.flow import flow
from jko.measures import ChargedSpan, Particles
from jko.networks import Data
from jko.survey.instances import SYSTEMS, line, net
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim
from jko.survey.regularised import bumpy, network, plane

GAUSS = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}


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


@claim(
    "5.1 (ii)",
    Kind.EXPERIMENT,
    "the dissipation controls F - F_* along the flow: their ratio stays away from zero",
)
def dissipation_ratio(quick: bool) -> Measurement:
    """The rate of decay of F - F_* for the Gaussian network with entropy, against the least ratio of I to F - F_*.

    At late times the ratio tends to the rate, from above or below; the claim compares both at the end.
    """
    rest = exact.network_rest(**GAUSS)
    bottom = exact.network_energy(*rest, **GAUSS)
    times = np.linspace(0, 4, 41)
    start = np.zeros(2), np.diag([1.0, 0.5])
    laws = [start, *(exact.network_flow(*start, t=float(t), **GAUSS) for t in times[1:])]
    gaps = np.array([exact.network_energy(*law, **GAUSS) for law in laws]) - bottom
    ratios = [_gaussian_dissipation(*law) / gap for law, gap in zip(laws, gaps, strict=True)]
    found = decay(times, gaps, since=2.0)
    picture = Picture(
        (
            Curve(times, ratios, "dissipation / $(F - F_*)$"),
            Curve(times, [found.rate] * 41, "fitted rate", "dashed"),
        ),
        "$t$",
        "rate",
    )
    return Measurement(float(ratios[-1]), found.rate, 0.1, picture=picture)


def _gaussian_dissipation(mean: np.ndarray, S: np.ndarray) -> float:
    """``int |grad dF/dmu|^2 dmu`` at N(0, S): the gradient is ``(A_q - beta S^{-1}) xi``."""
    q = GAUSS["s2"] * (S[0, 1] - GAUSS["target"])
    B = np.array([[GAUSS["lam"], q], [q, GAUSS["lam"]]]) - GAUSS["beta"] * np.linalg.inv(S)
    return float(np.trace(B @ S @ B))


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "with entropy the Gaussian network decays exponentially, at rate 2.85",
)
def exponential_decay(quick: bool) -> Measurement:
    """The fitted rate of F - F_* along (4.2)."""
    rest = exact.network_rest(**GAUSS)
    bottom = exact.network_energy(*rest, **GAUSS)
    times = np.linspace(0, 5, 51)
    start = np.zeros(2), np.diag([1.0, 0.5])
    laws = [start, *(exact.network_flow(*start, t=float(t), **GAUSS) for t in times[1:])]
    gaps = np.array([exact.network_energy(*law, **GAUSS) for law in laws]) - bottom
    found = decay(times, gaps, since=2.5)
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
    return Measurement(found.rate, 2.85, 0.05, picture=picture)


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
    return Measurement(found.rate, 6.0, 0.1, picture=picture)


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "(3.19) comes to rest three times as fast as (3.23) in the example, both exponentially",
)
def two_rates(quick: bool) -> Measurement:
    """The ratio of the fitted rates of both dissipations, for t in [15, 40] along characteristics."""
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
    return Measurement(ratio, 2.95, 0.1, picture=picture)


@claim(
    "5.1 (iii)",
    Kind.EXPERIMENT,
    "(3.21) has no rate in the example: G falls to its least value, then rises by .0064 as rho gathers",
)
def no_rest(quick: bool) -> Measurement:
    """G(40) minus the least of G(0), ..., G(40) along (3.21), by finite volumes; beside it (3.23) and (3.19)."""
    example, times = line(), np.arange(41.0)
    start = example.grid(100 if quick else 400)
    energies = {
        system.equation: system(example.G, start, t1=40.0, times=times).energies
        for system in SYSTEMS
    }
    curves = [Curve(times[2:], values[2:], name) for name, values in energies.items()]
    rise = energies["(3.21)"][-1] - energies["(3.21)"].min()
    return Measurement(rise, 0.0064, 0.0006, picture=Picture(tuple(curves), "$t$", "$G$"))


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
    bottom = exact.network_energy(*exact.network_rest(**GAUSS), **GAUSS)
    times = np.linspace(0, 5, 51)
    start = np.zeros(2), np.diag([1.0, 0.5])
    laws = [start, *(exact.network_flow(*start, t=float(t), **GAUSS) for t in times[1:])]
    gaps = [exact.network_energy(*law, **GAUSS) - bottom for law in laws]
    found = decay(times, gaps, since=2.5)
    return Measurement(found.exponential_misfit, 0.0, 0.02, printed=found.algebraic_misfit)


@claim(
    "5.1", Kind.EXPERIMENT, "without regularisation a small network comes to rest exponentially too"
)
def rate_of_atoms(quick: bool) -> Measurement:
    """Whether the dissipation of ten neurons with V = LAM |xi|^2/2 decays like e^{-rt} (1) or like a power (0)."""
    example, T = net(10), 600.0
    run = jko.limits.wasserstein(
        example.F, example.mu, t1=T, rtol=1e-10, times=np.linspace(0, T, 61)
    )
    speeds = [dissipation(example.F, state) for state in run.states]
    found = decay(run.times, speeds, since=0.4 * T, floor=1e-18)
    picture = Picture(
        (Curve(run.times, speeds, str(found)[:46], "line"),), "$t$", "dissipation", logy=True
    )
    return Measurement(float(found.is_exponential), 1.0, 0.0, picture=picture)


@claim(
    "(5.1)",
    Kind.INEQUALITY,
    "two hidden layers: the JKO scheme on both layers of particles dissipates",
)
def two_layers(quick: bool) -> Measurement:
    """Minus the smallest slack of 20 steps of the two-layer risk: no step may raise the energy plus its cost."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    F = TwoLayerRisk(Data(x, torch.sin(2 * x[:, 0])), N2=4) + 1e-3 * SquaredNorm()
    points = torch.randn(30, 9, generator=generator, dtype=torch.float64)
    points[:, 5:] = points[0, 5:]
    run = flow(F, Particles(points), tau=5.0, steps=20)
    picture = Picture(
        (Curve(run.times, run.energies, "", "dots"),), "$t$", "two-layer risk", logy=True
    )
    fell = run.energies[-1] < 0.9 * run.energies[0]
    return Measurement(-float(run.slacks.min()) if fell else math.inf, 0.0, 0.0, picture=picture)
