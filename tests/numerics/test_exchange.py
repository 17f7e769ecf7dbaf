"""Cells that exchange with their neighbours: the matrix, its cycle, and factorisations that are kept."""

import numpy as np
import pytest

from jko.numerics.exchange import Crossing, Exchange
from jko.numerics.reused import Reused, right_gmres

SHAPES = [((30,), (False,)), ((31,), (True,)), ((9, 14), (False, False)), ((12, 7), (True, False))]
SHAPES += [((1, 40), (False, True)), ((5, 6, 7), (False, True, False)), ((2, 9), (True, True))]
LARGE = [
    ((70, 50), (False, False)),
    ((33, 64), (True, False)),
    ((17, 16, 18), (False, True, False)),
]


def system(shape, wraps, seed=0, strength=30.0, symmetric=False):
    rng = np.random.default_rng(seed)
    crossings = []
    for k, round_ in enumerate(wraps):
        size = list(shape)
        size[k] -= not round_
        up = strength * rng.uniform(0.1, 1, size)
        crossings.append(
            Crossing(up, up if symmetric else strength * rng.uniform(0.1, 1, size), round_)
        )
    return Exchange(rng.uniform(0.5, 2, shape), tuple(crossings)), rng.standard_normal(shape)


def dense(M):
    N = M.s.size
    return np.array([M(e.reshape(M.s.shape)).ravel() for e in np.eye(N)]).T


@pytest.mark.parametrize(("shape", "wraps"), SHAPES)
def test_what_a_cell_loses_its_neighbours_gain(shape, wraps):
    M, x = system(shape, wraps)
    assert M(x).sum() == pytest.approx((M.s * x).sum(), abs=1e-10 * M.diagonal.max())
    A = dense(M)
    assert (
        np.abs(np.diag(A) - M.diagonal.ravel()).max() < 1e-12 * A.max() or 1 in shape or 2 in shape
    )
    assert (A - np.diag(np.diag(A)) <= 0).all()


@pytest.mark.parametrize(("shape", "wraps"), SHAPES + LARGE)
def test_systems_are_solved_whatever_their_shape(shape, wraps):
    reused = Reused()
    for seed in range(3):  # the second and third with the inverse of the first
        M, r = system(shape, wraps, seed)
        x = reused.solve(M, None, r, lambda: np.ones(shape), 1e-12)
        assert np.abs(M(x) - r).max() < 1e-9 * np.abs(r).max()


@pytest.mark.parametrize("strength", [1.0, 1e3, 1e6])
@pytest.mark.parametrize(("shape", "wraps"), LARGE)
def test_the_cycle_converges_whatever_the_strength(shape, wraps, strength):
    M, r = system(shape, wraps, strength=strength, symmetric=True)
    x, products = right_gmres(M, r, M.cycle, 1e-6, 30)
    assert products <= 20
    assert np.linalg.norm(M(x) - r) <= 1.1e-6 * np.linalg.norm(r)


def test_on_the_line_a_cycle_is_the_solution():
    M, r = system((1000,), (False,), strength=1e4)
    assert np.abs(M(M.cycle(r)) - r).max() < 1e-9


def test_other_unknowns_give_the_same_solution():
    M, r = system((9, 14), (True, False))
    w = np.random.default_rng(1).uniform(1, 5, (9, 14))
    assert np.abs(M.scaled(w)(r) - M(w * r)).max() < 1e-12 * M.diagonal.max()


def test_what_couples_all_cells_is_in_the_solution_but_not_in_the_inverse():
    M, r = system((16, 16), (False, False))
    v = np.random.default_rng(2).standard_normal((16, 16))
    far = lambda x: 5 * v * (v * x).sum()  # noqa: E731
    reused = Reused()
    x = reused.solve(M, far, r, lambda: np.ones((16, 16)), 1e-11)
    assert np.abs(M(x) + far(x) - r).max() < 1e-8
    assert reused.made == 1


def test_an_inverse_is_made_anew_where_it_no_longer_helps():
    reused = Reused()
    for strength in (1.0, 1e4):
        M, r = system((20, 20), (False, False), strength=strength)
        x = reused.solve(M, None, r, lambda: np.ones((20, 20)), 1e-10)
        assert np.abs(M(x) - r).max() < 1e-7
    assert reused.made == 2


def test_gmres_says_where_it_did_not_converge():
    M, r = system((20, 20), (False, False), strength=1e4)
    assert right_gmres(M, r, lambda x: x, 1e-10, 5)[1] == 6
    assert right_gmres(M, 0 * r, lambda x: x, 1e-10, 5)[1] == 0
