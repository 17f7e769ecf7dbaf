"""Banded systems with a factor of few columns are solved as the full ones are; what is not definite has no solution."""

import math

import numpy as np
import pytest
from scipy.linalg import solveh_banded

from jko.numerics.banded import Banded


def matrix(n, width, columns, seed=0):
    """A definite one, and all its entries, put together by hand."""
    rng = np.random.default_rng(seed + n)
    bands = [
        rng.uniform(4, 5, n),
        *(rng.uniform(-1, 1, max(n - k, 0)) for k in range(1, width + 1)),
    ]
    A = rng.standard_normal((n, columns)) if columns else None
    full = np.zeros((n, n))
    for k, band in enumerate(bands):
        for i, entry in enumerate(band):
            full[i + k, i] = full[i, i + k] = entry
    return Banded.of(*bands, factor=A), full if A is None else full + A @ A.T, rng


CASES = [
    (n, b, r) for n in (1, 2, 9, 40) for b in (0, 1, 2, 3) for r in (0, 2, 50) if b < max(n, 2)
]


@pytest.mark.parametrize(("n", "width", "columns"), CASES)
def test_products_and_solutions_are_those_of_the_full_matrix(n, width, columns):
    T, full, rng = matrix(n, width, columns)
    right, many = rng.standard_normal(n), rng.standard_normal((n, 3))
    np.testing.assert_allclose(T.full(), full, atol=1e-12)
    np.testing.assert_allclose(T @ right, full @ right, atol=1e-12)
    np.testing.assert_allclose(T.solve(right), np.linalg.solve(full, right), atol=1e-12)
    np.testing.assert_allclose(T.solve(many), np.linalg.solve(full, many), atol=1e-12)
    np.testing.assert_array_equal(T.diagonal, np.diag(full) if columns == 0 else T.bands[0])


@pytest.mark.parametrize("width", [1, 2, 4])
def test_without_a_factor_it_is_what_scipy_solves(width):
    T, _, rng = matrix(300, width, 0)
    right = rng.standard_normal(300)
    found = solveh_banded(T.bands, right, lower=True)
    np.testing.assert_allclose(T.solve(right), found, rtol=1e-12)


@pytest.mark.parametrize("columns", [0, 2])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_springs_between_unknowns_as_far_apart_as_the_band_is_wide(width, columns):
    T, full, rng = matrix(9, width, columns)
    springs = rng.uniform(0, 1, 9 - width)
    for i, spring in enumerate(springs):
        pair = [i, i + width]
        full[np.ix_(pair, pair)] += spring * np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(T.stiffer(springs).full(), full, atol=1e-12)


@pytest.mark.parametrize("columns", [0, 3, 40])
@pytest.mark.parametrize("width", [0, 1, 2])
def test_held_unknowns_take_no_part(width, columns):
    T, full, rng = matrix(12, width, columns)
    right = rng.standard_normal(12)
    right[[1, 11]] = 0.0, 0.25
    free = np.delete(np.arange(12), [1, 11])
    expected = np.zeros(12)
    expected[free] = np.linalg.solve(full[np.ix_(free, free)], right[free])
    expected[11] = 0.25
    before = T.bands.copy()
    np.testing.assert_allclose(T.held([1, 11]).solve(right), expected, atol=1e-12)
    np.testing.assert_array_equal(T.bands, before)
    assert T.held([]) is T


@pytest.mark.parametrize("columns", [0, 1])
def test_a_matrix_that_is_not_definite_or_not_of_numbers_has_no_solution(columns):
    A = None if columns == 0 else np.zeros((3, 1))
    for wrong in (-1.0, 0.0, math.nan):
        diagonal, off = np.array([1.0, wrong, 1.0]), np.zeros(2)
        assert Banded.of(diagonal, factor=A).solve(np.ones(3)) is None
        assert Banded.of(diagonal, off, factor=A).solve(np.ones(3)) is None
        assert Banded.of(diagonal, off, np.zeros(1), factor=A).solve(np.ones(3)) is None
    assert Banded.of(np.array([1.0, 1.0]), np.array([2.0])).solve(np.ones(2)) is None
    assert Banded.of(np.array([-1.0]), np.array([])).solve(np.ones(1)) is None
    wide = np.full((3, 4), math.nan)
    assert Banded.of(np.ones(3), np.zeros(2), factor=wide).solve(np.ones(3)) is None


def test_one_factorisation_serves_many_right_sides():
    T, full, rng = matrix(20, 2, 3)
    inverse = T.inverse()
    for _ in range(3):
        right = rng.standard_normal(20)
        np.testing.assert_allclose(full @ inverse(right), right, atol=1e-12)
