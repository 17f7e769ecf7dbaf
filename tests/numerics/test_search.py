"""Armijo's rule takes the first of halved lengths that falls enough; below rounding another judge decides."""

import math
from typing import NamedTuple

import pytest

from jko.numerics.search import armijo


class At(NamedTuple):
    x: float
    value: float


def test_a_newton_step_of_a_square_is_taken_whole():
    found = armijo(lambda t: At(1 - t, (1 - t) ** 2), 1.0, -2.0)
    assert found == (At(0.0, 0.0), 1.0, 1)


def test_lengths_are_halved_until_the_fall_is_a_share_of_what_the_slope_promises():
    tried = []

    def along(t):
        tried.append(t)
        return At(t, 100 * t**2 - t)

    found = armijo(along, 0.0, -1.0)
    assert tried == [2.0**-k for k in range(len(tried))]
    assert found.length == tried[-1] == 2.0**-7
    assert found.trials == 8
    assert armijo(along, 0.0, -1.0, longest=0.25).trials == 6


@pytest.mark.parametrize("bad", [None, At(0, math.nan), At(0, math.inf), At(0, -math.inf)])
def test_points_outside_and_values_that_are_no_numbers_are_passed_over(bad):
    found = armijo(lambda t: bad if t > 0.3 else At(t, -t), 0.0, -1.0)
    assert found.length == 0.25


def test_where_nothing_falls_there_is_no_point():
    assert armijo(lambda t: At(t, t), 0.0, -1.0, trials=7) == (None, 0.0, 7)
    assert armijo(lambda t: At(t, -t), 0.0, 1.0) == (None, 0.0, 0)
    assert armijo(lambda t: At(t, -t), 0.0, math.nan).point is None


def test_a_rise_within_the_noise_is_none_and_below_the_noise_the_other_judge_decides():
    def flat(t):
        return At(t, 1e-12)

    assert armijo(flat, 0.0, -1e-13).point is None
    assert armijo(flat, 0.0, -1e-13, noise=1e-11).length == 1
    assert armijo(flat, 0.0, -1e-13, noise=1e-11, drowned=lambda at: at.x < 0.3).length == 0.25
    risen = armijo(lambda t: At(t, 1.0), 0.0, -1.0, noise=1e-11, drowned=lambda at: True, trials=9)
    assert risen.point is None  # the slope promises more than noise: values decide
