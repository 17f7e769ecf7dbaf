"""What is no array of real numbers is refused by its kind, with the remedy; what is one is taken, however it comes."""

import decimal
import fractions
import warnings

import numpy as np
import pytest
import torch

import jko
from jko import checks, exact


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop them
        return torch.quantize_per_tensor(torch.zeros(1, 1), 0.1, 0, torch.qint8)


ARRAYS = {
    "sparse": (lambda: torch.eye(2).to_sparse(), TypeError, r"points is a sparse tensor.*to_dense"),
    "meta": (lambda: torch.empty(2, 2, device="meta"), TypeError, r"device 'meta'.*'cpu'"),
    "quantised": (quantised, TypeError, r"quantised.*dequantize"),
    "bfloat16": (lambda: torch.ones(1, 1, dtype=torch.bfloat16), TypeError, r"bfloat16; use"),
    "complex": (lambda: np.array([[1 + 5j]]), TypeError, r"complex numbers.*points\.real"),
    "masked": (lambda: np.ma.array([[1.0, 9.0]], mask=[[0, 1]]), TypeError, r"masked.*filled"),
    "masked rows": (lambda: [np.ma.array([1.0], mask=[1])], TypeError, r"masked"),
    "dates": (lambda: np.array([["2020-01-01"]], "M8[D]"), TypeError, r"dates; pass numbers"),
    "durations": (lambda: np.array([[1]], "m8[s]"), TypeError, r"durations; divide"),
    "text": (lambda: [["1", "2"]], TypeError, r"text; if it holds numbers, convert"),
    "records": (lambda: np.zeros((1, 1), dtype=[("a", float)]), TypeError, r"records"),
    "objects": (
        lambda: [[1.0, None]],
        TypeError,
        r"an entry of points must be a number, not NoneType",
    ),
    "a set": (lambda: {1.0}, TypeError, r"nested lists of numbers, not set"),
    "ragged": (lambda: [[1.0], [2.0, 3.0]], TypeError, r"nested lists of numbers, not list"),
    "a graph in a list": (
        lambda: [torch.ones(1, requires_grad=True)] * 2,
        TypeError,
        r"nested lists of numbers",
    ),
    "huge integers": (lambda: [[10**400]], ValueError, r"finite number at most 1e\+300"),
    "beyond the range": (lambda: [[1e301]], ValueError, r"size 1e\+301; at most 1e\+300"),
    "beyond that of float32": (lambda: torch.full((1, 1), 1e37), ValueError, r"at most 1e\+36"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_what_is_no_array_of_real_numbers_is_refused_by_its_kind(kind):
    make, error, sentence = ARRAYS[kind]
    with pytest.raises(error, match=sentence) as refusal:
        jko.Particles(make())
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "points",
    [
        [[2**70, 1]],
        [[fractions.Fraction(1, 3), decimal.Decimal("0.5")]],
        np.array([[1, 2]], dtype=np.uint8),
        np.ma.array([[1.0, 2.0]]),
        [[np.float32(1.5), np.longdouble(2)]],
        torch.tensor([[1, 2]]),
        [torch.tensor([1.0, 2.0])],
        np.array([[True, False]]),
        [[1e300, 5e-324]],
    ],
)
def test_real_numbers_are_taken_however_they_come(points):
    taken = jko.Particles(points).points
    assert taken.dtype == torch.float64
    assert taken.shape == (1, 2)
    rows = points.tolist() if hasattr(points, "tolist") else [list(row) for row in points]
    assert taken[0].tolist() == [float(entry) for entry in rows[0]]


NUMBERS = {
    "truth": (True, TypeError, r"tau must be a number, not True; pass 1 if"),
    "numpy's truth": (np.bool_(True), TypeError, r"not True"),
    "torch's truth": (torch.tensor(True), TypeError, r"not True"),
    "text": ("2", TypeError, r"tau must be a number, not str \('2'\)"),
    "complex": (1j, TypeError, r"not complex"),
    "duration": (np.timedelta64(2, "s"), TypeError, r"not timedelta64"),
    "an array": (np.ones(1), TypeError, r"not ndarray \(shape \(1,\)"),
    "nothing": (decimal.Decimal("nan"), ValueError, r"finite number > 0"),
    "huge": (10**5000, ValueError, r"tau = a int; .* at most 1e\+300"),
    "large": (2e300, ValueError, r"tau = 2e\+300; its size must be at most 1e\+300"),
    "small": (1e-301, ValueError, r"tau = 1e-301; its size must be at least 1e-300"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_what_is_no_number_is_refused_by_its_kind(kind):
    value, error, sentence = NUMBERS[kind]
    with pytest.raises(error, match=sentence):
        jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=value)


@pytest.mark.parametrize(
    "tau", [1, np.float32(1), torch.tensor(1.0), np.array(1.0), fractions.Fraction(1)]
)
def test_one_is_one_whoever_says_it(tau):
    step = jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=tau)
    assert abs(float(step.state.points[0, 0]) - 0.5) < 1e-9


DOORS = {
    "ball of a matrix": (
        lambda: jko.Ball([[0.0, 0.0]], 1.0),
        ValueError,
        r"centre has shape \(1, 2\)",
    ),
    "box of nothing": (lambda: jko.Box([], []), ValueError, r"dim >= 1"),
    "box of text": (lambda: jko.Box("a", "b"), TypeError, r"lower must be"),
    "box without number": (
        lambda: jko.Box(np.nan, 1.0),
        ValueError,
        r"lower has 1 entries.*\(NaN\)",
    ),
    "cylinder over 5": (
        lambda: jko.spaces.Cylinder(5),
        TypeError,
        r"base must be Domain, not int \(5\)",
    ),
    "projection 5": (lambda: jko.spaces.Convex(5), TypeError, r"projection must be callable"),
    "uniform in 5": (
        lambda: jko.Particles.uniform(3, 5, generator=torch.Generator()),
        TypeError,
        r"box must be Box or Torus, not int \(5\)",
    ),
    "generator 5": (
        lambda: jko.Particles.normal(3, 2, generator=5),
        TypeError,
        r"generator must be Generator.*manual_seed",
    ),
    "more than memory": (
        lambda: jko.Particles.normal(2**40, 2, generator=torch.Generator()),
        ValueError,
        r"N = 1099511627776, dim = 2 makes .* take fewer",
    ),
    "cells without width": (
        lambda: jko.Grid((1e16, 1e16 + 4), 100),
        ValueError,
        r"use fewer cells",
    ),
    "cells without volume": (
        lambda: jko.Grid((0.0, 1e-150), (2, 2, 2)),
        ValueError,
        r"volume 0; it must lie between",
    ),
    "a thin cell": (
        lambda: jko.LineMesh([0.0, 1e-310], [1.0]),
        ValueError,
        r"the density masses / width has 1 entries",
    ),
    "one edge": (lambda: jko.LineMesh([0.0], []), ValueError, r"at least one cell"),
    "density without arguments": (
        lambda: jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 2), lambda: 1),
        TypeError,
        r"the density function cannot be called with 1 argument",
    ),
    "metric by name": (
        lambda: jko.distance(jko.Particles([[0.0]]), jko.Particles([[1.0]]), metric="W2"),
        TypeError,
        r"metric must be Metric, not str \('W2'\)",
    ),
    "solver as a class": (
        lambda: jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, solver=jko.LBFGS),
        TypeError,
        r"the class LBFGS",
    ),
    "an energy as a class": (
        lambda: jko.diagnostics.speed(jko.SquaredNorm, jko.Particles([[1.0]])),
        TypeError,
        r"the class SquaredNorm itself: call it",
    ),
    "no state": (
        lambda: jko.diagnostics.speed(jko.SquaredNorm(), [[1.0]]),
        TypeError,
        r"state must be Particles.*not list",
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_what_it_wants(door):
    act, error, sentence = DOORS[door]
    with pytest.raises(error, match=sentence):
        act()


def test_the_size_of_a_message_does_not_grow_with_its_value():
    long = "x" * 10**6
    with pytest.raises(TypeError) as refusal:
        jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=long)
    assert len(str(refusal.value)) < 300
    assert len(checks.shown([[1.0] * 1000] * 1000)) <= 60


