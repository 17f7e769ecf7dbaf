"""Networks with k outputs: numbers on D x {1..k}, so a scalar network written out there is the witness."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.networks import ACTIVATIONS, Custom, FeatureMap, Outputs, drawn, ridge


def wave(theta, x):
    """A callable without slopes of its own."""
    return torch.cos(theta @ x.T) * torch.exp(0.1 * theta[:, :1])


#: activation -> the number of coordinates of theta
KINDS = {
    "tanh": (ridge("tanh"), 1),
    "relu": (ridge("relu"), 1),
    "sin": (ridge("sin"), 1),
    "gelu": (ridge("gelu"), 1),
    "softplus": (ridge("softplus"), 1),
    "by torch": (ridge("silu"), 1),
    "bump": (jko.GaussianBump(0.8), 0),
    "callable": (Custom(wave), 0),
}


def problem(kind, k, N, M, n, seed):
    """Outputs, points (w, theta), inputs, a number for each output at each input."""
    h, more = KINDS[kind]
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.standard_normal((N, k + n + more)))
    x = torch.from_numpy(rng.standard_normal((M, n)))
    return Outputs(h, k), z, x, torch.from_numpy(rng.standard_normal(M * k))


problems = st.builds(
    problem,
    st.sampled_from(sorted(KINDS)),
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 99),
)


def by_hand(phi):
    """``w_l h(theta, x)`` on pairs (x, l): the feature map of one output that the survey has."""

    def features(z, x):
        columns = [z[:, j : j + 1] * phi.h(z[:, phi.k :], x) for j in range(phi.k)]
        return torch.stack(columns, 2).flatten(1)

    return Custom(features, outputs=None)


class Pairs(FeatureMap):
    """By hand, all slopes from torch."""

    def __init__(self, phi):
        self.phi = phi

    def __call__(self, z, x):
        return by_hand(self.phi).function(z, x)


def close(a, b, tolerance=1e-11):
    assert a.shape == b.shape
    assert torch.allclose(a, b, rtol=tolerance, atol=tolerance)


@given(problems)
def test_features_and_slopes_are_those_of_the_scalar_network_on_pairs(found):
    phi, z, x, g = found
    hand = Pairs(phi)
    close(phi(z, x), hand(z, x))
    for mine, theirs in zip(phi.linearise(z, x)[1](g), hand.linearise(z, x)[1](g), strict=True):
        close(mine, theirs)
    close(phi.jacobian(z, x), hand.jacobian(z, x))
    close(phi.hessian(z, x, g), hand.hessian(z, x, g))


@given(problems)
def test_numbers_of_its_own_for_each_parameter(found):
    phi, z, x, g = found
    own = torch.stack([g * (1 + i) for i in range(len(z))])
    c, slope = phi.linearise(z, x)[1](own)
    each = [phi.linearise(z[i : i + 1], x)[1](row) for i, row in enumerate(own)]
    close(c, torch.cat([one for one, _ in each]))
    close(slope, torch.cat([one for _, one in each]))
    hessians = [phi.hessian(z[i : i + 1], x, row) for i, row in enumerate(own)]
    close(phi.hessian(z, x, own), torch.cat(hessians))


@given(problems, st.booleans())
def test_passes_are_the_features(found, keep):
    phi, z, x, g = found
    weights = torch.linspace(0.5, 1.5, len(z), dtype=torch.float64)
    with torch.no_grad(), phi.passes(x, len(z), keep) as passes:
        block = passes.at(z)
        close(block.integral(weights), weights @ phi(z, x))
        close(block.pairing(g), phi(z, x) @ g)
        c, slope = torch.empty_like(z[:, 0]), torch.empty_like(z)
        block.pull_back(g, c, slope)
    for mine, theirs in zip((c, slope), phi.linearise(z, x)[1](g), strict=True):
        close(mine, theirs)


# By name, and drawn


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_by_name_has_its_slopes(name):
    h, s = ridge(name), torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None]
    theta = torch.tensor([[1.0, 0.05], [-0.5, 0.3]], dtype=torch.float64)
    e = 1e-5
    g = torch.linspace(-1, 1, 13, dtype=torch.float64)
    up, down = (theta.clone() for _ in range(2))
    up[:, 1] += e
    down[:, 1] -= e
    slope = ((h(up, s) - h(down, s)) / (2 * e)) @ g
    assert torch.allclose(h.linearise(theta, s)[1](g)[1][:, 1], slope, atol=1e-8)
    pulls = [h.linearise(z, s)[1](g)[1] for z in (up, down)]
    bend = (pulls[0] - pulls[1]) / (2 * e)
    if name != "elu":  # its second derivative jumps at zero
        assert torch.allclose(h.hessian(theta, s, g)[:, :, 1], bend, atol=1e-7)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValueError, match="no activation 'tanhh'; known by name are tanh, sigmoid"):
        ridge("tanhh")


def test_neurons_are_drawn_as_before_for_one_output(generator):
    data = jko.Data(torch.zeros(4, 3).double(), torch.zeros(4).double())
    points = torch.randn(6, 5, generator=torch.Generator().manual_seed(20), dtype=torch.float64)
    points[:, 1:-1] /= 3**0.5
    assert torch.equal(drawn(6, data, generator).points, points)


def test_neurons_for_several_outputs_have_unit_charges_and_biases(generator):
    data = jko.Data(torch.zeros(4, 25), torch.zeros(4, 3))
    points = drawn(4000, data, generator).points
    assert points.dtype == torch.float32
    spread = points.std(0)
    assert torch.allclose(spread[[0, 1, 2, -1]], torch.ones(4), atol=0.05)
    assert torch.allclose(spread[3:-1], torch.full((25,), 0.2), atol=0.02)
