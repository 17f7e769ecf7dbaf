"""Section 2.2.1 and Remark 2.1: training by samples, many neurons, global minima, symmetry."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko.diagnostics import best_particles, optimality
from jko.energies import Risk, SquaredNorm
from jko.flow import flow
from jko.measures import Particles
from jko.metrics import distance
from jko.networks import Ridge
from jko.steps import LBFGS
from jko.survey.instances import LAM, net
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim


@claim(
    "2.2.1 (i)",
    Kind.INEQUALITY,
    "min F_N - min F <= C/N, with C = 1/2 int Var Phi dx at the minimiser",
)
def best_networks(quick: bool) -> Measurement:
    """The largest N (F_N - min F) / C over N = 1, 2, 4, 8; F_N the best of some starts, min F by its proved bound."""
    big = net(64)
    limit = best_particles(big.F, big.mu).state
    bottom = optimality(big.F, limit).lower_bound
    values = big.risk.features(limit.support, big.risk.data.x)
    spread = limit.integrate(values**2) - limit.integrate(values) ** 2
    C = 0.5 * float((big.risk.data.weights * spread).sum())
    sizes, gaps = [1, 2, 4, 8], []
    for N in sizes:
        starts = [net(N, seed=k).mu for k in range(4 if quick else 12)]
        gaps.append(best_particles(big.F, starts).energy - bottom)
    ratio = max(N * gap / C for N, gap in zip(sizes, gaps, strict=True))
    curves = (
        Curve(sizes, gaps, "$F_N - \\min F$", "dots"),
        Curve(sizes, [C / N for N in sizes], "$C/N$", "dashed"),
    )
    return Measurement(
        ratio, 1.0, 0.0, picture=Picture(curves, "neurons $N$", "excess", True, True)
    )


@claim(
    "2.2.1 (iii)",
    Kind.LIMIT,
    "stochastic gradient descent tends to the flow: the prediction, like sqrt(rate)",
)
def samples(quick: bool) -> Measurement:
    """The exponent in the rate of the root mean square distance of f at t = 1, time being rate times updates."""
    example, repeats = net(6), 10 if quick else 60
    exact = example.risk.predict(jko.limits.wasserstein(example.F, example.mu, t1=1.0).final)
    rates, errors = [0.1, 0.05, 0.025, 0.0125], []
    for rate in rates:
        squares = []
        for k in range(repeats):
            seed = torch.Generator().manual_seed(k)
            run = jko.limits.sgd(
                example.F, example.mu, t1=1.0, rate=rate, batch=1, generator=seed, save=10**6
            )
            squares.append(float(((example.risk.predict(run.final) - exact) ** 2).mean()))
        errors.append(float(np.mean(squares)) ** 0.5)
    order = float(np.polyfit(np.log(rates), np.log(errors), 1)[0])
    slope = [errors[0] * (rate / rates[0]) ** 0.5 for rate in rates]
    curves = Curve(rates, errors, "samples", "dots"), Curve(rates, slope, "order 1/2", "dashed")
    return Measurement(
        order, 0.5, 0.1, picture=Picture(curves, "rate", "distance of $f$ at $t = 1$", True, True)
    )


@claim(
    "2.2.1 (iv)",
    Kind.LIMIT,
    "gradient descent of N sampled neurons tends to the flow of their law, like N^{-1/2}",
)
def neurons(quick: bool) -> Measurement:
    """The exponent in N of the root mean square distance of f at t = 2 from that of a large sample."""
    big, repeats = net(3000 if quick else 20000, seed=100), 12 if quick else 60

    def predict(mu: Particles) -> torch.Tensor:
        return big.risk.predict(jko.limits.wasserstein(big.F, mu, t1=2.0, rtol=1e-5).final)

    limit, sizes, errors = predict(big.mu), [16, 32, 64, 128], []
    for N in sizes:
        squares = [
            float((predict(net(N, seed=k).mu) - limit).square().mean()) for k in range(repeats)
        ]
        errors.append(float(np.mean(squares)) ** 0.5)
    order = -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])
    slope = [errors[0] * (sizes[0] / N) ** 0.5 for N in sizes]
    curves = Curve(sizes, errors, "samples", "dots"), Curve(sizes, slope, "$N^{-1/2}$", "dashed")
    picture = Picture(curves, "neurons $N$", "distance of $f$ at $t = 2$", True, True)
    return Measurement(order, 0.5, 0.1 if not quick else 0.15, picture=picture)


@claim(
    "2.2.1 (iv)",
    Kind.INEQUALITY,
    "many neurons in all directions reach a global minimum, by sigmoids and by ReLU",
)
def global_minimum(quick: bool) -> Measurement:
    """Sigmoid: F - min F by its proved bound, as a part of F_0; ReLU, without V: the risk, whose minimum is 0."""
    example = net(60)
    F = Risk(example.risk.data, Ridge(torch.sigmoid)) + LAM * SquaredNorm()
    run = flow(F, example.mu, tau=100.0, steps=20)
    first = optimality(F, run.final).gap / float(run.energies[0])
    kinked = Risk(example.risk.data, Ridge(torch.relu))
    second = flow(kinked, example.mu, tau=20.0, steps=60, throw=False).energies
    return Measurement(max(first, float(second[-1] / second[0])), 0.0, 0.02)


@claim(
    "2.2.1 (iv)",
    Kind.COUNTEREXAMPLE,
    "other initialisations stay: dead ReLUs feel no gradient, whatever N is",
)
def dead_neurons(quick: bool) -> Measurement:
    """The part of the risk that the flow of 60 neurons leaves, whose ReLU is off at all data: all of it."""
    example = net(60)
    points = example.mu.points.clone()
    points[:, 2] = -3 * points[:, 1].abs() - 1  # theta' x + theta'' < 0 on [-2, 2]
    F = Risk(example.risk.data, Ridge(torch.relu))
    run = jko.limits.wasserstein(F, Particles(points), t1=100.0)
    return Measurement(float(run.energies[-1] / run.energies[0]), 1.0, 1e-12)


def _mirrored(mu: Particles) -> Particles:
    """(w, theta', theta'') to (w, theta', -theta''): then f becomes -f(-x)."""
    return Particles(mu.points * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64), mu.weights)


def _symmetric(mu: Particles) -> Particles:
    return Particles(torch.cat([mu.points, _mirrored(mu).points]))


@claim(
    "after Remark 2.1",
    Kind.INEQUALITY,
    "with a symmetry of the data, averaging over it never raises F",
)
def averaged(quick: bool) -> Measurement:
    """f odd, tanh: the largest F of a symmetrised network minus F of the network, over ten."""
    examples = [net(12, seed=k) for k in range(10)]
    return Measurement(max(float(e.F(_symmetric(e.mu)) - e.F(e.mu)) for e in examples), 0.0, 1e-14)


@claim(
    "after Remark 2.1",
    Kind.IDENTITY,
    "so the symmetry may be built into the minimisation, which loses nothing",
)
def reduced(quick: bool) -> Measurement:
    """The flow of 2 x 12 mirrored neurons stays mirrored (distance), and F ends within .02 F_0 of the proved min F."""
    example = net(12)
    run = flow(example.F, _symmetric(example.mu), tau=100.0, steps=20, solver=LBFGS(tol=1e-7))
    final = run.final
    assert isinstance(final, Particles)
    above = optimality(example.F, final).gap / float(run.energies[0])
    apart = distance(final, _mirrored(final)).value
    return Measurement(apart if above < 0.02 else np.inf, 0.0, 1e-5)


@claim(
    "2.2.1 (i)",
    Kind.INEQUALITY,
    "for coercive V the best measures of N atoms tend weakly to the minimiser",
)
def weak_limit(quick: bool) -> Measurement:
    """Distance of f from the minimiser's, of the best 16 neurons as a part of that of the best one."""
    big = net(64)
    limit = big.risk.predict(best_particles(big.F, big.mu).state)

    def apart(N: int) -> float:
        best = best_particles(big.F, [net(N, seed=k).mu for k in range(4)])
        return float((big.risk.predict(best.state) - limit).square().mean()) ** 0.5

    return Measurement(apart(16) / apart(1), 0.25, 0.0)
