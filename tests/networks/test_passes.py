"""The passes in kept memory: those of the same map by torch, at any shape, in any thread, to the same bits."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jko
from jko.energies import risk
from jko.networks import FeatureMap
from jko.networks.passes import PlainPasses
from jko.steps.memory import leaves

SIGMAS = (torch.tanh, torch.sigmoid, torch.relu, torch.sin, F.softplus, F.gelu)
KNOWN = {sigma.__name__: jko.Ridge(sigma) for sigma in SIGMAS} | {"bump": jko.GaussianBump(0.8)}
known = pytest.mark.parametrize("h", KNOWN.values(), ids=KNOWN)


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def drawn(rng, h, dtype=torch.float64, **sizes):
    """Data, points (w, theta) and unequal weights of a random shape."""
    N, M, n = (
        sizes.get(k) or int(rng.integers(1, high)) for k, high in (("N", 40), ("M", 30), ("n", 6))
    )
    d = n if isinstance(h, jko.GaussianBump) else n + 1
    x, f, z, w = (
        rng.standard_normal((M, n)),
        rng.standard_normal(M),
        rng.standard_normal((N, 1 + d)),
        rng.random(N),
    )
    data = jko.Data(torch.tensor(x, dtype=dtype), torch.tensor(f, dtype=dtype))
    weights = torch.tensor((w + 0.1) / (w + 0.1).sum(), dtype=dtype)
    scale = float(rng.choice([0.1, 1.0, 5.0]))
    return jko.Risk(data, activation=h), jko.Particles.of(
        torch.tensor(scale * z, dtype=dtype), weights
    )


def every(R, mu, at=None):
    """All that a risk computes without a record."""
    at = mu.points[:3] * 1.1 if at is None else at
    return (
        *R.evaluate(mu),
        R.predict(mu),
        R(mu),
        R.variation(mu),
        R.variation(mu, at),
        R.gradient(mu, at),
    )


def by_torch(R):
    """The same through the defaults of a feature map, which differentiate its recorded values."""

    class Torch(FeatureMap):
        def __call__(self, z, x):
            return R.features(z, x)

    return jko.Risk(R.data, features=Torch())


@known
def test_the_passes_are_those_of_torch_at_any_shape(h, monkeypatch):
    rng = np.random.default_rng(1)
    for _ in range(15):
        R, mu = drawn(rng, h)
        monkeypatch.setattr(risk, "BLOCK", int(rng.integers(1, 12)) * 8 * R.data.M)
        monkeypatch.setattr(risk, "KEEP", int(rng.choice([0, 2**20])))
        for mine, theirs in zip(every(R, mu), every(by_torch(R), mu), strict=True):
            close(mine, theirs, 1e-13)


@known
def test_the_features_alone_are_those_of_torch(h):
    rng = np.random.default_rng(2)
    for _ in range(5):
        R, mu = drawn(rng, h)
        mu = jko.Particles.of(mu.points[:, 1:], mu.weights)
        R = jko.Risk(R.data, features=h)
        for mine, theirs in zip(every(R, mu), every(by_torch(R), mu), strict=True):
            close(mine, theirs, 1e-13)


@known
def test_blocks_may_be_paired_with_one_vector_and_then_another(h):
    R, mu = drawn(np.random.default_rng(2), h)
    with torch.no_grad(), R.features.passes(R.data.x, mu.N) as passes:
        for g in (R.data.f, R.data.f + 1):
            close(passes.at(mu.points).pairing(g), R.features(mu.points, R.data.x) @ g, 1e-13)


@known
def test_the_gradient_is_the_difference_of_values(h):
    rng = np.random.default_rng(3)
    R, mu = drawn(rng, h, N=4, M=9, n=2)
    e, gradient = 1e-6, R.evaluate(mu).gradient
    for i in range(mu.N):
        for k in range(mu.dim):
            move = torch.zeros_like(mu.points)
            move[i, k] = e
            change = R(mu.moved(mu.points + move)) - R(mu.moved(mu.points - move))
            expected = float(change) / (2 * e * float(mu.weights[i]))
            assert float(gradient[i, k]) == pytest.approx(expected, abs=2e-8 * (1 + abs(expected)))


@known
def test_single_precision_stays_and_is_as_good_as_it_can_be(h):
    for seed in range(8):
        R, mu = drawn(np.random.default_rng(seed), h, torch.float32)
        double = jko.Risk(jko.Data(R.data.x.double(), R.data.f.double()), activation=h)
        fine = every(double, jko.Particles.of(mu.points.double(), mu.weights.double()))
        for single, exact in zip(every(R, mu), fine, strict=True):
            assert single.dtype == torch.float32
            close(single.double(), exact, 3e-5)


@known
def test_kept_features_and_those_made_again_give_the_same_bits(h, monkeypatch):
    R, mu = drawn(np.random.default_rng(4), h, N=45, M=13, n=3)
    monkeypatch.setattr(risk, "BLOCK", 8 * 7 * 13)
    kept = R.evaluate(mu)
    monkeypatch.setattr(risk, "KEEP", 0)
    for a, b in zip(kept, R.evaluate(mu), strict=True):
        assert torch.equal(a, b)


@known
def test_a_block_has_the_same_bits_wherever_its_atoms_stand(h):
    # in one process or in several: so the atoms are read from a copy, and blocks begin at the same places
    R, mu = drawn(np.random.default_rng(5), h, N=50, M=31, n=4)
    whole = R.features
    with torch.no_grad(), whole.passes(R.data.x, 20) as passes:
        for start in range(8):
            z = mu.points[start : start + 20]
            here = passes.at(z).integral(mu.weights[start : start + 20])
            alone = passes.at(z.clone()).integral(mu.weights[start : start + 20].clone())
            assert torch.equal(here, alone)


@known
def test_threads_at_once_give_the_bits_of_one(h):
    cases = [drawn(np.random.default_rng(seed), h, N=300, M=50, n=3) for seed in range(4)]
    alone = [R.evaluate(mu) for R, mu in cases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = pool.map(lambda case: case[0].evaluate(case[1]), cases)
            for one, other in zip(alone, together, strict=True):
                assert all(map(torch.equal, one, other))


@known
def test_energies_hold_no_memory_and_can_be_copied_and_pickled_after_use(h):
    R, mu = drawn(np.random.default_rng(6), h)
    before, first = [id(t) for t in leaves(R)], R.evaluate(mu)
    assert [id(t) for t in leaves(R)] == before
    for other in (copy.deepcopy(R), pickle.loads(pickle.dumps(R))):
        assert all(map(torch.equal, other.evaluate(mu), first))


@known
def test_results_are_not_in_memory_that_is_lent_again(h):
    rng = np.random.default_rng(7)
    R, mu = drawn(rng, h, N=20, M=12, n=2)
    first = every(R, mu)
    copies = [t.clone() for t in first]
    every(R, mu.moved(mu.points + 1))
    assert all(map(torch.equal, first, copies))


@known
def test_inference_mode_before_and_after_changes_nothing(h):
    R, mu = drawn(np.random.default_rng(8), h)
    with torch.inference_mode():
        inside = R.evaluate(mu)
    for a, b in zip(inside, R.evaluate(mu), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("keep", [0, 2**20])
def test_features_may_be_infinite_where_there_is_no_mass(keep, monkeypatch):
    monkeypatch.setattr(risk, "KEEP", keep)
    monkeypatch.setattr(risk, "BLOCK", 8 * 2 * 2)
    R = jko.Risk(jko.Data([[1.0], [2.0]], [0.5, 1.0]), activation=jko.Ridge(torch.relu))
    points = torch.tensor(
        [[1.0, 0.5, 0.1], [1.0, torch.inf, 0.0], [2.0, -0.1, 0.3], [1.0, 0.3, 0.0]]
    ).double()
    weights = torch.tensor([0.25, 0.0, 0.5, 0.25]).double()
    full = weights > 0
    value, variation, gradient = R.evaluate(jko.Particles.of(points, weights))
    fewer = R.evaluate(jko.Particles.of(points[full], weights[full]))
    for a, b in zip((value, variation[full], gradient[full]), fewer, strict=True):
        close(a, b, 1e-15)
    assert not torch.isfinite(variation[1])


@known
def test_a_record_is_kept_where_somebody_asks_for_one(h):
    R, mu = drawn(np.random.default_rng(9), h)
    points = mu.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(R(mu.moved(points)), points)
    close(slope / mu.weights[:, None], R.evaluate(mu).gradient, 1e-12)
    (slope,) = torch.autograd.grad(R.variation(mu, points).sum(), points)
    close(slope, R.evaluate(mu).gradient, 1e-12)


def test_other_functions_take_the_plain_way():
    x = torch.zeros(2, 1)
    assert isinstance(jko.Ridge(torch.cos).passes(x, 3), PlainPasses)
    assert isinstance(jko.Ridge(torch.tanh, gradient=torch.cos).passes(x, 3), PlainPasses)
    assert not isinstance(jko.Ridge(torch.tanh).passes(x, 3), PlainPasses)


def test_rows_that_a_pass_is_not_for_are_refused_in_words():
    R, mu = drawn(np.random.default_rng(0), KNOWN["tanh"], n=2)
    with pytest.raises(ValueError, match="Ridge needs d = n"):
        R.evaluate(jko.Particles(torch.ones(3, 3).double()))
    B, _ = drawn(np.random.default_rng(0), KNOWN["bump"], n=2)
    with pytest.raises(ValueError, match="GaussianBump needs d = n"):
        B.evaluate(mu)
