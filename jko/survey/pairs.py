"""Sections 3.2 and 3.3: the functional G of pairs (rho, H), three evolutions, and the moment hierarchy."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import quad, simpson

import jko.limits
from jko.diagnostics import dissipation
from jko.energies import Potential, Risk, SquaredNorm
from jko.limits.systems import System
from jko.measures import ChargedDensity, ChargedParticles, Particles
from jko.networks import Data
from jko.spaces import Grid
from jko.survey.instances import LINE_LAM, SYSTEMS, Array, line
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim
from jko.trajectory import Trajectory

LATE = 1.5


def _sorted(pair: object) -> ChargedParticles:
    assert isinstance(pair, ChargedParticles)
    return pair


def _cells(run: Trajectory) -> list[ChargedDensity]:
    return [state for state in run.states if isinstance(state, ChargedDensity)]


def _curve(pair: ChargedParticles) -> tuple[torch.Tensor, torch.Tensor]:
    return pair.theta[:, 0], pair.H


@claim(
    "(3.12)-(3.16)",
    Kind.IDENTITY,
    "G = |f|^2/2 + int int Kbar H rho H rho + int Sbar H rho + int Vbar rho, with (3.14)",
)
def expansion(quick: bool) -> Measurement:
    """G of a pair against the expansion, written out."""
    example = line()
    pair = example.labels(32).pair
    theta, H, m = (t.numpy() for t in (pair.theta[:, 0], pair.H, pair.weights))
    data = example.risk.data
    x, f, q = (t.numpy() for t in (data.x[:, 0], data.f, data.weights))
    h = np.tanh(theta[:, None] + x)
    K, S, Hm = 0.5 * (h * q) @ h.T, -h @ (q * f), H * m
    V = LINE_LAM / 2 * m @ (H**2 + theta**2)
    return Measurement(
        float(example.G(pair)), float(q @ f**2 / 2 + Hm @ K @ Hm + S @ Hm + V), 1e-12
    )


def _rates(system: System, quick: bool) -> tuple[Array, Array]:
    """By formulas written out: theta' and H' of the labels at time zero."""
    example = line()
    labels = example.labels(48)
    pair = labels.pair
    N, slope = example.N(pair)
    theta, H = pair.theta[:, 0].numpy(), pair.H.numpy()
    B = labels.D.numpy() @ H  # the labels are theta at time zero
    p = N + LINE_LAM * H
    w = -H * slope - LINE_LAM * theta  # (3.24)
    v = w - p * B  # (3.22): minus the whole derivative of H N + lam/2 (H^2 + theta^2)
    velocity = v if system.total else w
    return velocity, -p if system.carried else -p + velocity * B


def _right_side(system: System, quick: bool) -> Measurement:
    """Differences of the label form over a short time, against the printed right side."""
    example, e = line(), 1e-4
    labels = example.labels(48)
    run = system(example.G, labels, t1=2 * e, times=[e, 2 * e], rtol=1e-12)
    a, b, c = (_sorted(run.at(t)) for t in (0.0, e, 2 * e))
    velocity, rate = _rates(system, quick)
    slopes = [
        ((-3 * p + 4 * q - r) / (2 * e)).numpy()
        for p, q, r in zip(*map(_curve, (a, b, c)), strict=True)
    ]
    error = np.abs(slopes[0] - velocity).max() + np.abs(slopes[1] - rate).max()
    return Measurement(float(error), 0.0, 1e-6)


@claim(
    "(3.17)-(3.18)",
    Kind.IDENTITY,
    "rho moves by -grad dG/drho, dG/drho = H (Lbar + Sbar) + Vbar(H, theta)",
)
def steepest_rho(quick: bool) -> Measurement:
    """The first variation in rho against a difference of G along a change of rho, H held as a function of theta."""
    example, e = line(), 1e-6
    a = example.labels(32).pair
    theta = torch.linspace(-2.5, 2.5, 20, dtype=torch.float64)[:, None]
    b = ChargedParticles(theta, example.charge(theta))
    mixed = ChargedParticles(
        torch.cat([a.theta, b.theta]),
        torch.cat([a.H, b.H]),
        torch.cat([(1 - e) * a.weights, e * b.weights]),
    )
    difference = float(example.G(mixed) - example.G(a)) / e
    phi = example.G.variation(a, b.lift().points).mean() - a.integrate(example.G.variation(a))
    return Measurement(difference, float(phi), 1e-5)


@claim(
    "(3.19)",
    Kind.IDENTITY,
    "separating variables: d_t rho = div(rho grad dG/drho), d_t H = -dG/dH at each theta",
)
def separated(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return _right_side(jko.limits.separated, quick)


@claim(
    "(3.21)-(3.22)",
    Kind.IDENTITY,
    "H transported along the flow of rho: d_t H + v . grad H = -dG/dH, v of (3.22)",
)
def transported(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return _right_side(jko.limits.transported, quick)


@claim(
    "before (3.21)",
    Kind.ERRATUM,
    "d_t (H o X) = -(Lbar + Sbar + lam H) o X: the sign of lam H is plus",
)
def sign_of_lambda(quick: bool) -> Measurement:
    """The coefficient of H in minus the rate of H along (3.21), lam in units of itself; as printed -1."""
    F = LINE_LAM * SquaredNorm()
    labels = jko.limits.Labels.chebyshev(
        lambda t: 1 + 0 * t[:, 0], lambda t: 2 + 0 * t[:, 0], (-1.0, 1.0), 16
    )
    run = jko.limits.transported(F, labels, t1=1.0)
    rate = -math.log(float(_sorted(run.final).H[3]) / 2)
    return Measurement(rate / LINE_LAM, 1.0, 1e-7, printed=-1.0)


@claim(
    "(3.23)-(3.24)",
    Kind.IDENTITY,
    "propagation of chaos: d_t H + w . grad H = -(Lbar + Sbar + d_H Vbar), w of (3.24)",
)
def chaos(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return _right_side(jko.limits.chaos, quick)


@claim(
    "(3.23)",
    Kind.IDENTITY,
    "(id, H)_# rho solves (3.7): the particles of (3.23) are those of the Wasserstein flow",
)
def same_particles(quick: bool) -> Measurement:
    """The label form of (3.23) against (3.7) on the lift: largest distance of an atom at t = 1.5."""
    example = line()
    labels = example.labels(48)
    a = _sorted(jko.limits.chaos(example.G, labels, t1=LATE, rtol=1e-10).final).lift()
    b = jko.limits.wasserstein(example.G, labels.pair.lift(), t1=LATE, rtol=1e-10).final
    return Measurement(float((a.points - b.support).abs().max()), 0.0, 1e-8)


@claim(
    "(3.23)",
    Kind.LIMIT,
    "finite volumes of all three systems agree with their label form, at order 2 in the cells",
)
def cells(quick: bool) -> Measurement:
    """The worst of the three last pairwise orders of G(1.5) in the width of the cells."""
    example, counts = line(), [50, 100, 200] if quick else [100, 200, 400]
    curves, orders = [], []
    for system in SYSTEMS:
        exact = system(example.G, example.labels(), t1=LATE, rtol=1e-11).energies[-1]
        errors = [
            abs(
                float(
                    system(example.G, example.grid(n), t1=LATE, times=[LATE]).energies[-1] - exact
                )
            )
            for n in counts
        ]
        curves.append(Curve([6 / n for n in counts], errors, system.equation, "dots"))
        orders.append(float(np.log2(errors[-2] / errors[-1])))
    worst = max(orders, key=lambda order: abs(order - 2))
    picture = Picture(tuple(curves), "$\\Delta\\theta$", "error of $G(1.5)$", True, True)
    return Measurement(worst, 2.0, 0.15, picture=picture)


@claim(
    "(3.25)",
    Kind.INEQUALITY,
    "no flux: the mass stays in Theta, also where characteristics run into a wall",
)
def walls(quick: bool) -> Measurement:
    """Change of the mass when Vbar pushes it outwards for a while."""
    example = line()
    run = jko.limits.chaos(
        example.risk + (-0.5) * SquaredNorm(), example.grid(60), t1=2.0, times=[2.0]
    )
    return Measurement(abs(float(run.final.mass) - 1), 0.0, 1e-12)


def _dissipates(system: System, quick: bool) -> Measurement:
    """A central difference of G in time along finite volumes against the formula, worst over the kept times."""
    example, n = line(), 200 if quick else 400
    times = np.linspace(0, 0.6, 25)
    run = system(example.G, example.grid(n), t1=0.6, times=times)
    differences = (run.energies[2:] - run.energies[:-2]) / (times[2:] - times[:-2])
    formula = np.array([system.rate(example.G, s) for s in _cells(run)[1:-1]])
    picture = Picture(
        (
            Curve(times[1:-1], differences, "differences of $G$", "dots"),
            Curve(times[1:-1], formula, "formula"),
        ),
        "$t$",
        "$dG/dt$",
    )
    return Measurement(float(np.abs(differences - formula).max()), 0.0, 5e-4, picture=picture)


@claim(
    "after (3.19)",
    Kind.IDENTITY,
    "dG/dt = -int |grad dG/drho|^2 drho - int |dG/dH|^2 drho along (3.19)",
)
def separated_dissipates(quick: bool) -> Measurement:
    """Along finite volumes."""
    return _dissipates(jko.limits.separated, quick)


@claim(
    "after (3.19)",
    Kind.IDENTITY,
    "so the time integral of both dissipations is what G falls by, at most G(rho_0, H_0)",
)
def separated_integral(quick: bool) -> Measurement:
    """The integral to t = 3 of the formula, by Simpson's rule, against G_0 - G(3)."""
    example, times = line(), np.linspace(0, 3, 61)
    run = jko.limits.separated(example.G, example.grid(200 if quick else 400), t1=3.0, times=times)
    rates = [-jko.limits.separated.rate(example.G, s) for s in _cells(run)]
    fall = float(run.energies[0] - run.energies[-1])
    return Measurement(float(simpson(rates, x=run.times)), fall, 2e-4)


