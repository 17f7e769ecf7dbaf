"""Features of many data are compressed by random directions, as well as by all singular values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jko
from jko.energies import parts
from jko.energies.directions import FEW, main_directions


def matrix(r, N, values, seed):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, len(values))))[0] for n in (r, N))
    return torch.from_numpy(left * np.asarray(values) @ right.T)


@settings(max_examples=15)
@given(
    st.integers(FEW + 1, 700),
    st.integers(300, 2500),
    st.floats(0.2, 3.0),
    st.floats(1e-7, 1e-2),
    st.integers(0, 99),
)
def test_what_is_left_out_is_below_the_bound(r, N, decay, rtol, seed):
    values = 10.0 ** (-decay * np.arange(60))
    A = matrix(r, N, values, seed)
    W = main_directions(A, rtol)
    assert torch.allclose(W.T @ W, torch.eye(W.shape[1]).double(), atol=1e-12)
    left = float(torch.linalg.matrix_norm(A - W @ (W.T @ A), 2))
    assert left <= 2**0.5 * rtol + 1e-12
    kept = int((values > rtol).sum())
    assert kept - 1 <= W.shape[1] <= kept + 1
    assert torch.equal(W, main_directions(A, rtol))


@pytest.mark.parametrize(
    "rank", [5, 64, 300]
)  # few, several blocks, too many for random directions
def test_the_range_is_that_of_the_singular_vectors(rank):
    A = matrix(320, 900, np.linspace(1.0, 2.0, rank), rank)
    W = main_directions(A, 1e-7)
    U = torch.linalg.svd(A, full_matrices=False).U[:, :rank]
    assert W.shape == U.shape
    assert torch.allclose(W @ W.T, U @ U.T, atol=1e-9)


def test_a_risk_of_many_data_is_the_risk():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(600, 1, generator=generator, dtype=torch.float64)
    risk = jko.Risk(
        jko.Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T),
    )
    grid = jko.Grid((-4.0, 4.0), (24, 20))
    rho = jko.GridDensity.from_function(grid, lambda xi: (-0.5 * xi.square().sum(-1)).exp())
    few, m = parts(risk, rho).compressed(), rho.weights
    assert len(few.features) < 40
    assert few.value(m) == pytest.approx(float(risk(rho)), rel=1e-10)
    assert torch.allclose(few.slope(m), risk.variation(rho), atol=1e-7)
