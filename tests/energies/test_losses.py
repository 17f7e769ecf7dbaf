"""Losses: differences of their values, Fenchel and Young, and risks of k outputs against a network written out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.energies import Loss, SquaredLoss
from jko.energies.gauss_newton import product
from jko.networks import Outputs


class Own(Loss):
    """Of a user, who wrote its value alone."""

    def value(self, y, f):
        return (1 + ((y - f) ** 2 if y.ndim == 1 else ((y - f) ** 2).sum(1))).sqrt() - 1


LOSSES = {"squared": SquaredLoss(), "logistic": jko.Logistic(), "own": Own()}


def targets(loss, M, k, rng):
    """Some of its own: numbers, signs, classes, or shares of classes."""
    if loss != "logistic":
        return rng.standard_normal((M, k) if k else M)
    if not k:
        return rng.choice([-1.0, 1.0], M)
    return np.eye(k)[rng.integers(0, k, M)] if rng.integers(2) else rng.dirichlet(np.ones(k), M)


def outputs(loss, k, M, seed):
    """A loss, outputs (M,) or (M, k), targets."""
    rng = np.random.default_rng(seed)
    f = torch.from_numpy(targets(loss, M, k, rng))
    return LOSSES[loss], torch.from_numpy(2 * rng.standard_normal(f.shape)), f


found = st.builds(
    outputs,
    st.sampled_from(sorted(LOSSES)),
    st.integers(0, 4),
    st.integers(1, 5),
    st.integers(0, 99),
)


def inner(a, b):
    return (a * b).reshape(len(a), -1).sum(1)


@given(found)
def test_slope_and_factor_are_differences(case):
    loss, y, f = case
    v = torch.from_numpy(np.random.default_rng(1).standard_normal(y.shape))
    e = 1e-5
    slope = (loss.value(y + e * v, f) - loss.value(y - e * v, f)) / (2 * e)
    assert torch.allclose(inner(loss.slope(y, f), v), slope, atol=1e-8)
    bend = inner((loss.slope(y + e * v, f) - loss.slope(y - e * v, f)) / (2 * e), v)
    C = loss.factor(y, f)
    if C is None:
        square = inner(v, v)
    else:
        square = (C * v) ** 2 if y.ndim == 1 else torch.einsum("mkr,mk->mr", C, v).square().sum(1)
    assert torch.allclose(square, bend, atol=1e-8)


@given(found, st.integers(0, 99))
def test_fenchel_and_young(case, seed):
    # l(y) + l*(g) >= <g, y> for every y and g, with equality where g is the slope
    loss, y, f = case
    if not loss.has_conjugate:
        return
    g = loss.slope(y, f)
    assert torch.allclose(loss.value(y, f) + loss.conjugate(g, f), inner(g, y), atol=1e-12)
    other = torch.from_numpy(3 * np.random.default_rng(seed).standard_normal(y.shape))
    for price in (g, loss.slope(other, f), 1.5 * g):
        gap = loss.value(other, f) + loss.conjugate(price, f) - inner(price, other)
        assert bool((gap >= -1e-12).all())


@given(found)
def test_totals_and_prices_are_sums(case):
    loss, y, f = case
    q = torch.linspace(0.5, 2, len(y), dtype=torch.float64)
    value, g = loss.evaluate(y, f, q)
    assert torch.allclose(value, (q * loss.value(y, f)).sum())
    assert torch.allclose(loss.total(y, f, q), value)
    assert torch.allclose(g, (q if y.ndim == 1 else q[:, None]) * loss.slope(y, f))
    star = y.flip(0)
    apart = loss.divergence(y, star, f, q)
    assert float(apart) >= -1e-13
    assert float(loss.divergence(y, y, f, q)) == pytest.approx(0, abs=1e-13)


def test_a_loss_of_ones_own_moves_and_has_no_bound():
    data = jko.Data([[0.0], [1.0], [2.0]], [[0.0, 1.0], [3.0, -1.0], [1.0, 1.0]])
    F = jko.Risk(data, jko.Ridge(torch.tanh), loss=Own()) + 0.1 * jko.SquaredNorm()
    mu = jko.Particles(np.random.default_rng(0).standard_normal((6, 4)))
    result = jko.step(F, mu, tau=1.0, solver=jko.BlockNewton(tol=1e-10))
    assert result.status is jko.Status.CONVERGED
    assert "Own has no conjugate" in result.certificate().reason
    assert "Own has no conjugate" in jko.optimality(F, mu).reason


def test_two_classes_are_one_output_or_two():
    y, f = torch.tensor([0.3, -1.2]).double(), torch.tensor([1.0, -1.0]).double()
    both, hot = torch.stack([-y / 2, y / 2], 1), torch.stack([f < 0, f > 0], 1).double()
    one = jko.Logistic()
    assert torch.allclose(one.value(y, f), one.value(both, hot))
    assert torch.allclose(one.probabilities(y), one.probabilities(both))


@pytest.mark.parametrize("size", [30.0, 300.0])
def test_large_outputs_lose_no_digits(size):
    y = torch.tensor([size, -size]).double()
    f = torch.tensor([1.0, 1.0]).double()
    value = jko.Logistic().value(y, f)
    assert float(value[0]) == pytest.approx(math.exp(-size), rel=1e-12)
    assert float(value[1]) == pytest.approx(size, rel=1e-15)
    assert bool(torch.isfinite(jko.Logistic().slope(y, f)).all())


# Risks

KINDS = {
    "tanh": jko.Ridge(torch.tanh),
    "silu": jko.Ridge(torch.nn.functional.silu),
    "bump": jko.GaussianBump(0.7),
    "callable": lambda theta, x: torch.sin(theta @ x.T) + 0.1 * theta[:, :1],
}


def network(kind, loss, k, N, M, seed):
    """A risk and a measure of its neurons with unequal weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((M, 2))
    data = jko.Data(x, targets(loss, M, k, rng), rng.uniform(0.5, 1.5, M))
    points = rng.standard_normal((N, max(k, 1) + 2 + (kind in ("tanh", "silu"))))
    weights = rng.dirichlet(np.full(N, 2.0)) + 1e-3
    return (
        jko.Risk(data, activation=KINDS[kind], loss=LOSSES[loss]),
        jko.Particles(points, weights / weights.sum()),
    )