@claim(
    "3.2.2",
    Kind.IDENTITY,
    "(3.21) has dG/dt = -int [|w|^2 + p^2 - p w . grad H] drho, which has no sign",
)
def transported_rate(quick: bool) -> Measurement:
    """Along finite volumes."""
    return _dissipates(jko.limits.transported, quick)


@claim(
    "3.2.2",
    Kind.COUNTEREXAMPLE,
    '"does not seem to dissipate": here (3.21) raises G, at rate .905565',
)
def transported_grows(quick: bool) -> Measurement:
    """One datum, h = e^{-theta}, lam = 0, rho = N(0, .05^2), H = 1 + tanh 3 theta: dG/dt at time zero.

    The residual is one, so p = h, w = H h and B = H'; the rate ``-int (w^2 + p^2 - p w B) drho`` by quadrature.
    """
    n = 400 if quick else 1600
    grid = Grid((-0.5, 0.5), n)
    pair = ChargedDensity.from_function(
        grid, lambda t: torch.exp(-(t[:, 0] ** 2) / 0.005), lambda t: 1 + torch.tanh(3 * t[:, 0])
    )

    def h(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-theta) + 0 * x.T

    zero = torch.zeros(1, 1, dtype=torch.float64)
    value = pair.lift().integrate(pair.lift().points[:, 0] * torch.exp(-pair.lift().points[:, 1]))
    G = Risk(Data(zero, [float(value) - 1], [1.0]), activation=h)  # the residual is one

    def integrand(t: float) -> float:
        H, B = 1 + math.tanh(3 * t), 3 / math.cosh(3 * t) ** 2
        return -math.exp(-2 * t) * (H**2 + 1 - H * B) * math.exp(-(t**2) / 0.005)

    expected = quad(integrand, -0.5, 0.5)[0] / math.sqrt(0.005 * math.pi)
    curves = []
    for system in SYSTEMS:
        run = system(G, pair, t1=0.05, times=np.linspace(0, 0.05, 21))
        curves.append(Curve(run.times, run.energies, system.equation))
    picture = Picture(tuple(curves), "$t$", "$G$")
    return Measurement(jko.limits.transported.rate(G, pair), expected, 2e-4, picture=picture)


