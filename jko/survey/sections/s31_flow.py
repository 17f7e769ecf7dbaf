"""Section 3.1: the Wasserstein gradient flow of F."""

from __future__ import annotations

import numpy as np
import torch

from jko.diagnostics import dissipation, speed
from jko.energies import Potential
from jko.flows import flow
from jko.measures import Particles, mixture
from jko.spaces import Box
from jko.steps import LBFGS
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    erratum,
    identity,
    inequality,
)
from jko.survey.instances import (
    LAM,
    STEP,
    about_half,
    features,
    loss,
    net,
    slopes,
)


@identity(
    "(3.1)-(3.4)",
    r"$F = \frac{1}{2} |f|^2 + \iint K\, d\mu\, d\mu + \int S\, d\mu + \int V\, d\mu$, $K$ and $S$ of (3.4)",
)
def expansion(quick: bool) -> Measurement:
    """F against the expansion with K and S written out."""
    example = net(15)
    x, f, q = example.data
    phi, m = features(example.points, x), np.full(15, 1 / 15)
    K, S = 0.5 * (phi * q) @ phi.T, -phi @ (q * f)
    V = LAM / 2 * (example.points**2).sum(1)
    return Measurement(
        float(example.F(example.mu)), float(q @ f**2 / 2 + m @ K @ m + m @ (S + V)), 1e-12
    )


@identity(
    "(3.5)", r"the first variation is $2 \int K(\cdot, \xi)\, \mu(d\xi) + S + V$, with its gradient"
)
def first_variation(quick: bool) -> Measurement:
    """dF along (1 - e) mu + e nu by differences against int (dF/dmu) d(nu - mu), and the gradient written out."""
    example, nu = net(15), net(20, seed=4).mu
    mu, F, e = example.mu, example.F, 1e-6
    difference = float(F(mixture(mu, nu, e)) - F(mixture(mu, nu, 0.0))) / e
    formula = nu.integrate(F.variation(mu, nu.points)) - mu.integrate(F.variation(mu))
    gradient = slopes(example.points, mu.weights.numpy(), example.data, LAM)
    error = abs(difference - float(formula)) + np.abs(F.gradient(mu).numpy() - gradient).max()
    return Measurement(float(error), 0.0, 1e-5)


@counterexample(
    "footnote 7",
    r'"the unique element": $\frac{\delta F}{\delta\mu}$ is unique only up to a constant on probability measures',
)
def constants(quick: bool) -> Measurement:
    """The derivative of F from mu to nu by differences, against int (dF/dmu + 1) d(nu - mu), dF/dmu written out."""
    example, nu, e = net(15), net(20, seed=4).mu, 1e-6
    mu, F = example.mu, example.F
    x, f, q = example.data
    phi, g = features(example.points, x), q * (features(example.points, x).mean(0) - f)
    here = phi @ g + LAM / 2 * (example.points**2).sum(1) + 1
    there = features(nu.points.numpy(), x) @ g + LAM / 2 * (nu.points.numpy() ** 2).sum(1) + 1
    difference = float(F(mixture(mu, nu, e)) - F(mixture(mu, nu, 0.0))) / e
    return Measurement(difference, float(there.mean() - here.mean()), 1e-5)


@identity(
    "(3.6)-(3.7)",
    r"the flow solves the equation weakly: $\frac{d}{dt} \int \psi\, d\mu = -\int \nabla\psi \cdot \nabla "
    r"\frac{\delta F}{\delta\mu}\, d\mu$",
)
def weak_form(quick: bool) -> Measurement:
    """A central difference in time of int psi dmu along the flow at t = 1/2, psi = sin w cos theta_1 + theta_2^2."""
    example = net(12)

    def psi(xi: torch.Tensor) -> torch.Tensor:
        return xi[:, 0].sin() * xi[:, 1].cos() + xi[:, 2] ** 2

    before, now, after = about_half(example.F, example.mu)
    change = after.integrate(psi(after.support)) - before.integrate(psi(before.support))
    at = now.support.clone().requires_grad_()
    (slope,) = torch.autograd.grad(psi(at).sum(), at)
    formula = -now.integrate((slope * example.F.gradient(now)).sum(1))
    return Measurement(float(change) / (2 * STEP), float(formula), 1e-6)


@erratum(
    "(3.8), footnote 8",
    r"$\int L(\mu)\, d\mu = \int_D f_\mu^2\, dx \ge 0$: the constant is 1, not 1/2",
)
def positive(quick: bool) -> Measurement:
    """The ratio of both sides of the formula, L of (3.8), f_mu written out; as printed it would be 1/2."""
    example = net(15)
    x, _, q = example.data
    left = example.mu.integrate(example.risk.L(example.mu, example.mu.points))
    square = q @ features(example.points, x).mean(0) ** 2
    return Measurement(float(left / square), 1.0, 1e-12, printed=0.5)


@identity(
    "(3.9)",
    r"the flow dissipates: $\frac{dF}{dt} = -\int \left|\nabla \frac{\delta F}{\delta\mu}\right|^2 d\mu$",
)
def energy_dissipation(quick: bool) -> Measurement:
    """A central difference of F (written out) along the flow at t = 1/2 against the formula."""
    example = net(12)
    before, now, after = about_half(example.F, example.mu)
    first, last = (
        loss(s.support.numpy(), s.weights.numpy(), example.data, LAM) for s in (before, after)
    )
    return Measurement((last - first) / (2 * STEP), -dissipation(example.F, now), 1e-6)


@inequality(
    "Definition 3.1, (3.10)",
    r"the flow comes to rest where $\nabla \frac{\delta F}{\delta\mu} = 0$ on the support, (3.10)",
)
def stationary_point(quick: bool) -> Measurement:
    """The largest speed of an atom at the end of a flow of large steps, by ``diagnostics.speed`` and by hand."""
    example = net(10)
    run = flow(example.F, example.mu, tau=20.0, steps=40 if quick else 100, solver=LBFGS(tol=1e-9))
    speeds = [speed(example.F, state).max for state in run.states]
    end = run.final.support.numpy()
    hand = np.linalg.norm(slopes(end, np.full(10, 0.1), example.data, LAM), axis=1).max()
    picture = Picture(
        (Curve(run.times, speeds, "", "dots"),), "$t$", "largest speed of an atom", logy=True
    )
    return Measurement(max(speeds[-1], float(hand)), 0.0, 1e-6, picture=picture)


@inequality("(3.11)", r"with no flux through the boundary the mass stays in $\Omega$")
def no_flux(quick: bool) -> Measurement:
    """V = -xi pushes atoms to the wall of [0, 1]: by how much one leaves; all end on the wall."""
    mu = Particles(np.linspace(0, 1, 11)[:, None], domain=Box([0.0], [1.0]))
    run = flow(Potential(lambda xi: -xi[:, 0]), mu, tau=0.1, steps=15)
    ends = run.final.support
    return Measurement(float((ends - 1).abs().max() + (run.final.mass - 1).abs()), 0.0, 1e-12)
