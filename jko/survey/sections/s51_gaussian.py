"""Section 5.1: the rate at which a Gaussian network with entropy comes to rest."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from jko import exact
from jko.diagnostics import decay
from jko.survey.claims import Curve, Measurement, Picture, erratum, experiment
from jko.survey.instances import Array

GAUSS = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}


START = np.zeros(2), np.diag([1.0, 0.5])  # of the Gaussian network


def _gaps(times: Array) -> Array:
    """F - F_* of the Gaussian network along (4.2), by the closed forms of the library."""
    bottom = exact.network_energy(*exact.network_rest(**GAUSS), **GAUSS)
    laws = [START if t == 0 else exact.network_flow(*START, t=float(t), **GAUSS) for t in times]
    return np.array([exact.network_energy(*law, **GAUSS) for law in laws]) - bottom


def _rest_by_hand() -> tuple[float, Array]:
    """q, and the variances beta / (lam +- q) along (w +- theta) / sqrt 2, of the state of rest."""
    s2, target, lam, beta = GAUSS.values()
    q = brentq(lambda q: q + s2 * (beta * q / (lam**2 - q**2) + target), -lam + 1e-9, lam - 1e-9)
    return q, np.array([beta / (lam + q), beta / (lam - q)])


def _rates_by_hand() -> Array:
    """The rates at which covariances come to rest: eigenvalues of ``S' = -A_q S - S A_q + 2 beta I``, linearised."""
    s2, lam = GAUSS["s2"], GAUSS["lam"]
    q, (plus, minus) = _rest_by_hand()
    two = [[2 * (lam + q) + s2 * plus, -s2 * plus], [-s2 * minus, 2 * (lam - q) + s2 * minus]]
    return np.sort(np.append(np.linalg.eigvals(two).real, 2 * lam))


def _energy_by_hand(S: Array) -> float:
    """F at N(0, S)."""
    s2, target, lam, beta = GAUSS.values()
    entropy = -0.5 * math.log(np.linalg.det(2 * math.pi * math.e * S))
    return float(s2 / 2 * (S[0, 1] - target) ** 2 + lam / 2 * np.trace(S) + beta * entropy)


def _least_ratio(T: float) -> float:
    """The least ratio of the dissipation to F - F_* up to time T, by scipy's own integration."""
    s2, target, lam, beta = GAUSS.values()

    def force(S: Array) -> Array:
        q = s2 * (S[0, 1] - target)
        return np.array([[lam, q], [q, lam]]) - beta * np.linalg.inv(S)

    def velocity(t: float, y: Array) -> Array:
        S = y.reshape(2, 2)
        B = force(S)
        return -(B @ S + S @ B).ravel()

    _, (plus, minus) = _rest_by_hand()
    half, mixed = (plus + minus) / 2, (plus - minus) / 2
    bottom = _energy_by_hand(np.array([[half, mixed], [mixed, half]]))
    times = np.linspace(0, T, 2001)
    run = solve_ivp(velocity, (0, T), START[1].ravel(), t_eval=times, rtol=1e-10, atol=1e-12)
    laws = run.y.T.reshape(-1, 2, 2)
    return min(
        float(np.trace(force(S) @ S @ force(S))) / (_energy_by_hand(S) - bottom) for S in laws
    )


@experiment(
    "5.1 (ii)",
    "the dissipation controls $F - F_*$ along the flow: their ratio stays away from zero",
)
def dissipation_ratio(quick: bool) -> Measurement:
    """The infimum over t in [0, 4] of -dF/dt / (F - F_*) for the Gaussian network with entropy, by differences.

    Expected: the least ratio of ``int |grad dF/dmu|^2 dmu`` to F - F_* along the flow that scipy integrates.
    """
    e, times = 1e-4, np.linspace(0, 4, 41 if quick else 401)
    gaps = _gaps(times)
    ahead, behind = _gaps(times + e), _gaps(np.maximum(times - e, 0))
    rates = -(ahead - behind) / (2 * e)
    rates[0] = -(4 * ahead[0] - _gaps(np.array([0.0, 2 * e]))[1] - 3 * gaps[0]) / (2 * e)
    ratios = rates / gaps
    picture = Picture(
        (
            Curve(times, ratios, "dissipation / $(F - F_*)$"),
            Curve(times, np.full(len(times), 2 * _rates_by_hand()[0]), "limit", "dashed"),
        ),
        "$t$",
        "rate",
    )
    return Measurement(float(ratios.min()), _least_ratio(4.0), 1e-3, picture=picture)


@experiment("5.1 (iii)", "with entropy the Gaussian network decays exponentially, at rate 2.85")
def exponential_decay(quick: bool) -> Measurement:
    """The fitted rate of F - F_* along (4.2), against twice the least rate of the covariance at rest, 2.84845."""
    times = np.linspace(0, 8, 41)
    gaps = _gaps(times)
    found = decay(times, gaps, since=5.0)
    line = gaps[-1] * np.exp(found.rate * (times[-1] - times))
    picture = Picture(
        (
            Curve(times, gaps, "$F - F_*$"),
            Curve(times, line, f"$e^{{-{found.rate:.3g} t}}$", "dashed"),
        ),
        "$t$",
        "$F(\\mu_t) - F_*$",
        logy=True,
    )
    return Measurement(found.rate, 2 * float(_rates_by_hand()[0]), 0.005, picture=picture)


@erratum(
    "footnote 13",
    'the rate "$1/t$" is not sharp: under its own assumption the decay is exponential',
)
def not_algebraic(quick: bool) -> Measurement:
    """The misfit of e^{-rt} in log(F - F_*), for the Gaussian network; as printed, that of t^{-p}."""
    times = np.linspace(0, 5, 51)
    gaps = _gaps(times)
    found = decay(times, gaps, since=2.5)
    return Measurement(found.exponential_misfit, 0.0, 0.01, printed=found.algebraic_misfit)