networks = st.builds(
    network,
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(LOSSES)),
    st.integers(0, 3),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(0, 99),
)


def written_out(R, mu):
    """The network, one output after the other, in numpy."""
    k = R.data.k
    h = R.activation(mu.points[:, k:], R.data.x).numpy()
    y = np.einsum("i,ik,im->mk", mu.weights.numpy(), mu.points[:, :k].numpy(), h)
    return y if R.data.f.ndim == 2 else y[:, 0]


@given(networks)
def test_predictions_are_the_sums_written_out(case):
    R, mu = case
    y = R.predict(mu)
    assert y.shape == R.data.f.shape
    assert np.allclose(y.numpy(), written_out(R, mu), atol=1e-13)
    total = (R.data.weights * R.loss.value(y, R.data.f)).sum()
    assert torch.allclose(R(mu), total)


@given(networks)
def test_value_gradient_and_hessian_are_differences(case):
    R, mu = case
    found = R.evaluate(mu)
    v = torch.from_numpy(np.random.default_rng(3).standard_normal(mu.points.shape))
    e = 1e-5
    up, down = (mu.moved(mu.points + s * e * v) for s in (1, -1))
    assert torch.allclose(found.value, R(mu))
    assert torch.allclose(found.variation, R.variation(mu))
    along = mu.integrate((found.gradient * v).sum(1))
    assert float(along) == pytest.approx(float(R(up) - R(down)) / (2 * e), abs=1e-7)
    blocks, factor, cross = R.second_order(mu)
    assert cross is None
    low = torch.einsum("idm,jem,je,j->id", factor, factor, v, mu.weights)
    Hv = (blocks @ v[:, :, None])[:, :, 0] + low
    slope = (R.gradient(up) - R.gradient(down)) / (2 * e)
    assert torch.allclose(Hv, slope, atol=1e-6)


@given(networks)
def test_many_outputs_have_a_product_for_a_factor(case):
    R, mu = case
    if R.data.f.ndim == 1:
        return
    C = R.loss.factor(R.predict(mu), R.data.f)
    J = R.second_order(mu).factor
    v = torch.from_numpy(np.random.default_rng(3).standard_normal(mu.points.shape))
    low = torch.einsum("idm,jem,je,j->id", J, J, v, mu.weights)
    assert torch.allclose(product(R.features, R.data, C, mu)(v), low, atol=1e-12)


