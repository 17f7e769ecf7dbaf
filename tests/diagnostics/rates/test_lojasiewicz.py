"""The exponent of Lojasiewicz against powers that are known, and decay laws that follow from it."""

import math

import numpy as np
import pytest

import jko
from jko.diagnostics import Interval, Lojasiewicz, decay, lojasiewicz

GAPS = np.geomspace(1, 1e-8, 60)


@pytest.mark.parametrize("theta", [0.3, 0.5, 0.6, 0.75, 0.9])
def test_a_power_law_is_its_exponent(theta):
    found = Lojasiewicz.of(GAPS, 7 * GAPS ** (2 * theta))
    assert found.exponent == pytest.approx(theta, abs=1e-12)
    assert found.constant == pytest.approx(7**0.5, rel=1e-9)
    assert found.interval.high - found.interval.low < 1e-9
    power = {0.3: math.nan, 0.5: math.inf}.get(theta) or 1 / (2 * theta - 1)
    assert found.power == pytest.approx(power, nan_ok=True)
    assert found.is_exponential == (theta == 0.5)


def test_the_interval_covers_with_residuals_that_are_not_independent():
    """Random walks as residuals: standard errors of a line would be far too small."""
    rng, inside, errors = np.random.default_rng(0), 0, 0
    for _ in range(100):
        noise = 0.05 * np.cumsum(rng.normal(size=(2, 60)), axis=1)
        found = Lojasiewicz.of(GAPS, GAPS**1.3 * np.exp(noise[0]))
        inside += 0.65 in found.interval
        naive = decay(np.arange(1.0, 61.0), np.exp(noise[1]), since=1.0)
        errors += abs(naive.rate) < 1.96 * naive.rate_error
    assert inside >= 90
    assert errors < 60  # what the plain standard error covers


def test_a_drift_widens_the_interval():
    """I = g^2 + g: the exponent goes from 1 to 1/2 along the curve."""
    found = Lojasiewicz.of(
        np.geomspace(1e2, 1e-2, 50), np.geomspace(1e2, 1e-2, 50) * (1 + np.geomspace(1e2, 1e-2, 50))
    )
    assert found.interval.low < 0.53
    assert found.interval.high > 0.95


@pytest.mark.parametrize("p", [3.0, 6.0])
@pytest.mark.parametrize("known", [True, False], ids=["minimum", "fitted"])
def test_power_norms_have_the_exponents_of_theory(p, known):
    """F = |x|^p: |F'| = p F^{1 - 1/p}, so theta = 1 - 1/p and F ~ t^{-p/(p-2)}; also with an offset that is fitted."""
    F = jko.energies.PowerNorm(p) + jko.Potential(lambda x: 0 * x[:, 0] + 3.0)
    times = np.geomspace(0.1, 1e3, 60)
    run = jko.limits.wasserstein(F, jko.Particles([[1.3], [-0.4]]), t1=1e3, rtol=1e-11, times=times)
    found = lojasiewicz(F, run, minimum=3.0 if known else None, since=1.0, floor=1e-9)
    assert found.exponent == pytest.approx(1 - 1 / p, abs=0.01)
    assert found.power == pytest.approx(p / (p - 2), rel=0.08)
    assert found.minimum == pytest.approx(3.0, abs=1e-7)
    assert found.fitted != known


def test_x_to_the_fourth_falls_like_the_inverse_square_of_t():
    F, times = jko.energies.PowerNorm(4), np.linspace(0, 400, 200)
    run = jko.limits.wasserstein(F, jko.Particles([[1.0]]), t1=400.0, rtol=1e-10, times=times)
    found = lojasiewicz(F, run, minimum=0.0)
    assert found.exponent == pytest.approx(0.75, abs=1e-6)
    assert found.power == pytest.approx(2, abs=1e-4)
    seen = decay(run.times, run.energies)
    assert not seen.is_exponential
    assert seen.exponent == pytest.approx(2, abs=0.01)
    assert "t^(-2)" in found.law


def test_an_exponential_has_its_rate():
    F = 1.7 * jko.SquaredNorm()
    run = jko.limits.wasserstein(F, jko.Particles([[1.0]]), t1=6.0, rtol=1e-10)
    found = lojasiewicz(F, run, minimum=0.0)
    assert found.is_exponential
    assert found.rate == pytest.approx(3.4, rel=1e-6)


def test_too_little_is_said():
    F = jko.SquaredNorm()
    run = jko.flow(F, jko.Particles([[1.0]]), tau=0.1, steps=5)
    with pytest.raises(ValueError, match="an exponent needs at least 8"):
        lojasiewicz(F, run, minimum=0.0)
    with pytest.raises(ValueError, match="gaps has 60 entries but dissipations 3"):
        Lojasiewicz.of(GAPS, [1.0, 2.0, 3.0])


def test_an_interval_holds_numbers():
    assert 1 in Interval(0.5, 1.5)
    assert "1" not in Interval(0.5, 1.5)


def test_the_intervals_of_a_decay_hold_a_noisy_rate():
    t, rng = np.linspace(0, 20, 200), np.random.default_rng(1)
    found = decay(t, np.exp(-0.3 * t + 0.1 * rng.normal(size=200)), since=0.05)
    assert 0.3 in found.rate_interval
    assert 0 not in found.rate_interval
