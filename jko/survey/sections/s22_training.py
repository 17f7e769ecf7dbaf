"""Section 2.2.1 and Remark 2.1: training by samples, many neurons, global minima, symmetry."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.optimize import minimize

import jko.limits
from jko.diagnostics import best_particles, optimality
from jko.energies import Potential, Risk, SquaredNorm
from jko.flows import flow
from jko.measures import Particles
from jko.metrics import distance
from jko.networks import Data, Ridge
from jko.steps import LBFGS
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    identity,
    inequality,
    limit,
)
from jko.survey.instances import LAM, exponent, features, net, order_in_N, power_law


def _wells(starts: list[Particles]) -> Particles:
    """The best atoms of 1/2 (int xi dmu)^2 + WELL int (xi^2 - 1)^2 dmu; over all measures half of it sits at -1, 1."""
    F = Risk(Data([[0.0]], [0.0], [1.0]), features=lambda xi, x: xi) + WELL * Potential(
        lambda xi: (xi[:, 0] ** 2 - 1) ** 2
    )
    return (best_particles(F, starts).state).atoms


def _wells_value(xi: np.ndarray) -> float:
    """The same energy, written out."""
    return float(xi.mean() ** 2 / 2 + WELL * ((xi**2 - 1) ** 2).mean())


WELL = 10.0  # depth of the wells


@identity(
    "2.2.1 (i)",
    r"$\min F_N - \min F \le C/N$, with $C = \frac{1}{2} \int \operatorname{Var} \Phi\, dx$ at the minimiser; "
    "nearly attained by $N = 1$ in two wells",
)
def best_networks(quick: bool) -> Measurement:
    """``(F_1 - min F) / C`` in the wells: exactly 1 - 1/(8 WELL); the picture has N (F_N - min F) / C of networks.

    F_N is the best of some starts, among them the best of N/2 atoms, doubled; min F by its proved bound.
    """
    big = net(64)
    limit = best_particles(big.F, big.mu).state
    bottom = optimality(big.F, limit).lower_bound
    values = big.risk.features(limit.support, big.risk.data.x)
    spread = limit.integrate(values**2) - limit.integrate(values) ** 2
    C = 0.5 * float((big.risk.data.weights * spread).sum())
    sizes, gaps, best = [1, 2, 4, 8], [], None
    for N in sizes:
        starts = [net(N, seed=k).mu for k in range(3 if quick else 12)]
        found = best_particles(big.F, starts, warm=best)
        best = found.state
        gaps.append(found.energy - bottom)
    curves = (
        Curve(sizes, gaps, "$F_N - \\min F$", "dots"),
        Curve(sizes, [C / N for N in sizes], "$C/N$", "dashed"),
    )
    falling = all(b <= a + 1e-12 for a, b in itertools.pairwise(gaps))
    below = all(0 <= N * gap <= C for N, gap in zip(sizes, gaps, strict=True))
    one = _wells([Particles([[0.7]]), Particles([[-0.2]])]).points.numpy()[:, 0]
    ratio = _wells_value(one) / 0.5 if falling and below else math.nan  # min F = 0, C = 1/2
    picture = Picture(curves, "neurons $N$", "excess", True, True)
    return Measurement(ratio, 1 - 1 / (8 * WELL), 1e-9, picture=picture)


@limit(
    "2.2.1 (iii)",
    r"stochastic gradient descent tends to the flow: the prediction, like $\sqrt{\text{rate}}$",
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
    names = "samples", "order 1/2", "rate", "distance of $f$ at $t = 1$"
    picture = power_law(rates, errors, 0.5, names)
    return Measurement(exponent(rates, errors), 0.5, 0.1, picture=picture)


@limit(
    "2.2.1 (iv)",
    "gradient descent of $N$ sampled neurons tends to the flow of their law, like $N^{-1/2}$",
)
def neurons(quick: bool) -> Measurement:
    """The exponent in N of the root mean square distance of f at t = 2 from that of a large sample."""
    big, repeats = net(3000 if quick else 20000, seed=100), 12 if quick else 60

    def predict(mu: Particles) -> torch.Tensor:
        return big.risk.predict(jko.limits.wasserstein(big.F, mu, t1=2.0, rtol=1e-5).final)

    names = "samples", "distance of $f$ at $t = 2$"
    return order_in_N(predict, big.mu, repeats, 0.15 if quick else 0.1, names)


@inequality(
    "2.2.1 (iv)", "many neurons in all directions reach a global minimum, by sigmoids and by ReLU"
)
def global_minimum(quick: bool) -> Measurement:
    """Sigmoid: F - min F by its proved bound, as a part of F_0; ReLU, without V: the risk, whose minimum is 0."""
    example = net(60)
    F = Risk(example.risk.data, Ridge(torch.sigmoid)) + LAM * SquaredNorm()
    run = flow(F, example.mu, tau=100.0, steps=20)
    first = optimality(F, run.final).value / float(run.energies[0])
    kinked = Risk(example.risk.data, Ridge(torch.relu))
    second = flow(kinked, example.mu, tau=20.0, steps=60, throw=False).energies
    return Measurement(max(first, float(second[-1] / second[0])), 0.0, 0.005)


@counterexample(
    "2.2.1 (iv)", "other initialisations stay: dead ReLUs feel no gradient, whatever $N$ is"
)
def dead_neurons(quick: bool) -> Measurement:
    """The risk that the flow of 60 neurons leaves whose ReLU is off at all data: 1/2 int sin^2 2x = 1 - (sin 8) / 8."""
    example = net(60)
    points = example.mu.points.clone()
    points[:, 2] = -3 * points[:, 1].abs() - 1  # theta' x + theta'' < 0 on [-2, 2]
    F = Risk(example.risk.data, Ridge(torch.relu))
    run = jko.limits.wasserstein(F, Particles(points), t1=100.0)
    return Measurement(float(run.energies[-1]), 1 - math.sin(8) / 8, 1e-5)


def _mirrored(mu: Particles) -> Particles:
    """(w, theta', theta'') to (w, theta', -theta''): then f becomes -f(-x)."""
    return Particles(mu.points * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64), mu.weights)


def _symmetric(mu: Particles) -> Particles:
    return Particles(torch.cat([mu.points, _mirrored(mu).points]))


@identity(
    "after Remark 2.1",
    r"with a symmetry of the data, averaging over it lowers $F$, by $\frac{1}{8} \int (f_\mu(x) + f_\mu(-x))^2\, "
    "dx$",
)
def averaged(quick: bool) -> Measurement:
    """f odd, tanh: F of ten networks minus F of the symmetrised ones, all together, against the formula written out."""
    examples = [net(12, seed=k) for k in range(10)]
    gains = [float(e.F(e.mu) - e.F(_symmetric(e.mu))) for e in examples]
    x, _, q = examples[0].data
    sums = [(features(e.points, x) + features(e.points, -x)).mean(0) for e in examples]
    return Measurement(math.fsum(gains), float(sum(q @ s**2 for s in sums) / 8), 1e-12)


@identity(
    "after Remark 2.1", "so the symmetry may be built into the minimisation, which loses nothing"
)
def reduced(quick: bool) -> Measurement:
    """The flow of 2 x 12 mirrored neurons stays mirrored (distance), and F ends within .02 F_0 of the proved min F."""
    example = net(12)
    run = flow(example.F, _symmetric(example.mu), tau=100.0, steps=20, solver=LBFGS(tol=1e-7))
    final = run.final.atoms
    above = optimality(example.F, final).value / float(run.energies[0])
    apart = distance(final, _mirrored(final)).value
    return Measurement(apart if above < 0.02 else np.inf, 0.0, 1e-5)


@limit(
    "2.2.1 (i)",
    "for coercive $V$ the best measures of $N$ atoms tend weakly to the minimiser; in two wells at order $1/2$",
)
def weak_limit(quick: bool) -> Measurement:
    """The last pairwise order of W2 to the minimiser, for odd N, in two wells, against that of the two-place optimum.

    (N + 1)/2 atoms sit at one place and the others at another, which scipy finds.
    """
    rest, sizes = Particles([[-1.0], [1.0]]), [3, 5, 9, 17, 33]
    found, exact = [], []
    for N in sizes:
        side = torch.ones(N, 1, dtype=torch.float64)
        side[N // 2 + 1 :] = -1
        generator = torch.Generator().manual_seed(N)
        blur = 0.1 * torch.randn(N, 1, generator=generator, dtype=torch.float64)
        found.append(distance(_wells([Particles(side + blur)]), rest).value)
        counts = np.array([N // 2 + 1, N // 2])
        a, b = minimize(lambda p: _wells_value(np.repeat(p, counts)), [1.0, -1.0], tol=1e-12).x  # noqa: B023
        across = (1 + abs(a)) ** 2 / (2 * N)  # the mass that goes from a to the other well
        exact.append((across + (1 - a) ** 2 / 2 + (1 + b) ** 2 * (N // 2) / N) ** 0.5)
    orders = [math.log(e[-2] / e[-1]) / math.log(sizes[-1] / sizes[-2]) for e in (found, exact)]
    curves = Curve(sizes, found, "$W_2$", "dots"), Curve(sizes, exact, "two places", "dashed")
    picture = Picture(curves, "atoms $N$", "distance to the minimiser", True, True)
    return Measurement(orders[0], orders[1], 1e-4, picture=picture)
