"""Section 3.2: the functional G of pairs (rho, H), and its first two evolutions."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import quad, simpson

import jko.limits
from jko.energies import Risk, SquaredNorm
from jko.measures import ChargedDensity, ChargedParticles
from jko.networks import Data
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, counterexample, erratum, identity
from jko.survey.systems import LINE_LAM, SYSTEMS, charged, dissipates, line, on_cells, right_side


@identity(
    "(3.12)-(3.16)",
    r"$G = \frac{1}{2} |f|^2 + \iint \bar K H \rho\, H \rho + \int \bar S H\, d\rho + \int \bar V\, d\rho$, with "
    "(3.14)",
)
def expansion(quick: bool) -> Measurement:
    """G of a pair against the expansion, written out."""
    example = line()
    pair = example.labels(32).pair
    theta, H, m = (t.numpy() for t in (pair.theta[:, 0], pair.H, pair.weights))
    x, f, q = example.data
    h = np.tanh(theta[:, None] + x)
    K, S, Hm = 0.5 * (h * q) @ h.T, -h @ (q * f), H * m
    V = LINE_LAM / 2 * m @ (H**2 + theta**2)
    return Measurement(
        float(example.G(pair)), float(q @ f**2 / 2 + Hm @ K @ Hm + S @ Hm + V), 1e-12
    )


@identity(
    "footnote 9",
    r"$\langle \frac{\delta G}{\delta H}, \varphi \rangle$ in $L^2(\rho)$ is the derivative of $G(\rho, H + "
    r"\varepsilon \varphi)$",
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


@identity(
    "(3.17)-(3.18)",
    r"$\rho$ moves by $-\nabla \frac{\delta G}{\delta\rho}$, $\frac{\delta G}{\delta\rho} = H (\bar L + \bar S) + "
    r"\bar V(H, \theta)$",
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


@identity(
    "(3.19)",
    r"separating variables: $\partial_t \rho = \operatorname{div}(\rho \nabla \frac{\delta G}{\delta\rho})$, "
    r"$\partial_t H = -\frac{\delta G}{\delta H}$ at each $\theta$",
)
def separated(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return right_side(jko.limits.separated)


@identity(
    "after (3.19)",
    r"$\frac{dG}{dt} = -\int \left|\nabla \frac{\delta G}{\delta\rho}\right|^2 d\rho - \int \left|\frac{\delta "
    r"G}{\delta H}\right|^2 d\rho$ along (3.19)",
)
def separated_dissipates(quick: bool) -> Measurement:
    """Along finite volumes."""
    return dissipates(jko.limits.separated, quick)


@identity(
    "after (3.19)",
    r"so the time integral of both dissipations is what $G$ falls by, at most $G(\rho_0, H_0)$",
)
def separated_integral(quick: bool) -> Measurement:
    """The integral to t = 3 of the formula, by Simpson's rule, against G_0 - G(3)."""
    example, times = line(), np.linspace(0, 3, 61)
    run = jko.limits.separated(example.G, example.grid(200 if quick else 400), t1=3.0, times=times)
    rates = [-jko.limits.separated.rate(example.G, s) for s in on_cells(run)]
    fall = float(run.energies[0] - run.energies[-1])
    return Measurement(float(simpson(rates, x=run.times)), fall, 2e-4)


@identity(
    "(3.20), footnote 10",
    r"$\rho_t = (X_t)_\# \rho_0$: its integrals are those of $\rho_0$ along the flow $X_t$",
)
def push_forward(quick: bool) -> Measurement:
    """int cos theta drho_t of (3.21) at t = 1 from finite volumes, against labels carried by the flow."""
    example, n = line(), 200 if quick else 800
    cells = jko.limits.transported(example.G, example.grid(n), t1=1.0, times=[1.0]).final
    labels = jko.limits.transported(example.G, example.labels(), t1=1.0).final
    values = [float(s.integrate(s.support[:, 0].cos())) for s in (cells, labels)]
    return Measurement(values[0], values[1], 20 / n**2)


@erratum(
    "before (3.21)",
    r"$\partial_t (H \circ X) = -(\bar L + \bar S + \lambda H) \circ X$: the sign of $\lambda H$ is plus",
)
def sign_of_lambda(quick: bool) -> Measurement:
    """The coefficient of H in minus the rate of H along (3.21), lam in units of itself; as printed -1."""
    F = LINE_LAM * SquaredNorm()
    labels = jko.limits.Labels.chebyshev(
        lambda t: 1 + 0 * t[:, 0], lambda t: 2 + 0 * t[:, 0], (-1.0, 1.0), 16
    )
    run = jko.limits.transported(F, labels, t1=1.0)
    rate = -math.log(float(charged(run.final).H[3]) / 2)
    return Measurement(rate / LINE_LAM, 1.0, 1e-7, printed=-1.0)


@identity(
    "(3.21)-(3.22)",
    r"$H$ transported along the flow of $\rho$: $\partial_t H + v \cdot \nabla H = -\frac{\delta G}{\delta H}$, "
    "$v$ of (3.22)",
)
def transported(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return right_side(jko.limits.transported)


@identity(
    "3.2.2",
    r"(3.21) has $\frac{dG}{dt} = -\int \left[|w|^2 + p^2 - p\, w \cdot \nabla H\right] d\rho$, which has no sign",
)
def transported_rate(quick: bool) -> Measurement:
    """Along finite volumes."""
    return dissipates(jko.limits.transported, quick)


@counterexample("3.2.2", '"does not seem to dissipate": here (3.21) raises $G$, at rate .905565')
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