@claim(
    "Proposition 3.3",
    Kind.IDENTITY,
    "dG/dt = -int |H grad N + grad_theta Vbar|^2 + |N + d_H Vbar|^2 drho along (3.23)",
)
def proposition(quick: bool) -> Measurement:
    """Along finite volumes, Vbar quadratic."""
    return _dissipates(jko.limits.chaos, quick)


@claim(
    "Proposition 3.3",
    Kind.IDENTITY,
    "the same for Vbar = (H^4 + theta^4)/20 + H theta / 10, not quadratic",
)
def proposition_general(quick: bool) -> Measurement:
    """Along particles, by :func:`jko.diagnostics.dissipation` and central differences of G."""
    example = line()

    def V(xi: torch.Tensor) -> torch.Tensor:
        return (xi**4).sum(1) / 20 + xi[:, 0] * xi[:, 1] / 10

    G = example.risk + Potential(V)
    times = np.linspace(0, 1, 401)
    run = jko.limits.wasserstein(G, example.labels(48).pair, t1=1.0, rtol=1e-11, times=times)
    differences = (run.energies[2:] - run.energies[:-2]) / (times[2:] - times[:-2])
    formula = np.array([-dissipation(G, s) for s in run.states[1:-1]])
    return Measurement(float(np.abs(differences - formula).max()), 0.0, 1e-5)


