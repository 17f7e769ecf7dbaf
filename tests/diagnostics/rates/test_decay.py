"""Rates of decay against laws that are known."""

import numpy as np
import pytest
from scipy.stats import linregress

import jko

T = np.linspace(0, 20, 200)


def test_an_exponential_is_seen_as_one():
    found = jko.diagnostics.decay(T, 2 * np.exp(-0.3 * T))
    assert found.is_exponential
    assert found.rate == pytest.approx(0.3, abs=1e-12)
    assert found.window == (pytest.approx(10, abs=0.1), 20.0)


def test_a_power_is_seen_as_one():
    found = jko.diagnostics.decay(T, np.concatenate([[1.0], 5 * T[1:] ** -2.0]))
    assert not found.is_exponential
    assert found.exponent == pytest.approx(2, abs=1e-12)


def test_the_errors_are_those_of_linear_regression():
    noisy = np.exp(-0.3 * T + 0.1 * np.random.default_rng(0).normal(size=len(T)))
    found = jko.diagnostics.decay(T, noisy, since=0.05)
    line = linregress(T[1:], np.log(noisy[1:]))
    assert found.rate == pytest.approx(-line.slope, rel=1e-10)
    assert found.rate_error == pytest.approx(line.stderr, rel=1e-10)
    assert "e^(-r t), r = 0.3" in str(found)


def test_values_below_the_floor_have_no_rate():
    values = np.maximum(np.exp(-2 * T), 1e-16)
    assert jko.diagnostics.decay(T, values, since=1.0, floor=1e-15).rate == pytest.approx(
        2, abs=1e-9
    )
    with pytest.raises(ValueError, match=r"0 values above 1 at times from 10 on"):
        jko.diagnostics.decay(T, values, floor=1.0)
    with pytest.raises(ValueError, match=r"times has 200 entries but values 3"):
        jko.diagnostics.decay(T, [1.0, 2.0, 3.0])
