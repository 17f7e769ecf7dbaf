"""Section 5.1 (ii)-(iii), footnote 13: dissipation against the energy, found, proved, and at rest."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko import exact
from jko.diagnostics import (
    dissipation_ratio,
    lojasiewicz,
    minimiser,
    proved_ratio,
    spectral_gap,
)
from jko.energies import Energy, Entropy, PorousMedium, PowerNorm, Risk, SquaredNorm
from jko.flows import flow
from jko.measures import Gaussian, LineMesh, Particles
from jko.networks import Data
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, experiment, identity
from jko.survey.instances import Array, central, power_law

S2, TARGET, LAMBDA, BETA = 0.8, 1.5, 1.0, 0.3


def _network() -> Energy:
    """``Phi = w theta x`` with one datum, entropy and a quadratic potential."""
    x = torch.tensor([[S2**0.5]], dtype=torch.float64)
    data = Data(x, TARGET * x[:, 0])
    risk = Risk(data, features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)
    return risk + LAMBDA * SquaredNorm() + BETA * Entropy()


def _at_rest() -> Gaussian:
    law = exact.network_rest(s2=S2, target=TARGET, lam=LAMBDA, beta=BETA)
    return Gaussian(*law, nodes=25)


@identity(
    "5.1 (iii)",
    "the Hessian in $L^2(\\mu_*)$ of the Gaussian network, among normal laws of mean zero, has the eigenvalues of the "
    "covariance's equation: $2 \\cdot 1.42422 = 2.84845$",
)
def covariance_at_rest(quick: bool) -> Measurement:
    """Twice the gap, against the derivative of ``S' = 2 beta I - A_q S - S A_q`` at rest, by differences."""
    rest = _at_rest()
    S = rest.S.numpy()

    def velocity(entries: Array) -> Array:
        S = np.array([[entries[0], entries[2]], [entries[2], entries[1]]])
        q = S2 * (S[0, 1] - TARGET)
        A = np.array([[LAMBDA, q], [q, LAMBDA]])
        moved = 2 * BETA * np.eye(2) - A @ S - S @ A
        return np.array([moved[0, 0], moved[1, 1], moved[0, 1]])

    J = central(velocity, np.array([S[0, 0], S[1, 1], S[0, 1]]))
    expected = -2 * float(np.linalg.eigvals(J).real.max())
    return Measurement(spectral_gap(_network(), rest, even=True).rate, expected, 1e-5)


@identity(
    "footnote 13",
    r"at rest the bound of Bakry and Emery for the proximal Gibbs measure is attained, by laws that are not centred: "
    r"$2 (\lambda - |q|)$",
)
def sharp_at_rest(quick: bool) -> Measurement:
    """The bound at the level 1e-12, on a grid, against twice the gap among all normal laws."""
    F = _network()
    cells = minimiser(F, Grid((-6.0, 6.0), (32, 32) if quick else (64, 64))).state
    bound = proved_ratio(F, cells, level=1e-12).value
    return Measurement(bound, spectral_gap(F, _at_rest()).rate, 1e-3)


@identity(
    "5.1 (ii)",
    r"Ornstein and Uhlenbeck: the least $I / (F - F_*)$ that a search finds is $2 a$, that of McCann's theorem",
)
def found_and_proved(quick: bool) -> Measurement:
    """Over meshes, V = 3 x^2/4, with an entropy; the picture has all that the search tried."""
    F = 1.5 * SquaredNorm() + 0.4 * Entropy()
    start = LineMesh.from_density(minimiser(F, Grid((-3.0, 3.0), 16 if quick else 40)).state)
    rest = flow(F, start, tau=1.0, steps=25).final
    found = dissipation_ratio(F, rest, level=0.2, max_iterations=20 if quick else 60)
    gaps, ratios = found.trail.T
    proved = Curve(gaps, np.full(len(gaps), 3.0), "proved", "dashed")
    picture = Picture(
        (Curve(gaps, ratios, "tried", "dots"), proved), "$F - F_*$", "ratio", True, True
    )
    return Measurement(found.value, 3.0, 0.005, picture=picture)


@identity(
    "5.1 (iii)",
    r"a porous medium on the line, $m = 2$, $V = x^2$, comes to rest at the rates $n (n + 1)$: Legendre's",
)
def porous_spectrum(quick: bool) -> Measurement:
    """The sum of the first three eigenvalues in the edges of a mesh, 2 + 6 + 12."""
    F = 2 * SquaredNorm() + 0.3 * PorousMedium(2)
    start = LineMesh.from_density(minimiser(F, Grid((-2.0, 2.0), 40 if quick else 160)).state)
    found = spectral_gap(F, flow(F, start, tau=1.0, steps=20).final)
    return Measurement(float(found.eigenvalues[:3].sum()), 20.0, 0.3 if quick else 0.05)


@experiment(
    "5.1 (ii)",
    r"without convexity there need be no exponential: $F = \int |x|^4 d\mu$ has Lojasiewicz's exponent 3/4, "
    r"so $t^{-2}$",
)
def quartic(quick: bool) -> Measurement:
    """Half the slope of log I against log F along the flow of three atoms; nan where its interval holds 1/2."""
    F, T = PowerNorm(4), 300.0
    times = np.linspace(0, T, 61)
    start = Particles([[1.0], [-0.6], [0.2]])
    run = jko.limits.wasserstein(F, start, t1=T, times=times, rtol=1e-9)
    found = lojasiewicz(F, run, minimum=0.0)
    names = "$|\\nabla F|$", "power 3/4", "$F - F_*$", "$I^{1/2}$"
    picture = power_law(found.gaps, found.dissipations**0.5, 0.75, names)
    value = np.nan if found.is_exponential else found.exponent
    return Measurement(float(value), 0.75, 0.003, picture=picture)