def test_an_integer_or_a_float32_from_a_function_is_cast():
    grid = jko.Grid((0.0, 2.0), 2)
    for value in (
        lambda x: (x[:, 0] > 1) * 1.0,
        lambda x: (x[:, 0] > 1).int(),
        lambda x: x[:, 0] > 1,
    ):
        assert jko.GridDensity.from_function(grid, value).values.tolist() == [0.0, 1.0]


def test_densities_are_normalised_at_every_size():
    grid = jko.Grid((0.0, 1.0), 4)
    plain = jko.GridDensity.from_function(grid, lambda x: 1 + x[:, 0]).values
    for size in (1e-300, 2.0**500, 1e299):
        there = jko.GridDensity.from_function(grid, lambda x, s=size: s * (1 + x[:, 0])).values
        assert torch.allclose(there, plain, rtol=1e-15, atol=0)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_a_ball_projects_at_every_size(size):
    ball = jko.Ball([0.0, 0.0], size)
    points = size * torch.tensor([[3e-1, 4e-1], [0.0, 0.6], [-0.6, -0.8]], dtype=torch.float64)
    assert torch.equal(ball.project(0.5 * points), 0.5 * points)
    outside = 1e-9 * torch.tensor([[3.0, 4.0]], dtype=torch.float64) * size * 1e9 / 4
    at = ball.project(outside)
    assert torch.allclose(at / size, torch.tensor([[0.6, 0.8]], dtype=torch.float64))
    assert abs(float(ball.distance(outside)[0]) / size - 0.25) < 1e-12


