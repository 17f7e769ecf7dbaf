"""Activations that are written out are those of torch, with their slopes and curvatures."""

import functools

import pytest
import torch
from torch.nn import functional as F

import jko
from jko.networks.sigmas import SIGMAS

WRITTEN = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "gelu": F.gelu,
}
written = pytest.mark.parametrize("sigma", WRITTEN.values(), ids=WRITTEN)


def points(dtype=torch.float64):
    """Arguments of all sizes, both sides of zero and of the place where softplus becomes the identity."""
    near = torch.tensor([20 - 1e-9, 20 + 1e-9], dtype=torch.float64)
    some = torch.cat([torch.logspace(-9, 2.5, 200), torch.linspace(0.1, 40, 401), near])
    return torch.cat([some, -some]).to(dtype)


def by_torch(sigma, t):
    """sigma, sigma', sigma'' by autograd."""
    t = t.clone().requires_grad_()
    value = sigma(t)
    (slope,) = torch.autograd.grad(value.sum(), t, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), t) if slope.requires_grad else (torch.zeros_like(t),)
    return value.detach(), slope.detach(), bend


def test_all_that_are_written_out_are_tested():
    assert SIGMAS.keys() == {id(sigma) for sigma in WRITTEN.values()}


@written
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_value_slope_and_curvature_are_those_of_torch(sigma, dtype):
    # absolute: 2 sigmoid(2 t) - 1 and (1 + erf t) t round like numbers near one, and near t
    t, eps = points(dtype), torch.finfo(dtype).eps
    value, slope, bend = SIGMAS[id(sigma)].derivatives(t)
    for mine, theirs in zip((value, slope(), bend()), by_torch(sigma, t), strict=True):
        assert mine.dtype == dtype
        assert float(((mine - theirs).abs() / (1 + theirs.abs())).max()) <= 8 * eps


@written
def test_the_derivatives_may_be_asked_for_again(sigma):
    value, slope, bend = SIGMAS[id(sigma)].derivatives(points())
    first = value.clone(), slope(), bend()
    for one, two in zip(first, (value, slope(), bend()), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("sigma", [torch.tanh, torch.sigmoid, F.gelu])
def test_slopes_at_large_arguments_are_exact_to_the_last_place_of_one(sigma):
    # as they always were: sigma is known to eps there, and so is 1 - sigma
    t = torch.tensor([-1e3, -50.0, 50.0, 1e3], dtype=torch.float64)
    _, slope, bend = SIGMAS[id(sigma)].derivatives(t)
    far = (
        torch.tensor([0.0, 0.0, 1.0, 1.0]).double() if sigma is F.gelu else torch.zeros(4).double()
    )
    assert float((slope() - far).abs().max()) <= 2.3e-16
    assert float(bend().abs().max()) <= 2.3e-16


@pytest.mark.parametrize(
    "sigma", [functools.partial(F.gelu, approximate="tanh"), lambda s: F.softplus(s, beta=2.0)]
)
def test_a_function_with_arguments_of_its_own_goes_through_torch(sigma):
    theta, x = torch.randn(3, 2).double(), torch.randn(4, 1).double()
    h = jko.Ridge(sigma)
    s = theta[:, :1] @ x.T + theta[:, 1:]
    assert torch.equal(h(theta, x), sigma(s))
    _, slope, _ = by_torch(sigma, s)
    g = torch.ones(4).double()
    assert torch.allclose(h.linearise(theta, x)[1](g)[1][:, 1], slope @ g, rtol=1e-13)


def test_a_gradient_of_ones_own_is_the_one_that_is_used():
    theta, x, g = torch.randn(3, 2).double(), torch.randn(4, 1).double(), torch.ones(4).double()
    calls = []

    def gradient(s):
        calls.append(s)
        return 1 - torch.tanh(s) ** 2

    mu = jko.Particles(torch.cat([torch.ones(3, 1), theta], 1))
    R = jko.Risk(jko.Data(x, g), activation=jko.Ridge(torch.tanh, gradient=gradient))
    own = R.evaluate(mu)
    assert calls
    known = jko.Risk(jko.Data(x, g), activation=jko.Ridge(torch.tanh)).evaluate(mu)
    assert torch.allclose(own.gradient, known.gradient, rtol=1e-13, atol=1e-15)
