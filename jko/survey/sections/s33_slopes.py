"""Remark 3.4, the flow in D as a curve of maximal slope: De Giorgi's identity, the EVI, contraction, errors in tau."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko.diagnostics import (
    contraction,
    convexity,
    energy_dissipation,
    error_bounds,
    evi,
    modulus,
    variational,
)
from jko.diagnostics.convexity.paths import path
from jko.energies import Energy, Potential, Risk, SquaredNorm
from jko.flows import flow
from jko.measures import ChargedParticles, Particles
from jko.metrics import distance
from jko.networks import Data, Ridge
from jko.steps import BlockNewton
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    identity,
    inequality,
    limit,
)


def _net() -> Energy:
    """Twenty data of 1.5 sin 3x, tanh neurons, lam = .01."""
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    data = Data(x, 1.5 * torch.sin(3 * x[:, 0]))
    return Risk(data, activation=Ridge(torch.tanh)) + 0.01 * SquaredNorm()


def _pair(seed: int, N: int = 8) -> ChargedParticles:
    draws = torch.randn(N, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ChargedParticles(draws[:, 1:], 2 * draws[:, 0])


@identity(
    "Remark 3.4",
    r"a step in $D$ obeys De Giorgi's identity $G_k - G_{k+1} = \frac{D^2}{2\tau} + \frac12 \int_0^\tau "
    r"\left(\frac{D(\mu_s, \mu_k)}{s}\right)^2 ds$, with $|\partial G|(\mu_s) = D/s$",
)
def maximal(quick: bool) -> Measurement:
    """Both sides at tau = .2; to the right side is added what the slopes leave."""
    found = variational(_net(), _pair(0), tau=0.2)
    sizes = found.speeds**2
    curves = (
        Curve(found.lengths, sizes, r"$(D/s)^2$"),
        Curve(found.lengths, found.slopes**2, r"$|\partial G|^2(\mu_s)$", "dots"),
    )
    picture = Picture(curves, "length of the step $s$", "squared speed")
    right = found.moved + found.sloped + abs(found.left)
    return Measurement(right, found.lowered, 1e-8, picture=picture)


@limit(
    "Remark 3.4",
    r"with the slopes at the ends of the steps the equality of energy and dissipation is of first order in $\tau$",
)
def first_order_slopes(quick: bool) -> Measurement:
    """Its order, while the exact one holds to 1e-8 for each tau."""
    taus = [0.1, 0.05] if quick else [0.1, 0.05, 0.025]
    found = energy_dissipation(_net(), _pair(1, 6), t1=0.2, taus=taus)
    curve = Curve(found.taus, found.ends.errors, "", "dots")
    picture = Picture((curve,), r"$\tau$", "what is left of the equality", True, True)
    exact = float(np.abs(found.residuals).max())
    order = found.ends.order if exact < 1e-8 else np.nan
    return Measurement(order, 1.0, 0.25, picture=picture)


@counterexample(
    "Remark 3.4", r"$G$ is not convex along geodesics of $D$: $\Phi = w\theta$, between two minima"
)
def barrier(quick: bool) -> Measurement:
    """The least second derivative over the squared distance from (1, 1) to (-1, -1); there d2/ds2 is 8 (3 s^2 - 1)."""
    risk = Risk(Data([[1.0]], [1.0]), activation=lambda theta, x: theta @ x.T)
    ends = [ChargedParticles([[s]], [s]) for s in (1.0, -1.0)]
    return Measurement(convexity(risk, *ends).least, -1.0, 1e-12)


@identity(
    "Remark 3.4",
    r"the constant of the evolution variational inequality of (3.23) at $(t, \nu)$ is the mean of "
    r"$\frac{d^2}{ds^2} G$ on the geodesic to $\nu$; it is above the least eigenvalue of the Hessian",
)
def variational_inequality(quick: bool) -> Measurement:
    """The least constant over times and states of other flows, against Gauss's rule; nan below the eigenvalue."""
    G, times = _net(), np.linspace(0, 1, 4)
    run = jko.limits.wasserstein(G, _pair(2), t1=1.0, times=times)
    others = [_pair(10 + k) for k in range(4 if quick else 12)]
    found = evi(G, run, others)
    t, k = found.worst
    way = path(G, run.states[t], others[k])
    x, w = np.polynomial.legendre.leggauss(40)
    seconds = np.array([way.second(float(s)) for s in 0.5 * (1 + x)])
    mean = float((0.5 * w * (1 - x) * seconds).sum()) / way.squared
    above = found.constant >= modulus(G, run).least
    curves = tuple(Curve(found.times, constants, "") for constants in found.constants.T)
    picture = Picture(curves, "$t$", r"constant $\lambda$ for each $\nu$")
    return Measurement(found.constant if above else np.nan, mean, 1e-6, picture=picture)


@inequality("Remark 3.4", r"two flows of (3.23) part at most like $e^{-\lambda t}$")
def parting(quick: bool) -> Measurement:
    """The largest excess of D over it, with lam from the geodesics between the flows."""
    G, times, excess = _net(), np.linspace(0, 1, 4), []
    for k in range(2 if quick else 6):
        runs = [jko.limits.wasserstein(G, _pair(s), t1=1.0, times=times) for s in (k, 30 + k)]
        excess.append(contraction(G, *runs).excess)
    return Measurement(max(excess), 0.0, 1e-9)


@inequality(
    "Remark 3.4",
    r"the error of JKO steps is at most what $\lambda$-convexity allows: of order $\tau$, with all constants",
)
def errors(quick: bool) -> Measurement:
    """Two wells, V'' >= -4: the largest error less its a posteriori bound, and that less its a priori bound."""
    V = Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)
    mu = Particles([[0.2], [-0.5], [1.6]])
    run = flow(V, mu, tau=0.02, steps=15, solver=BlockNewton())
    exact = jko.limits.wasserstein(V, mu, t1=float(run.times[-1]), times=run.times)
    found = error_bounds(V, run, lam=-4.0)
    error = [distance(a, b).value for a, b in zip(run.states, exact.states, strict=True)]
    curves = (
        Curve(run.times[1:], np.array(error)[1:], "error"),
        Curve(run.times[1:], found.posterior[1:], "a posteriori"),
        Curve(run.times[1:], found.prior[1:], "a priori"),
    )
    picture = Picture(curves, "$t$", "distance from the flow", False, True)
    excess = max((np.array(error) - found.posterior).max(), (found.posterior - found.prior).max())
    return Measurement(float(excess), 0.0, 1e-8, picture=picture)