FORMULAS = {
    "a step without minimum": (
        lambda: exact.quadratic_step(1.0, a=-2.0, c=0.0, tau=1.0),
        r"1 \+ tau a goes down to -1: the step has no minimum",
    ),
    "shapes": (
        lambda: exact.quadratic_flow([1.0, 2.0], a=1.0, c=[1.0, 2.0, 3.0], t=1.0),
        r"shapes of xi \(2,\), c \(3,\) do not broadcast",
    ),
    "overflow": (lambda: exact.squared_distance_swap(1e300, 1e300), r"leaves the range of float64"),
    "overflow in numpy": (
        lambda: exact.quadratic_flow(1.0, a=-1e3, c=0.0, t=1e3),
        r"leaves the range of float64",
    ),
    "a negative variance": (
        lambda: exact.gaussian_step([0.0], [[-1.0]], beta=0.1, tau=1.0),
        r"covariance has the eigenvalue -1",
    ),
    "a Dirac mass has no density": (
        lambda: exact.gaussian([[0.0]], [0.0], [[0.0]]),
        r"covariance is singular",
    ),
    "sizes": (
        lambda: exact.gaussian_step([0.0, 0.0], [[1.0]], beta=0.1, tau=1.0),
        r"covariance has shape \(1, 1\); it must have shape \(2, 2\)",
    ),
    "waves": (lambda: exact.squared_distance_square_waves(0.3), r"must be a whole number"),
    "a wall behind": (lambda: exact.wall_rest([0.5], beta=1.0, low=2.0), r"low < wall"),
    "a stiff flow": (
        lambda: exact.network_flow(
            [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], s2=1e9, target=1.0, lam=1.0, beta=0.0, t=1e9
        ),
        r"too stiff|could not be integrated",
    ),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_says_where_it_holds(formula):
    act, sentence = FORMULAS[formula]
    with pytest.raises(ValueError, match=sentence):
        act()


def test_a_balanced_flow_towards_zero_is_the_limit_of_others():
    limit = exact.linear_balanced_flow(0.5, s2=0.8, target=0.0, t=2.0)
    near = exact.linear_balanced_flow(0.5, s2=0.8, target=1e-9, t=2.0)
    assert abs(limit - 0.5 / (1 + 2 * 0.8 * 0.5 * 2.0)) < 1e-15
    assert abs(limit - near) < 1e-8


def test_python_says_what_is_missing_in_its_own_words():
    with pytest.raises(TypeError, match=r"quadratic_step\(\) missing"):
        exact.quadratic_step(1.0, a=1.0)
