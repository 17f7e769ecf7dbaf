"""The sliced distance: exact on every line, a metric, and its slope is that of its values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko

AXES = jko.metrics.SlicedWasserstein([[1.0, 0.0], [0.0, 1.0]])


def weighted(seed, N, dim):
    generator = np.random.default_rng(seed)
    return jko.Particles(generator.normal(size=(N, dim)), generator.dirichlet(np.ones(N)))


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_in_dimension_one_it_is_w2(seed, N, M):
    a, b = weighted(seed, N, 1), weighted(seed + 1, M, 1)
    metric = jko.metrics.SlicedWasserstein(3, generator=torch.Generator().manual_seed(0))
    assert metric.distance(a, b).value == pytest.approx(jko.distance(a, b).value, rel=1e-7)


@given(st.integers(0, 10**6))
def test_it_is_symmetric_and_keeps_the_triangle(seed):
    a, b, c = (weighted(seed + k, 3 + k, 2) for k in range(3))
    ab, ba, bc, ac = (AXES.distance(p, q).value for p, q in ((a, b), (b, a), (b, c), (a, c)))
    assert ab == pytest.approx(ba)
    assert ac <= (ab + bc) * (1 + 1e-12)
    assert AXES.distance(a, a).value == 0


def test_its_square_is_the_mean_over_the_axes_and_below_that_of_w2():
    a, b = weighted(1, 5, 2), weighted(2, 7, 2)
    parts = [
        jko.distance(*(jko.Particles(s.points[:, k : k + 1], s.weights) for s in (a, b))).squared
        for k in (0, 1)
    ]
    assert AXES.distance(a, b).squared == pytest.approx(np.mean(parts))
    assert AXES.distance(a, b).squared <= 0.5 * jko.distance(a, b).squared


def test_equal_weights_take_the_short_way_to_the_same_number():
    a, b = (jko.Particles(np.random.default_rng(k).normal(size=(6, 2))) for k in (0, 1))
    doubled = jko.Particles(a.points.repeat(2, 1))
    assert AXES.distance(a, b).value == pytest.approx(AXES.distance(doubled, b).value)


@pytest.mark.parametrize("weights", [None, [0.1, 0.2, 0.3, 0.4]])
def test_the_slope_is_that_of_the_values(weights):
    generator = np.random.default_rng(0)
    a, b = (jko.Particles(generator.normal(size=(4, 2)), weights) for _ in range(2))
    points = a.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(AXES.cost(a.moved(points), b), points)
    move = torch.from_numpy(generator.normal(size=(4, 2)))
    values = [float(AXES.cost(a.moved(a.points + h * move), b)) for h in (1e-5, -1e-5)]
    assert float((slope * move).sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-8)


def test_its_plan_is_a_coupling_along_which_a_geodesic_goes():
    a, b = weighted(3, 4, 2), weighted(4, 6, 2)
    found = AXES.distance(a, b)
    rows, cols = found.plan.marginals()
    assert rows == pytest.approx(a.weights.numpy())
    assert cols == pytest.approx(b.weights.numpy())
    assert found.plan.cost(a.points.numpy(), b.points.numpy()) >= jko.distance(a, b).squared
    middle = jko.geodesic(a, b, 0.5, metric=AXES)
    assert middle.mean() == pytest.approx(0.5 * (a.mean() + b.mean()))


def test_drawn_directions_are_those_of_their_generator():
    first, again, other = (
        jko.metrics.SlicedWasserstein(4, generator=torch.Generator().manual_seed(k)).lines(
            torch.zeros(1, 3)
        )
        for k in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.norm(dim=1) == pytest.approx(torch.ones(4))