@given(networks)
def test_torch_differentiates_what_is_written_out(case):
    R, mu = case
    points = mu.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(R(mu.moved(points)), points)
    assert torch.allclose(slope, mu.weights[:, None] * R.evaluate(mu).gradient, atol=1e-12)


@given(networks)
def test_a_risk_of_k_outputs_is_one_on_pairs(case):
    # the same as a scalar f on D x {1..k}: inputs (x, l), Phi(xi, (x, l)) = w_l h(theta, x)
    R, mu = case
    if R.data.f.ndim == 1 or not isinstance(R.loss, SquaredLoss):
        return
    data, k, phi = R.data, R.data.k, R.features
    assert isinstance(phi, Outputs)
    pairs = torch.cat(
        [data.x.repeat_interleave(k, 0), torch.arange(k).repeat(data.M)[:, None].to(data.x)], 1
    )

    def Phi(z, pair):
        h = phi.h(z[:, k:], pair[:, :-1])
        return z[:, :k][:, pair[:, -1].long()] * h

    scalar = jko.Risk(jko.Data(pairs, data.values, data.quadrature), features=Phi)
    for mine, theirs in zip(R.evaluate(mu), scalar.evaluate(mu), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)
    xi = mu.points[:2]
    assert torch.allclose(R.K(xi, mu.points), scalar.K(xi, mu.points))
    assert torch.allclose(R.S(xi), scalar.S(xi))
    assert torch.allclose(R.L(mu, xi), scalar.L(mu, xi))


def test_general_features_have_an_output_more():
    data = jko.Data([[0.5], [1.0], [2.0]], [[1.0, 0.0]] * 3)
    R = jko.Risk(data, features=lambda z, x: z[:, None, :2] * torch.sin(z[:, 2:] @ x.T)[:, :, None])
    same = jko.Risk(data, activation=lambda theta, x: torch.sin(theta @ x.T))
    mu = jko.Particles(np.random.default_rng(0).standard_normal((4, 3)))
    for mine, theirs in zip(R.evaluate(mu), same.evaluate(mu), strict=True):
        assert torch.allclose(mine, theirs)


class Lazy(Loss):
    """A value for each output."""

    def value(self, y, f):
        return (y - f) ** 2


H = jko.Ridge(torch.tanh)
TWO = jko.Data([[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: jko.Risk(jko.Data([[0.0]], [0.0]), H, loss=jko.Logistic()),
            ValueError,
            "f has the entry 0; .* the targets f .M,. are -1 and 1: of 0 and 1 pass",
        ),
        (
            lambda: jko.Risk(jko.Data([[0.0]], [[0.7, 0.7]]), H, loss=jko.Logistic()),
            ValueError,
            r"f\[0\] = \[0.7, 0.7\]; .* shares of the classes",
        ),
        (
            lambda: jko.Risk(TWO, H, loss="logistic"),
            TypeError,
            "loss must be .* such as jko.Logistic",
        ),
        (
            lambda: jko.Risk(TWO, features=jko.Neuron(H))(jko.Particles([[1.0, 1.0, 0.0]])),
            ValueError,
            "features have 1 outputs and f has k = 2",
        ),
        (
            lambda: jko.Risk(TWO, H, loss=jko.Logistic()).K(torch.zeros(1, 4), torch.zeros(1, 4)),
            TypeError,
            "K belongs to the expansion",
        ),
        (
            lambda: jko.Risk(TWO, H, loss=Lazy())(jko.Particles([[1.0, 1.0, 1.0, 0.0]])),
            ValueError,
            "the value of the loss Lazy returned shape .2, 2.",
        ),
        (lambda: jko.Data([[0.0]], [[[1.0]]]), ValueError, r"f has shape \(1, 1, 1\)"),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_torch_differentiates_variations_in_the_state(loss):
    rng = np.random.default_rng(2)
    f = torch.from_numpy(targets("logistic", 4, 2, rng))
    R = jko.Risk(jko.Data(rng.standard_normal((4, 1)), f), H, loss=loss)
    points = torch.from_numpy(rng.standard_normal((3, 4))).requires_grad_()
    at = torch.from_numpy(rng.standard_normal((2, 4)))

    def variation(points):
        return R.variation(jko.Particles.of(points, torch.full((3,), 1 / 3).double()), at)

    assert torch.autograd.gradcheck(variation, points, fast_mode=True)
