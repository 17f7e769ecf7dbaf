"""Feature maps: their values are the survey's formulas, and every hand-written slope is torch's."""

import numpy as np
import pytest
import torch

import jko
from jko.networks import Custom, FeatureMap, feature_map

rng = np.random.default_rng(11)
X = torch.from_numpy(rng.uniform(-1, 1, (7, 2)))
G = torch.from_numpy(rng.standard_normal(7))
THETA = {
    "ridge": torch.from_numpy(rng.standard_normal((4, 3))),
    "bump": torch.from_numpy(rng.standard_normal((4, 2))),
}


def plain(z, x):
    """A callable without slopes."""
    return torch.cos(z[:, :1] * x[:, 0]) * torch.exp(z[:, 1:2] * x[:, 1])


MAPS = {
    "tanh": (jko.Ridge(torch.tanh), THETA["ridge"]),
    "sigmoid": (jko.Ridge(torch.sigmoid), THETA["ridge"]),
    "relu": (jko.Ridge(torch.relu), THETA["ridge"]),
    "softplus": (jko.Ridge(torch.nn.functional.softplus), THETA["ridge"]),
    "sin": (jko.Ridge(torch.sin), THETA["ridge"]),
    "gelu": (jko.Ridge(torch.nn.functional.gelu), THETA["ridge"]),
    "identity": (jko.Ridge(lambda s: s), THETA["ridge"]),
    "bump": (jko.GaussianBump(0.6), THETA["bump"]),
    "callable": (Custom(plain), THETA["bump"]),
}
MAPS |= {
    f"neuron of {name}": (
        jko.Neuron(h),
        torch.cat([torch.linspace(-1, 2, 4, dtype=torch.float64)[:, None], theta], 1),
    )
    for name, (h, theta) in list(MAPS.items())
}
every_map = pytest.mark.parametrize(("phi", "z"), MAPS.values(), ids=MAPS)


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


# Values


def test_a_ridge_has_its_weights_first_and_its_bias_last():
    # (2.2): sigma(theta' . x + theta^(d)), d = n + 1
    theta = THETA["ridge"].numpy()
    for sigma, by_hand in ((torch.tanh, np.tanh), (torch.relu, lambda s: np.maximum(s, 0))):
        expected = [[by_hand(t[0] * x[0] + t[1] * x[1] + t[2]) for x in X.numpy()] for t in theta]
        assert jko.Ridge(sigma)(THETA["ridge"], X).numpy() == pytest.approx(
            np.array(expected), abs=1e-15
        )


def test_a_bump_is_centred_at_theta():
    theta = THETA["bump"].numpy()
    expected = [[np.exp(-((x - t) ** 2).sum() / (2 * 0.6**2)) for x in X.numpy()] for t in theta]
    assert jko.GaussianBump(0.6)(THETA["bump"], X).numpy() == pytest.approx(
        np.array(expected), abs=1e-15
    )
    assert jko.GaussianBump(0.6)(X, X).diagonal().tolist() == [1.0] * 7


def test_a_neuron_is_its_charge_times_its_activation():
    h = jko.Ridge(torch.tanh)
    z = MAPS["neuron of tanh"][1]
    assert torch.equal(jko.Neuron(h)(z, X), z[:, :1] * h(z[:, 1:], X))


def test_the_fast_tanh_is_tanh():
    # 2 sigmoid(2 s) - 1 rounds like a number near one: absolute, not relative
    s = torch.cat(
        [
            torch.linspace(-30, 30, 6001, dtype=torch.float64),
            torch.tensor([-800.0, 800.0], dtype=torch.float64),
        ]
    )
    fast = jko.Ridge(torch.tanh)(torch.tensor([[1.0, 0.0]], dtype=torch.float64), s[:, None])
    assert float((fast[0] - torch.tanh(s)).abs().max()) <= 4e-16


@pytest.mark.parametrize(
    "sigma", [torch.tanh, torch.sigmoid, torch.relu, torch.nn.functional.softplus]
)
def test_a_saturated_ridge_stays_finite(sigma):
    theta = torch.tensor([[1e3, -1e3, 500.0]], dtype=torch.float64)
    h = jko.Ridge(sigma)
    value, pull = h.linearise(theta, X)
    for part in (value, *pull(G), h.jacobian(theta, X), h.hessian(theta, X, G)):
        assert torch.isfinite(part).all()


# Slopes


@every_map
def test_linearise_is_value_and_pairing_with_its_gradient(phi, z):
    value, pull = phi.linearise(z, X)
    c, slope = pull(G)
    close(value, phi(z, X), 1e-15)
    close(c, phi(z, X) @ G, 1e-14)
    reference, reference_pull = FeatureMap.linearise(phi, z, X)
    close(value, reference, 1e-15)
    close(slope, reference_pull(G)[1], 1e-13)
    again = pull(2 * G)
    close(again[1], 2 * slope, 1e-14)


