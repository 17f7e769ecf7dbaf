"""What curves of maximal slope and convexity must show, measured.

Run: ``python benchmarks/slopes.py`` (some minutes of CPU).

- De Giorgi's residual at tau = .2: of networks in W2 and in D, and of Ornstein and Uhlenbeck, against its closed form.
- Two networks from 100 pairs of starts: how much their distance exceeds ``e^{-lam t}``, lam from the geodesics.
- The constant of the evolution variational inequality over 31 states, against the least eigenvalue along the flow.
- The second derivative along geodesics against that of a polynomial through the values.
- Bounds in tau, on 100 random potentials with a known modulus: violations, and how far above the error they are.
"""

import time

import numpy as np
import torch
from numpy.polynomial import Chebyshev
from scipy.integrate import quad

import jko
from jko.diagnostics.convexity.paths import path


def draws(seed, N, columns):
    return torch.randn(
        N, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def network(seed, d=2, M=24):
    x, f = draws(seed, M, d), draws(seed + 1000, M, 1)[:, 0]
    return jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh)) + 0.01 * jko.SquaredNorm()


def pair(seed, N, d):
    z = draws(seed, N, d + 1)
    return jko.ChargedParticles(z[:, 1:], z[:, 0])


def residuals():
    for name, state in (("W2", jko.Particles(draws(0, 50, 4))), ("D", pair(1, 50, 3))):
        for tau in (0.4, 0.2, 0.1):
            found = jko.diagnostics.variational(network(0), state, tau=tau)
            six = jko.diagnostics.variational(network(0), state, tau=tau, nodes=6, tol=np.inf)
            print(
                f"network in {name}, tau {tau}: {found.residual:.1e}; 6 nodes in one panel {six.residual:.1e}"
            )
    a, beta, m, s, tau = 1.5, 0.6, 1.0, 0.5, 0.2

    def step(r):
        new = jko.exact.gaussian_step([m], [[s * s]], A=a, beta=beta, tau=r)
        return float(new.mean[0]), float(new.covariance[0, 0]) ** 0.5

    def square(r):
        mean, deviation = step(r)
        return (mean - m) ** 2 + (deviation - s) ** 2

    def energy(mean, deviation):
        return float(jko.exact.gaussian_energy([mean], [[deviation**2]], A=a, beta=beta))

    integral = quad(lambda r: 0.5 * square(r) / r**2, 0, tau, epsabs=1e-13)[0]
    left = energy(m, s) - energy(*step(tau)) - square(tau) / (2 * tau) - integral
    print(f"Ornstein and Uhlenbeck in closed form: {left:.1e}")
    for n in (100, 200, 400):
        z = torch.linspace(-7, 7, n + 1, dtype=torch.float64)
        masses = torch.special.ndtr(z).diff()
        mesh = jko.LineMesh(m + s * z, masses / masses.sum())
        F = a * jko.SquaredNorm() + beta * jko.Entropy()
        found = jko.diagnostics.variational(F, mesh, tau=tau)
        print(
            f"  on a mesh of {n}: residual {found.residual:.1e}, integral off by {found.sloped - integral:.1e}"
        )


def pairs_of_flows(count=100):
    times, excess, lams = np.linspace(0, 2, 9), [], []
    for seed in range(count):
        G = network(seed % 2)
        runs = [
            jko.limits.wasserstein(G, pair(s, 10, 3), t1=2.0, times=times)
            for s in (seed, 500 + seed)
        ]
        found = jko.diagnostics.contraction(G, *runs)
        excess.append(found.excess)
        lams.append(found.lam)
    bad = sum(e > 1e-9 for e in excess)
    print(
        f"{count} pairs: {bad} violations, largest excess {max(excess):.1e}, lam {min(lams):.3f} .. {max(lams):.3f}"
    )


def inequality():
    G, times = network(3), np.linspace(0, 2, 9)
    run = jko.limits.wasserstein(G, pair(0, 20, 3), t1=2.0, times=times)
    found = jko.diagnostics.evi(G, run, [pair(100 + k, 20, 3) for k in range(31)])
    least = jko.diagnostics.modulus(G, run).least
    print(
        f"EVI over 31 states: constant {found.constant:.4f}, least eigenvalue along the flow {least:.4f}"
    )


def formula():
    worst = 0.0
    for seed in range(20):
        way = path(network(seed), pair(seed, 8, 3), pair(seed + 50, 7, 3))
        for t in (0.2, 0.5, 0.8):
            around = [t - 0.05, t + 0.05]
            fit = Chebyshev.interpolate(np.vectorize(lambda s: way.value(float(s))), 14, around)  # noqa: B023
            scale = max(abs(way.second(t)), 1e-2 * way.squared)
            worst = max(worst, abs(way.second(t) - float(fit.deriv(2)(t))) / scale)
    print(
        f"second derivatives by formula against a polynomial, 20 geodesics: {worst:.1e}, relative"
    )


def waves(c, k):
    """``sum_i c_i sin(k_i x) + x^2 / 4``."""
    c, k = torch.tensor(c), torch.tensor(k)
    return jko.Potential(lambda x: (c * torch.sin(k * x)).sum(1) + 0.25 * x[:, 0] ** 2)


def bounds(count=100):
    random, ratios, bad = np.random.default_rng(0), [], 0
    k = np.array([1.0, 2.0, 3.0])
    grid = np.linspace(-12, 12, 8001)[:, None]
    for _ in range(count):
        c = random.normal(size=3) * random.choice([0.02, 0.2])
        lam = float((0.5 - (c * k**2 * np.sin(k * grid)).sum(1)).min())
        V = waves(c, k)
        start = jko.Particles(2 * random.normal(size=(4, 1)))
        run = jko.flow(V, start, tau=0.05, steps=20, solver=jko.BlockNewton())
        exact = jko.limits.wasserstein(
            V, start, t1=float(run.times[-1]), times=run.times, rtol=1e-10
        )
        found = jko.diagnostics.error_bounds(V, run, lam=lam)
        error = np.array(
            [jko.distance(a, b).value for a, b in zip(run.states, exact.states, strict=True)]
        )
        bad += bool(
            (error > found.posterior + 1e-9).any() or (found.posterior > found.prior + 1e-12).any()
        )
        ratios.append((lam, found.posterior[-1] / error[-1], found.prior[-1] / error[-1]))
    ratios = np.array(ratios)
    for name, some in (("lam >= 0", ratios[:, 0] >= 0), ("lam < 0", ratios[:, 0] < 0)):
        a, b = np.median(ratios[some, 1]), np.median(ratios[some, 2])
        print(
            f"bounds, {name} ({some.sum()}): {bad} violations in all; posterior {a:.1f}, prior {b:.1f} times the error"
        )


if __name__ == "__main__":
    for study in (residuals, inequality, formula, bounds, pairs_of_flows):
        begun = time.process_time()
        study()
        print(f"  [{time.process_time() - begun:.0f} CPU s]", flush=True)