def _spread() -> Particles:
    """A measure with several w at each theta."""
    generator = torch.Generator().manual_seed(7)
    return Particles(torch.randn(40, 2, generator=generator, dtype=torch.float64))


@claim(
    "Lemma 3.2, (3.26)-(3.29)",
    Kind.IDENTITY,
    "the moments H_i of w given theta obey the hierarchy (3.27), i = 0 ... 3",
)
def moments(quick: bool) -> Measurement:
    """d/dt int theta w^i dmu by central differences along (3.7), against the right side; worst over i."""
    example, mu, e = line(), _spread(), 1e-3
    run = jko.limits.wasserstein(
        example.G, mu, t1=0.5 + e, rtol=1e-11, times=[0.5 - e, 0.5, 0.5 + e]
    )
    before, now, after = run.states[-3:]
    worst = 0.0
    for i in range(4):
        ahead, behind = (
            float(s.integrate(s.support[:, 1].sin() * s.support[:, 0] ** i))
            for s in (after, before)
        )
        formula = jko.limits.moment_rate(example.G, now, i, lambda theta: theta[:, 0].sin())
        worst = max(worst, abs((ahead - behind) / (2 * e) - formula))
    return Measurement(worst, 0.0, 1e-5)


@claim(
    "(3.30)-(3.31)", Kind.IDENTITY, "closed by nu = delta_H, the hierarchy for i = 0, 1 is (3.23)"
)
def closure(quick: bool) -> Measurement:
    """L1 distance of rho, at t = 1, from the finite volumes of (3.23), which do not share its form."""
    example, n = line(), 100 if quick else 400
    start = example.grid(n)
    a = jko.limits.hierarchy(example.G, start, t1=1.0, times=[1.0]).final
    b = _cells(jko.limits.chaos(example.G, start, t1=1.0, times=[1.0]))[-1]
    return Measurement(float((a.values - b.values).abs().sum()) * start.grid.cell, 0.0, 0.2 / n)
