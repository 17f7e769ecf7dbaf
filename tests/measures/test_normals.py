"""Normal laws and mixtures: nodes that integrate, densities that are exact, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import multivariate_normal

import jko
from jko import exact
from jko.measures import whitened
from tests.registry import law, laws

F64 = torch.float64


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 8, 12, 40])
def test_nodes_have_the_moments_of_the_standard_normal_law(dim):
    z, w = whitened.rule(1024, dim, torch.zeros(0, dtype=F64))
    assert len(z) <= 1024
    assert bool((w >= 0).all())
    assert float(w.sum()) == pytest.approx(1, abs=1e-13)
    torch.testing.assert_close(w @ z, torch.zeros(dim, dtype=F64), rtol=0, atol=1e-13)
    torch.testing.assert_close((w * z.T) @ z, torch.eye(dim, dtype=F64), rtol=0, atol=1e-12)
    torch.testing.assert_close(w @ z**3, torch.zeros(dim, dtype=F64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [5, 9, 31])
def test_products_are_exact_up_to_their_degree(n):
    z, w = whitened.rule(n**2, 2, torch.zeros(0, dtype=F64))
    moments = {0: 1, 2: 1, 4: 3, 6: 15, 8: 105}
    for p, q in [(8, 0), (4, 8), (2, 6), (3, 4)]:
        wanted = moments.get(p, 0) * moments.get(q, 0)
        assert float(w @ (z[:, 0] ** p * z[:, 1] ** q)) == pytest.approx(
            wanted, rel=1e-10, abs=1e-9
        )


def test_sequences_get_better_with_more_nodes():
    errors = []
    for nodes in (128, 2048, 2**15):
        mu = jko.Gaussian(np.zeros(10), np.eye(10), nodes=nodes)
        errors.append(abs(float(mu.integrate(mu.support.sum(1).cos())) - math.exp(-5)))
    assert errors[0] > 2 * errors[1] > 40 * errors[2]


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_the_density_is_that_of_scipy(d):
    mu, mix = law(3, d), [law(k, d) for k in range(3)]
    x = torch.randn(20, d, generator=torch.Generator().manual_seed(d)).double()
    found = mu.log_density(x).numpy()
    np.testing.assert_allclose(found, multivariate_normal(mu.m, mu.S).logpdf(x), rtol=1e-10)
    masses = torch.tensor([0.2, 0.5, 0.3], dtype=F64)
    both = jko.GaussianMixture(
        torch.stack([one.m for one in mix]), torch.stack([one.S for one in mix]), masses
    )
    parts = [multivariate_normal(one.m, one.S).pdf(x) for one in mix]
    np.testing.assert_allclose(both.log_density(x).exp(), masses.numpy() @ parts, rtol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 5, 12, 30])
def test_the_entropy_of_a_normal_law_is_closed_in_any_dimension(d):
    mu = jko.Gaussian(np.full(d, 0.3), np.diag(np.linspace(0.1, 2.0, d)) + 0.1)
    wanted = exact.gaussian_energy(mu.m, mu.S, beta=1.0)
    assert float(jko.Entropy()(mu)) == pytest.approx(wanted, rel=1e-12)
    slope = jko.Entropy().gradient(mu)
    torch.testing.assert_close(slope, -(mu.support - mu.m) @ torch.linalg.inv(mu.S))


@pytest.mark.parametrize("m", [0.8, 1.5, 2.0, 3.0])
def test_powers_of_a_normal_density_are_those_of_the_integral(m):
    E, s = jko.PorousMedium(m), 0.7
    wanted = m**-0.5 * (2 * math.pi * s**2) ** ((1 - m) / 2) / (m * (m - 1))
    mu = jko.Gaussian([1.0], [[s**2]])
    assert float(E(mu)) == pytest.approx(wanted, rel=1e-8)
    both = 0.5 * jko.Entropy() + E
    assert float(both(mu)) == pytest.approx(wanted + 0.5 * float(jko.Entropy()(mu)), rel=1e-8)


def test_the_entropy_of_a_mixture_is_that_of_its_nodes():
    mix = jko.GaussianMixture([[-1.0], [1.5]], [[[0.5]], [[0.3]]], [0.3, 0.7])

    def integrand(x):
        s = float(mix.log_density(torch.tensor([[x]], dtype=F64))[0])
        return s * math.exp(s)

    wanted = quad(integrand, -8, 8, epsabs=1e-12)[0]
    errors = [
        abs(
            float(jko.Entropy()(jko.GaussianMixture(mix.means, mix.covariances, mix.masses, n)))
            - wanted
        )
        for n in (8, 16, 64)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5
    far = jko.GaussianMixture([[-40.0], [40.0]], [[[0.5]], [[0.3]]], [0.3, 0.7])
    parts = [
        0.3 * exact.gaussian_energy([0.0], [[0.5]], beta=1.0),
        0.7 * exact.gaussian_energy([0.0], [[0.3]], beta=1.0),
    ]
    assert float(jko.Entropy()(far)) == pytest.approx(
        sum(parts) + 0.3 * math.log(0.3) + 0.7 * math.log(0.7), rel=1e-12
    )


def test_energies_are_differentiable_in_mean_and_covariance():
    m, S = (t.clone().requires_grad_() for t in (law().m, law().S))
    E = jko.SquaredNorm() + 0.3 * jko.Entropy()

    def value(m, S):
        return E(jko.Gaussian(m, 0.5 * (S + S.T), nodes=64))

    slopes = torch.autograd.grad(value(m, S), (m, S))
    torch.testing.assert_close(slopes[0], m.detach())
    wanted = 0.5 * torch.eye(2, dtype=F64) - 0.15 * torch.linalg.inv(S.detach())
    torch.testing.assert_close(slopes[1], wanted)


def test_moments_are_exact_and_samples_have_them():
    for mu in (law(2), laws(1)):
        torch.testing.assert_close(mu.mean(), mu.atoms.mean())
        torch.testing.assert_close(mu.covariance(), mu.atoms.covariance())
        cloud = mu.sample(40000, generator=torch.Generator().manual_seed(1))
        size = float(mu.covariance().trace()) ** 0.5
        assert float((cloud.mean() - mu.mean()).norm()) < 0.02 * size
        assert float((cloud.covariance() - mu.covariance()).norm()) < 0.05 * size**2


def test_float32_and_files_keep_the_kind(tmp_path):
    run = jko.flow(jko.SquaredNorm() + jko.Entropy(), laws(), tau=0.1, steps=2)
    back = jko.Trajectory.load(run.save(tmp_path / "run.npz"))
    assert torch.equal(back.final.covariances, run.final.covariances)
    assert torch.equal(back.final.masses, run.final.masses)
    assert isinstance(run.at(0.05), jko.GaussianMixture)
    short = run.final.float()
    assert short.atoms.points.dtype == torch.float32
    assert jko.flow(jko.SquaredNorm() + jko.Entropy(), short, tau=0.1, steps=1).status.ok


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: jko.Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "must be symmetric"),
        (lambda: jko.Gaussian([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]]), "has no density"),
        (lambda: jko.Gaussian([0.0], [[-2.0]]), "eigenvalue -2"),
        (lambda: jko.Gaussian([0.0], [[1.0]], nodes=3), "nodes = 3"),
        (lambda: jko.Gaussian(np.zeros(30), np.eye(30), nodes=100), "at least 120"),
        (lambda: jko.Gaussian([0.0, 1.0], [[1.0]]), "shape"),
        (lambda: jko.Gaussian([0.0], [[math.nan]]), "finite"),
        (lambda: jko.GaussianMixture([[0.0]], [[[1.0]]], [0.4]), "sums to 0.4"),
        (lambda: jko.GaussianMixture([[0.0], [1.0]], [[[1.0]]]), "shape"),
    ],
)
def test_what_is_no_normal_law_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
