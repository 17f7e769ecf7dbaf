"""Conjugate gradients solve what elimination solves, in as many products as there are eigenvalues."""

import numpy as np
import pytest
import torch

from jko.numerics.krylov import conjugate_gradients, gmres


def matrix(n, seed=0, values=None):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return Q @ np.diag(rng.uniform(1, 100, n) if values is None else values) @ Q.T, rng.normal(
        size=n
    )


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("natural", [False, True])
def test_the_solution_is_that_of_elimination_for_arrays_and_tensors(kind, natural):
    A, b = matrix(30)
    right = kind(b.copy())
    found = conjugate_gradients(
        lambda v: kind(A) @ v,
        right,
        lambda r: r / kind(np.diag(A).copy()),
        1e-11,
        200,
        natural=natural,
    )
    assert type(found.x) is type(right)
    assert found.positive
    assert found.products < 100
    np.testing.assert_allclose(np.asarray(found.x), np.linalg.solve(A, b), rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(np.asarray(right), b)


def test_as_many_products_as_different_eigenvalues_are_enough():
    A, b = matrix(40, values=np.repeat([1.0, 7.0, 50.0, 90.0], 10))
    assert conjugate_gradients(lambda v: A @ v, b, lambda r: r, 1e-9, 40).products == 4


def test_the_preconditioner_that_is_the_inverse_needs_one_product():
    A, b = matrix(20)
    assert (
        conjugate_gradients(lambda v: A @ v, b, np.linalg.inv(A).__matmul__, 1e-8, 9).products == 1
    )


def test_it_stops_at_the_residual_asked_for_and_at_the_products_allowed():
    A, b = matrix(60)
    loose = conjugate_gradients(lambda v: A @ v, b, lambda r: r, 1.0, 500)
    assert 0 < np.abs(b - A @ loose.x).sum() <= 1.0
    assert conjugate_gradients(lambda v: A @ v, b, lambda r: r, 1e-12, 5).products == 5
    assert not conjugate_gradients(lambda v: A @ v, 0 * b, lambda r: r, 0.0, 5).x.any()


def test_a_direction_without_curvature_is_said():
    A, b = matrix(10, values=[-1.0, *range(1, 10)])
    assert not conjugate_gradients(lambda v: A @ v, b, lambda r: r, 1e-12, 50).positive


def test_the_natural_norm_does_not_depend_on_units():
    A, b = matrix(25)
    units = np.logspace(-6, 6, 25)
    here = conjugate_gradients(lambda v: A @ v, b, lambda r: r / np.diag(A), 1e-3, 99, natural=True)
    B = A * units * units[:, None]
    there = conjugate_gradients(
        lambda v: B @ v, units * b, lambda r: r / np.diag(B), 1e-3, 99, natural=True
    )
    assert here.products == there.products
    np.testing.assert_allclose(there.x * units, here.x, rtol=1e-6)


@pytest.mark.parametrize("restart", [7, 100])
def test_gmres_solves_what_elimination_solves_in_any_inner_product(restart):
    generator = torch.Generator().manual_seed(4)
    A = torch.eye(40).double() + 0.1 * torch.randn(40, 40, generator=generator).double()
    right = torch.randn(20, 2, generator=generator).double()
    weights = torch.rand(20, 1, generator=generator).double() + 0.1

    def product(v):
        return (A @ v.flatten()).view(20, 2)

    def inner(u, v):
        return (u * weights).flatten(1) @ v.flatten(1).T

    found = gmres(product, right, inner, 1e-12, restart, cycles=50)
    assert torch.allclose(found.flatten(), torch.linalg.solve(A, right.flatten()), atol=1e-10)


def test_gmres_stops_where_nothing_is_left():
    right = torch.tensor([[1.0, 2.0]]).double()
    found = gmres(lambda v: 2 * v, right, lambda u, v: u.flatten(1) @ v.flatten(1).T, 1e-12)
    assert torch.equal(found, right / 2)
    nothing = torch.zeros(1, 2).double()
    assert torch.equal(gmres(lambda v: v, nothing, lambda u, v: u[0] @ v[0].T, 1e-12), nothing)