@every_map
def test_the_jacobian_is_autograd(phi, z):
    close(phi.jacobian(z, X), FeatureMap.jacobian(phi, z, X), 1e-13)
    close(torch.einsum("bmp,m->bp", phi.jacobian(z, X), G), phi.linearise(z, X)[1](G)[1], 1e-13)


@every_map
def test_the_hessian_is_autograd_and_symmetric(phi, z):
    hessian = phi.hessian(z, X, G)
    close(hessian, FeatureMap.hessian(phi, z, X, G), 1e-12)
    close(hessian, hessian.transpose(1, 2), 1e-13)


@every_map
def test_the_slopes_are_differences(phi, z):
    # central: 1e-10 of truncation and 1e-11 of rounding at a step of 1e-5; kinks are no closer than that
    e = 1e-5
    for k in range(z.shape[1]):
        step = torch.zeros_like(z)
        step[:, k] = e
        close(phi.jacobian(z, X)[:, :, k], (phi(z + step, X) - phi(z - step, X)) / (2 * e), 1e-8)
        ahead, behind = (phi.linearise(z + s * step, X)[1](G)[1] for s in (1, -1))
        close(phi.hessian(z, X, G)[:, :, k], (ahead - behind) / (2 * e), 1e-8)


@every_map
def test_slopes_do_not_depend_on_whether_torch_records_gradients(phi, z):
    def all_slopes():
        value, pull = phi.linearise(z, X)
        return (value, *pull(G), phi.jacobian(z, X), phi.hessian(z, X, G))

    with torch.no_grad():
        quiet = all_slopes()
    for a, b in zip(quiet, all_slopes(), strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad


@every_map
def test_each_row_depends_on_its_parameter_alone(phi, z):
    alone = torch.cat([phi(z[i : i + 1], X) for i in range(len(z))])
    close(alone, phi(z, X), 1e-15)


@every_map
def test_values_are_differentiable_by_torch(phi, z):
    tracked = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad((phi(tracked, X) @ G).sum(), tracked)
    close(slope, phi.linearise(z, X)[1](G)[1], 1e-13)


def test_slopes_keep_the_precision_they_are_given():
    for phi, z in MAPS.values():
        value, pull = phi.linearise(z.float(), X.float())
        parts = (
            value,
            *pull(G.float()),
            phi.jacobian(z.float(), X.float()),
            phi.hessian(z.float(), X.float(), G.float()),
        )
        assert {part.dtype for part in parts} == {torch.float32}


# Data and bad input


def test_data_take_arrays_and_default_to_the_mean():
    data = jko.Data(X.numpy(), G.numpy())
    assert (data.M, data.n) == (7, 2)
    assert data.x.dtype == torch.float64
    assert data.weights.tolist() == [1 / 7] * 7
    assert jko.Data(X.clone().requires_grad_(), G).x.requires_grad  # gradients flow through


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.Data(X[:, 0], G), ValueError, r"x has shape \(7,\)"),
        (lambda: jko.Data(X, G[:3]), ValueError, r"f has shape \(3,\)"),
        (
            lambda: jko.Data(X, G[:3, None]),
            ValueError,
            r"f has shape \(3, 1\); it must have shape \(7, k\)",
        ),
        (lambda: jko.Data(np.zeros((0, 2)), []), ValueError, "x is empty"),
        (lambda: jko.Data([["a", "b"]], [1.0]), TypeError, "x must be"),
        (
            lambda: jko.Data([[1.0, float("nan")]], [1.0]),
            ValueError,
            "x has 1 entries that are not finite",
        ),
        (lambda: jko.Data(X, G.float()), ValueError, "f has dtype torch.float32"),
        (
            lambda: jko.Data(X, G, -torch.ones(7, dtype=torch.float64)),
            ValueError,
            "must be positive",
        ),
        (lambda: jko.Data(X, G, [1.0]), ValueError, r"weights has shape \(1,\)"),
        (lambda: jko.GaussianBump(0.0), ValueError, "width = 0.0"),
        (lambda: jko.Ridge(torch.tanh)(THETA["bump"], X), ValueError, "Ridge needs d = n"),
        (lambda: jko.GaussianBump()(THETA["ridge"], X), ValueError, "GaussianBump needs d = n"),
        (lambda: jko.Ridge(lambda s: s.sum())(THETA["ridge"], X), ValueError, "returned shape"),
        (
            lambda: jko.Ridge(lambda s: s.sum()).linearise(THETA["ridge"], X),
            ValueError,
            "returned shape",
        ),
        (lambda: feature_map("activation", "tanh"), TypeError, "activation must be"),
        (lambda: Custom(lambda z, x: 1.0)(THETA["bump"], X), TypeError, "returned float"),
        (
            lambda: Custom(lambda z, x: (z @ x.T).to(torch.complex128))(THETA["bump"], X),
            TypeError,
            "complex",
        ),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_a_feature_map_stays_as_it_is_and_a_callable_is_wrapped():
    h = jko.Ridge(torch.tanh)
    assert feature_map("activation", h) is h
    assert torch.equal(feature_map("activation", plain)(THETA["bump"], X), plain(THETA["bump"], X))
