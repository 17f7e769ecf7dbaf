"""The steps in time that all finite volumes share: their order, their length, and how they end."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from jko.limits.rungekutta import CellEquations, March, Slope, next_length

ONE = torch.ones(1, dtype=torch.float64)


class Decay(CellEquations[Slope]):
    """``U' = -U cos(t)``, U = e^{-sin t}; ``rate`` is the speed, ``wrong`` the error of a step over the allowed one."""

    safe: ClassVar[float] = 1.0
    least: ClassVar[float] = 1e-6
    longer: ClassVar[float] = math.inf
    remedy: ClassVar[str] = "Take less time"

    def __init__(self, rate=0.0, wrong=lambda dt: 0.0):
        self.rate, self.wrong, self.lengths = rate, wrong, []

    def __call__(self, t, U):
        return Slope(-U * math.cos(t), self.rate)

    def error(self, step):
        self.lengths.append(step.dt)
        return self.wrong(step.dt)

    def stuck(self, t, t1, bound):
        return f"stuck at {t:g}"


def test_the_stages_are_of_order_three_in_time_too():
    errors = []
    for rate in (10, 20, 40):
        U = March(Decay(rate), 2.0, 1000).solve(ONE, np.array([0.0, 2.0])).last
        errors.append(abs(float(U) - math.exp(-math.sin(2.0))))
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([3, 3], abs=0.15)


def test_the_time_to_the_next_kept_one_is_cut_into_equal_parts():
    cells = Decay(rate=10 / 3)
    march = March(cells, 1.0, 1000)
    course = march.solve(ONE, np.array([0.0, 0.25, 1.0]))
    assert cells.lengths == pytest.approx([0.25, 0.25, 0.25, 0.25])
    assert march.steps == 4
    assert course.times.tolist() == [0.0, 0.25, 1.0]
    assert (course.failure, course.rested) == (None, None)


def test_a_step_that_errs_too_much_is_made_again():
    cells = Decay(wrong=lambda dt: (dt / 0.1) ** 2)
    March(cells, 1.0, 1000).solve(ONE, np.array([0.0, 1.0]))
    accepted = [dt for dt in cells.lengths if dt <= 0.1]
    assert sum(accepted) == pytest.approx(1)
    assert max(cells.lengths[2:]) <= 0.1


@pytest.mark.parametrize(
    ("error", "length"), [(0.0, 5.0), (1.0, 0.9), (4.0, 0.45), (1e9, 0.2), (1e-9, 5.0)]
)
def test_the_next_length_goes_like_the_root_of_the_error(error, length):
    assert next_length(error, 5.0) == pytest.approx(length)


@pytest.mark.parametrize("wrong", [lambda dt: math.nan, lambda dt: 1.0 + dt])
def test_steps_that_never_fit_end_where_the_last_one_did(wrong):
    course = March(Decay(wrong=wrong), 1.0, 1000).solve(ONE, np.array([0.0, 1.0]))
    assert course.failure == "stuck at 0"
    assert course.times.tolist() == [0.0]


@pytest.mark.parametrize("speed", [math.nan, math.inf])
def test_a_speed_that_is_no_number_ends_it(speed):
    course = March(Decay(speed), 1.0, 1000).solve(ONE, np.array([0.0, 1.0]))
    assert course.failure == "stuck at 0"


def test_what_the_work_allows_is_kept():
    course = March(Decay(10), 1.0, 10).solve(ONE, np.array([0.0, 0.2, 1.0]))
    assert course.times == pytest.approx([0.0, 0.2, 0.3])
    assert torch.equal(course.rows[-1], course.last)
    assert "Take less time" in course.failure


def test_where_nothing_moves_the_rest_of_the_time_is_skipped():
    march = March(Decay(10), 1e9, 1)
    course = march.solve(0 * ONE, np.array([0.0, 1.0, 1e9]))
    assert (course.rested, march.steps, len(course.rows)) == (0.0, 0, 3)
