"""The divergence between normal laws, against that of torch, and against the energy whose minimum it measures."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from jko import exact


def random(rng, d):
    M = rng.standard_normal((d, d))
    return rng.standard_normal(d), M @ M.T + 0.1 * np.eye(d)


@pytest.mark.parametrize("d", [1, 2, 5, 12])
def test_the_divergence_is_that_of_torch_and_of_the_energy(d):
    rng = np.random.default_rng(d)
    (m, S), (n, T) = random(rng, d), random(rng, d)
    laws = [MultivariateNormal(torch.tensor(a), torch.tensor(A)) for a, A in ((m, S), (n, T))]
    found = exact.gaussian_divergence(m, S, n, T)
    assert found == pytest.approx(float(kl_divergence(*laws)), rel=1e-9)
    A, beta = np.linalg.inv(T), 1.0  # N(n, T) is at rest under 1/2 (x - n) A (x - n)
    above = [exact.gaussian_energy(a, B, A=A, centre=n, beta=beta) for a, B in ((m, S), (n, T))]
    assert found == pytest.approx(above[0] - above[1], rel=1e-8)
    assert exact.gaussian_divergence(m, S, m, S) == pytest.approx(0, abs=1e-12)


def test_what_has_no_divergence_is_refused():
    with pytest.raises(ValueError, match="singular"):
        exact.gaussian_divergence([0.0], [[0.0]], [0.0], [[1.0]])
    with pytest.raises(ValueError, match="star_mean"):
        exact.gaussian_divergence([0.0], [[1.0]], [0.0, 1.0], [[1.0]])
