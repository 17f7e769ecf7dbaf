"""Remark 3.4: the distance D between pairs, and the paths that it measures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import linprog
from torch import Tensor

import jko.limits
from jko import exact
from jko.diagnostics.convergence import convergence
from jko.energies import SquaredNorm
from jko.flows import flow
from jko.measures import ChargedDensity, ChargedParticles, State
from jko.metrics import action, distance, flow_distance, geodesic, least_action
from jko.spaces import Grid
from jko.steps import LBFGS, BlockNewton
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    erratum,
    identity,
    inequality,
    limit,
)
from jko.survey.instances import exponent, first_order
from jko.survey.systems import line
from jko.trajectory import Trajectory


def _pair(N: int, d: int, seed: int) -> ChargedParticles:
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(N, d, generator=generator, dtype=torch.float64)
    return ChargedParticles(theta, torch.randn(N, generator=generator, dtype=torch.float64))


@identity(
    "Remark 3.4",
    r"$D^2$ is the least cost $|\theta_1 - \theta_2|^2 + |H_1 - H_2|^2$ over all plans",
)
def static(quick: bool) -> Measurement:
    """jko.distance, which is W2 of the lifts, against the linear program of the definition, by scipy."""
    a, b = _pair(9, 2, 0), _pair(7, 2, 1)
    cost = ((a.theta[:, None] - b.theta) ** 2).sum(-1) + (a.H[:, None] - b.H) ** 2
    rows = np.kron(np.eye(9), np.ones(7))
    cols = np.kron(np.ones(9), np.eye(7))
    masses = np.concatenate([np.full(9, 1 / 9), np.full(7, 1 / 7)])
    found = linprog(cost.numpy().ravel(), A_eq=np.vstack([rows, cols]), b_eq=masses)
    return Measurement(distance(a, b).squared, float(found.fun), 1e-9)


@inequality("Remark 3.4", "$D$ is a metric: the triangle inequality, on random pairs")
def triangle(quick: bool) -> Measurement:
    """The largest D(a, c) - D(a, b) - D(b, c); there is equality where b lies on the geodesic from a to c."""
    trios: list[list[State]] = [[_pair(6, 2, 3 * k + j) for j in range(3)] for k in range(20)]
    for k in range(20):
        a, c = _pair(6, 2, 100 + k).lift(), _pair(6, 2, 200 + k).lift()
        trios.append([a, geodesic(a, c, 0.05 * k + 0.02), c])
    excess = [
        distance(a, c).value - distance(a, b).value - distance(b, c).value for a, b, c in trios
    ]
    return Measurement(max(excess), 0.0, 1e-12)


@limit(
    "Remark 3.4",
    "square waves of period $p$ are a Cauchy sequence without a limit: $D$ is not complete",
)
def square_waves(quick: bool) -> Measurement:
    """The order in p of the distance between waves of period p and p/2, whose limit is no pair: 1."""
    waves, n = [2, 4, 8, 16, 32], 256 if quick else 1024

    def wave(count: int) -> ChargedDensity:
        grid = Grid((0.0, 1.0), n)
        H = 1 - 2 * ((2 * count * grid.centres[:, 0]).floor() % 2)
        return ChargedDensity(grid, torch.ones(n, dtype=torch.float64), H)

    found = [distance(wave(k), wave(2 * k)).value for k in waves[:-1]]
    periods = [1 / k for k in waves[:-1]]
    picture = Picture(
        (Curve(periods, found, "", "dots"),), "period $p$", "$D(H_p, H_{p/2})$", True, True
    )
    return Measurement(exponent(periods, found), 1.0, 0.05, picture=picture)


@counterexample(
    "Remark 3.4", "geodesics may leave the pairs: the midpoint of a swap has two values of $H$"
)
def swap(quick: bool) -> Measurement:
    """theta = -1, 1 and H = (2, -2) -> (-2, 2): the variance of w at theta = 0 half way."""
    a = ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    b = ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    half = geodesic(a, b, 0.5)
    on_top = float(half.support[:, 1].abs().max())
    return Measurement(float(half.covariance()[0, 0]) - on_top, 4.0, 1e-12)


@counterexample(
    "Remark 3.4", r"flows of $\Theta$ by homeomorphisms, as in (3.20), may be longer: 16 against 4"
)
def homeomorphic(quick: bool) -> Measurement:
    """D_flow^2 of the swap, d = 1."""
    a = ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    b = ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    shorter = distance(a, b).squared - exact.squared_distance_swap(1.0, 2.0)
    return Measurement(flow_distance(a, b).squared + shorter, 16.0, 1e-12)


def _path(
    grid: Grid,
    slabs: int,
    rho: Callable[[Tensor, float], Tensor],
    H: Callable[[Tensor, float], Tensor],
) -> list[ChargedDensity]:
    """The pairs at the times 0, 1/slabs, ..., 1 with rho(theta, s), up to a factor, and H(theta, s)."""

    def at(s: float) -> ChargedDensity:
        return ChargedDensity.from_function(
            grid, lambda x: rho(x[:, 0], s), lambda x: H(x[:, 0], s)
        )

    return [at(float(s)) for s in np.linspace(0, 1, slabs + 1)]


@erratum(
    "Remark 3.4",
    r"the action is $\iint \left(|v|^2 + |\partial_s H + v \cdot \nabla H|^2\right) d\rho\, ds$, not with $|v|^2 "
    r"(1 + \dot H^2)$",
)
def translation(quick: bool) -> Measurement:
    """rho = N(s, 1), H = sin 3(theta - s) + s/2: exactly 1 + 1/4; as printed 5.73, though the distance is 1.25."""
    n = 1 if quick else 2
    path = _path(
        Grid((-6.0, 6.0), 400 * n),
        40 * n,
        lambda x, s: torch.exp(-((x - s) ** 2) / 2),
        lambda x, s: torch.sin(3 * (x - s)) + 0.5 * s,
    )
    found = action(path)
    return Measurement(found.corrected, 1.25, 0.01, printed=found.printed)


@erratum(
    "Remark 3.4", "the printed action is degenerate: with $v = 0$ it lets $H$ change for nothing"
)
def free_change(quick: bool) -> Measurement:
    """rho = N(0, 1) on [-2, 2], H from sin 3 theta to its negative in place: 4 int sin^2 3 theta drho; as printed 0."""
    grid = Grid((-2.0, 2.0), 200)
    path = _path(
        grid,
        4,
        lambda x, s: torch.exp(-(x**2) / 2),
        lambda x, s: (1 - 2 * s) * torch.sin(3 * x),
    )
    found = action(path)
    above = quad(lambda x: 4 * math.sin(3 * x) ** 2 * math.exp(-(x**2) / 2), -2, 2)[0]
    mass = quad(lambda x: math.exp(-(x**2) / 2), -2, 2)[0]
    below = found.printed < distance(path[0], path[-1]).squared  # .4464
    measured = found.corrected if below else math.nan
    return Measurement(measured, above / mass, 2e-3, printed=found.printed)


@identity("Remark 3.4", "corrected, the infimum of the action over paths is the static $D^2$")
def dynamic(quick: bool) -> Measurement:
    """Least action of paths of particles that begin without a plan, against the static D^2; worst of random pairs."""
    worst = 0.0
    for k in range(2 if quick else 10):
        a, b = _pair(15, 2, 2 * k), _pair(15, 2, 2 * k + 1)
        worst = max(worst, abs(least_action(a, b).action - distance(a, b).squared))
    return Measurement(worst, 0.0, 1e-4)


@limit("Remark 3.4", r"the JKO scheme of $G$ in $D$ converges to (3.23), at order 1 in $\tau$")
def gradient_flow(quick: bool) -> Measurement:
    """The last pairwise order of the L2 error of (theta, H) at t = 1.5."""
    example = line()
    pair = example.labels(48).pair
    end = jko.limits.chaos(example.G, example.labels(48), t1=1.5, rtol=1e-10).final
    study = convergence(
        lambda tau: flow(example.G, pair, tau=tau, t1=1.5, solver=BlockNewton(tol=1e-10)).final,
        end,
        parameters=[1.5 / K for K in ((8, 16, 32) if quick else (16, 32, 64, 128))],
    )
    return first_order(study, "JKO in $D$", "error at $t = 1.5$")


@identity(
    "Remark 3.4",
    r"each step of it obeys $G_{k+1} + \frac{1}{2\tau} D^2 \le G_k$, for any $\tau$; on a saddle $\frac{1}{2\tau} "
    "D^2$ is nearly all",
)
def ledger(quick: bool) -> Measurement:
    """The part of its fall that a step of G = -lam |xi|^2 / 2 pays for: 1 / (2 - lam tau), here with lam tau = .8.

    D is the static distance, computed anew; for steps of the network with tau = .1, 1 and 10 no part is above one.
    """
    example, parts = line(), []
    for tau in (0.1, 1.0, 10.0):
        run = flow(example.G, example.labels(32).pair, tau=tau, steps=4)
        parts += _parts(run, tau)
    concave = flow(-0.5 * SquaredNorm(), _pair(8, 2, 0), tau=1.6, steps=2, solver=LBFGS(tol=1e-11))
    paid = max(_parts(concave, 1.6)) if max(parts) <= 1 else math.nan
    return Measurement(paid, 1 / 1.2, 1e-8)


def _parts(run: Trajectory, tau: float) -> list[float]:
    """D^2 / (2 tau) over the fall of the energy, for every step."""
    falls = run.energies[:-1] - run.energies[1:]
    squares = [distance(a, b).squared for a, b in itertools.pairwise(run.states)]
    return [s / (2 * tau) / fall for s, fall in zip(squares, falls, strict=True)]
