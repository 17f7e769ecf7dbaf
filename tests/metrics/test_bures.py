"""The Bures metric: closed forms of scipy, maps that push forward, mixtures against the transport of components."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linprog

import jko
from jko.metrics import BuresWasserstein, normal_map
from tests.registry import law, laws


def by_roots(a, b):
    """The squared distance by matrix square roots."""
    A, B = a.S.numpy(), b.S.numpy()
    root = sqrtm(A).real
    cross = np.trace(sqrtm(root @ B @ root).real)
    return float((a.m - b.m).square().sum()) + np.trace(A) + np.trace(B) - 2 * cross


@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_the_distance_is_that_of_square_roots_and_its_map_pushes_forward(d):
    a, b = law(1, d), law(2, d)
    assert jko.distance(a, b).squared == pytest.approx(by_roots(a, b), rel=1e-8)
    T = normal_map(a, b)
    torch.testing.assert_close(T @ a.S @ T, b.S)
    assert bool((torch.linalg.eigvalsh(T) > 0).all())
    moved = a.support @ T.T + (b.m - T @ a.m)
    far = float(a.atoms.integrate((moved - a.support).square().sum(1)))
    assert far == pytest.approx(jko.distance(a, b).squared, rel=1e-10)


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-11])
def test_small_moves_keep_their_digits(size):
    a = law(0, 3)
    T = (
        torch.eye(3).double()
        + size * torch.tensor([[1.0, 0.2, 0], [0.2, -1, 0], [0, 0, 2]]).double()
    )
    S = T @ a.S @ T
    b = jko.Gaussian(a.m, 0.5 * (S + S.T))
    wanted = float(((T - torch.eye(3)) @ a.S @ (T - torch.eye(3))).trace())
    assert jko.distance(a, b).squared == pytest.approx(wanted, rel=20 * 2e-16 / size + 1e-9)


def test_the_cost_has_the_slope_of_the_map():
    base, state = law(0), law(4)
    m, S = (t.clone().requires_grad_() for t in (state.m, state.S))
    cost = BuresWasserstein().cost(jko.Gaussian(m, 0.5 * (S + S.T)), base)
    slopes = torch.autograd.grad(cost, (m, S))
    torch.testing.assert_close(slopes[0], 2 * (state.m - base.m))
    back = normal_map(state, base)  # of |x - T x|^2 in S: I - T
    torch.testing.assert_close(slopes[1], torch.eye(2).double() - back)


def test_mixtures_are_compared_by_the_transport_of_their_components():
    a, b = laws(0, 3), laws(1, 4)
    part = lambda mix, k: jko.Gaussian(mix.means[k], mix.covariances[k])  # noqa: E731
    costs = np.array([[by_roots(part(a, i), part(b, j)) for j in range(4)] for i in range(3)])
    rows = np.kron(np.eye(3), np.ones(4)), np.kron(np.ones(3), np.eye(4))
    solved = linprog(costs.ravel(), A_eq=np.vstack(rows), b_eq=np.concatenate([a.masses, b.masses]))
    found = jko.distance(a, b)
    assert found.squared == pytest.approx(solved.fun, rel=1e-8)
    assert found.exact
    clouds = [
        mix.sample(300, generator=torch.Generator().manual_seed(k)) for k, mix in enumerate((a, b))
    ]
    assert jko.distance(*clouds).value < 1.2 * found.value  # W2 is below, up to sampling
    assert (
        float(BuresWasserstein().cost(laws(1), laws(0))) >= jko.distance(laws(1), laws(0)).squared
    )


def test_a_law_is_a_mixture_of_one_and_two_halves_are_a_whole():
    a, b = law(0), law(1)
    one = jko.GaussianMixture(b.m[None], b.S[None])
    halves = jko.GaussianMixture(b.m.expand(2, -1), b.S.expand(2, -1, -1), [0.5, 0.5])
    for other in (one, halves):
        assert jko.distance(a, other).value == pytest.approx(jko.distance(a, b).value, rel=1e-12)


@pytest.mark.parametrize(
    "pair",
    [(law(0), law(1)), (laws(0), laws(1)), (laws(0, 2), laws(1, 3))],
    ids=["laws", "K", "KL"],
)
def test_geodesics_have_constant_speed(pair):
    a, b = pair
    far = jko.distance(a, b).value
    middle, later = (jko.geodesic(a, b, t) for t in (0.3, 0.8))
    assert type(middle) is type(a)
    assert jko.distance(a, middle).value == pytest.approx(0.3 * far, rel=1e-8)
    assert jko.distance(middle, later).value == pytest.approx(0.5 * far, rel=1e-8)
    assert jko.distance(jko.geodesic(a, b, 1.0), b).value < 1e-6


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="dimension"):
        jko.distance(law(0, 2), law(0, 3))
    with pytest.raises(TypeError, match="two kinds of state"):
        jko.distance(law(0), law(0).to_particles())
    with pytest.raises(TypeError, match="to_particles"):
        jko.Wasserstein().distance(law(0), law(1))
    with pytest.raises(ValueError, match="3 components but base has 2"):
        BuresWasserstein().cost(laws(0, 3), laws(0, 2))


@pytest.mark.parametrize(
    "pair", [(law(0), law(1)), (laws(0, 2), laws(1, 3))], ids=["laws", "mixtures"]
)
def test_the_square_is_differentiable_in_means_covariances_and_masses(pair):
    a, b = pair
    names = ("m", "S") if isinstance(a, jko.Gaussian) else ("means", "covariances", "masses")
    leaves = {name: getattr(a, name).clone().requires_grad_() for name in names}

    def value(**fields):
        return jko.metrics.squared_distance(type(a)(**fields), b)

    slopes = torch.autograd.grad(value(**leaves), list(leaves.values()))
    assert value(**leaves).item() == pytest.approx(jko.distance(a, b).squared, rel=1e-12)
    for name, slope in zip(names, slopes, strict=True):
        here = getattr(a, name)
        move = torch.randn(here.shape, generator=torch.Generator().manual_seed(5)).double()
        if name == "masses":
            move = move - move.mean()
        elif name in ("S", "covariances"):
            move = move + move.mT
        up, down = (
            float(value(**{n: getattr(a, n) + (h * move if n == name else 0) for n in names}))
            for h in (1e-6, -1e-6)
        )
        assert float((slope * move).sum()) == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-7)
