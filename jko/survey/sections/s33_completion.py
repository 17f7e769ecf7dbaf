"""Remark 3.4, the completion of the pairs: Young measures, flows from square waves to their limit, relaxation."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

import jko.limits
from jko import exact
from jko.diagnostics import graph_distance
from jko.energies import Energy, Potential, Relaxed, Risk, relaxed
from jko.measures import ChargedParticles, State, YoungMeasure
from jko.metrics import distance, geodesic
from jko.networks import Data
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    identity,
    limit,
)
from jko.survey.instances import exponent
from jko.survey.systems import line

TARGET = 0.6


def _middles(n: int) -> Tensor:
    return ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[:, None]


def _wave(periods: int, n: int) -> ChargedParticles:
    """H = 1, -1 on the halves of each period in [0, 1], on 2 n atoms."""
    theta = _middles(2 * n)
    return ChargedParticles(theta, 1 - 2 * ((2 * periods * theta[:, 0]).floor() % 2))


def _young(n: int) -> YoungMeasure:
    """What they tend to: 1 and -1 at each of n places."""
    return YoungMeasure.of_fibres(_middles(n), [1.0, -1.0])


def _linear() -> Energy:
    """h(theta, x) = theta x with one datum: the flow is one linear map of all atoms."""
    return Risk(Data([[1.0]], [TARGET], [1.0]), activation=lambda theta, x: theta @ x.T)


@identity(
    "Remark 3.4",
    r"in the completion, $\mathcal{P}_2(\mathbb{R} \times \Theta)$ with $W_2$, square waves of period $p$ are at "
    r"$D^2 = p^2 / 12$ from their limit",
)
def waves_and_limit(quick: bool) -> Measurement:
    """Atoms at middles, extrapolated in their spacing: the sum over p = 1, 1/2, 1/4."""
    found = wanted = 0.0
    for periods in (1, 2, 4):
        coarse, fine = (distance(_wave(periods, n), _young(n)).squared for n in (32, 64))
        found += (4 * fine - coarse) / 3
        wanted += exact.squared_distance_square_waves(1 / periods)
    return Measurement(found, wanted, 1e-10)


@limit(
    "Remark 3.4",
    r"(3.23) from square waves of period $p$ tends to the flow of their limit in the completion, at order 1 in $p$",
)
def flows_of_waves(quick: bool) -> Measurement:
    """The order of D at t = 2, p = 1 ... 1/16, for tanh(x + theta) with V = .05 |xi|^2."""
    F, n = line().G, 128 if quick else 256
    end = jko.limits.wasserstein(F, _young(n), t1=2.0).final
    counts = (1, 2, 4, 8, 16)
    waves = (jko.limits.wasserstein(F, _wave(k, n), t1=2.0).final for k in counts)
    found = [distance(wave, end).value for wave in waves]
    periods = [1 / k for k in counts]
    start = Curve(periods, [p / 12**0.5 for p in periods], "$t = 0$: $p / \\sqrt{12}$", "dashed")
    picture = Picture(
        (Curve(periods, found, "$t = 2$", "dots"), start),
        "period $p$",
        "$D$ to the limit",
        True,
        True,
    )
    return Measurement(exponent(periods, found), 1.0, 0.03, picture=picture)


@identity(
    "Remark 3.4",
    r"flows in $D$ are stable: $\frac{1}{2} \frac{d}{dt} D^2 = -\int (\nabla \phi_\mu(x) - \nabla \phi_\nu(y)) \cdot "
    r"(x - y)\, d\gamma \le -\lambda D^2$, $\lambda$ the least eigenvalue of $\nabla^2 \phi$ along geodesics, so that "
    r"$D(t) \le e^{-\lambda t} D(0)$",
)
def stable(quick: bool) -> Measurement:
    """Differences of D^2 at t = 0, of a wave and the limit, against the integral; lambda there and at t = .5, 1."""
    F, n, e = line().G, 32, 1e-3
    times = [e, 2 * e, 0.5, 1.0]
    runs = (
        jko.limits.wasserstein(F, start, t1=1.0, times=times) for start in (_wave(2, n), _young(n))
    )
    pairs = list(zip(*(run.states for run in runs), strict=True))
    far = [distance(mu, nu) for mu, nu in pairs]
    slope = (-3 * far[0].squared + 4 * far[1].squared - far[2].squared) / (4 * e)
    (x, y), plan = pairs[0], far[0].plan
    rows, cols = torch.from_numpy(plan.rows), torch.from_numpy(plan.cols)
    moves = x.atoms.points[rows] - y.atoms.points[cols]
    pulls = F.gradient(x)[rows] - F.gradient(y)[cols]
    rate = -float(torch.from_numpy(plan.mass) @ (moves * pulls).sum(1))
    lam = [_least(F, *pairs[k]) for k in (0, 3, 4)]
    bounded = rate <= -lam[0] * far[0].squared
    falls = far[4].value <= math.exp(-min(lam)) * far[0].value
    return Measurement(slope if bounded and falls else math.nan, rate, 1e-5)


def _least(F: Energy, mu: State, nu: State) -> float:
    """The least eigenvalue of Hess dF/dmu at the atoms of five points of a geodesic.

    Along it F'' is the square of a norm, of the risk, and ``int v . Hess(dF/dmu) v dmu``.
    """
    way = (geodesic(mu, nu, s) for s in (0.0, 0.25, 0.5, 0.75, 1.0))
    return min(float(torch.linalg.eigvalsh(F.hessian(at.atoms)).min()) for at in way)


@counterexample(
    "Remark 3.4",
    r"the flow does not pass to means: from the limit of square waves it ends elsewhere than from $H = 0$",
)
def projected(quick: bool) -> Measurement:
    """F at t = 1 of both flows, their difference, linear features; and by the linear maps in closed form."""
    F, mu = _linear(), _young(64)
    found, wanted = [], []
    for start in (mu, mu.project()):
        found.append(jko.limits.wasserstein(F, start, t1=1.0, rtol=1e-10).energies[-1])
        xi = start.atoms.points.numpy()
        Z = xi.T @ xi / len(xi)
        P = exact.linear_flow(Z, s2=1.0, target=TARGET, t=1.0)
        wanted.append(0.5 * ((P @ Z @ P)[0, 1] - TARGET) ** 2)
    return Measurement(found[1] - found[0], wanted[1] - wanted[0], 1e-8)


@identity(
    "Remark 3.4",
    r"graphs near a Young measure are steep: within $D$ of it they have a Lipschitz constant of at least "
    r"$(\int \operatorname{Var}(w \mid \theta)\, d\rho / D^2 - 1)^{1/2}$, here $(12 / p^2 - 1)^{1/2}$",
)
def steep(quick: bool) -> Measurement:
    """The bound at the distance of the square waves, which jump, and of a wave with slopes 4 / p, which obeys it."""
    n, periods = 64, 4
    mu, theta = _young(n), _middles(2 * n)
    bound = graph_distance(mu)
    wave = ChargedParticles(theta, 4 * ((theta[:, 0] * periods) % 1 - 0.5).abs() - 1)
    obeys = bound.slope_within(distance(wave, mu).value) <= 4 * periods
    found = bound.slope_within(exact.squared_distance_square_waves(1 / periods) ** 0.5)
    return Measurement(found if obeys else math.nan, (12 * periods**2 - 1) ** 0.5, 1e-10)


def _wells(xi: Tensor) -> Tensor:
    return (xi[:, 0] ** 2 - 1) ** 2 + 0.5 * xi[:, 0] * xi[:, 1]


@identity(
    "2.3",
    r"for $V$ not convex in $w$ the least $F$ with given $(\rho, H)$ is $G$ with $V^{**}$, the convex hull in $w$, "
    r"attained by fibres of two atoms: here $V^{**} = \frac{1}{2} w \theta$ for $|w| \le 1$",
)
def relaxation(quick: bool) -> Measurement:
    """F of the fibres that are found, against G of the pair with the hull written out."""
    example = line()
    theta = _middles(12)
    pair = ChargedParticles(theta, 1.5 * torch.sin(7 * theta[:, 0]))
    F = example.risk + Potential(_wells)
    hull = next(E for _, E in relaxed(F).terms if isinstance(E, Relaxed))
    H = pair.H.numpy()
    outer = np.maximum(H**2 - 1, 0) ** 2 + 0.5 * H * theta[:, 0].numpy()
    x, f, q = example.data
    r = (H / 12) @ np.tanh(theta.numpy() + x) - f
    return Measurement(float(F(hull.fibres(pair))), float(0.5 * q @ r**2 + outer.mean()), 1e-12)
