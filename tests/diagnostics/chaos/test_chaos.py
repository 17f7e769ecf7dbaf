"""Propagation of chaos against exact moments, and intervals against what they promise."""

import io

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.diagnostics import ChaosStudy, Order, chaos_study, scale_study
from jko.diagnostics.chaos.orders import fitted, share

S2, TARGET = 0.8, 1.5
Z = np.array([[1.0, 0.4], [0.4, 0.8]])


def linear():
    """The risk of Phi = w theta x with one datum."""
    x = torch.tensor([[S2**0.5]], dtype=torch.float64)
    data = jko.Data(x, TARGET * x[:, 0])
    return jko.Risk(data, features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)


def law(N, generator):
    root = torch.from_numpy(np.linalg.cholesky(Z))
    return jko.Particles(torch.randn(N, 2, generator=generator, dtype=torch.float64) @ root.T)


def outputs(t):
    """f at the datum, sqrt(s2) A(t)."""
    P = exact.linear_flow(Z, s2=S2, target=TARGET, t=t)
    return [S2**0.5 * (P @ Z @ P)[0, 1]]


def study(**options):
    given = {
        "sizes": [8, 16, 32, 64],
        "times": [0.0, 1.0, 2.0],
        "repeats": 12,
        "rtol": 1e-4,
    } | options
    return chaos_study(linear(), law, **given)


def test_a_linear_network_has_the_exponent_one_half():
    said = []
    found = study(exact=outputs, report=said.append)
    for order in (found.order, found.path_order):
        assert order.excludes(0, 1)
        assert 0.5 in order.interval
    assert found.outputs.shape == found.paths.shape == (12, 4, 3)
    assert len(said) == 12
    assert found.uniform
    assert (np.diff(found.errors) < 0).all()
    assert "order of paths" in str(found)


def test_errors_and_paths_are_those_of_runs_made_by_hand():
    """With the exact flow of moments: f_N(t) of a sample is that of the linear flow from its own moments."""
    found = study(exact=outputs, repeats=8, times=[0.0, 1.0], sizes=[4, 8], seed=3)
    sample = law(8, torch.Generator().manual_seed(3 + 1 + 5)).points.numpy()
    for s, N in enumerate((4, 8)):
        points = sample[:N]
        moments = points.T @ points / N
        P, limit = (exact.linear_flow(M, s2=S2, target=TARGET, t=1.0) for M in (moments, Z))
        error = abs(S2**0.5 * (P @ moments @ P)[0, 1] - outputs(1.0)[0])
        assert found.outputs[5, s, 1] == pytest.approx(error, abs=1e-3)
        assert found.outputs[5, s, 0] == pytest.approx(
            abs(S2**0.5 * moments[0, 1] - outputs(0.0)[0]), rel=1e-9
        )
        moved = points @ P - points @ limit
        path = ((moved**2).sum(1).mean()) ** 0.5
        assert found.paths[5, s, 0] == 0
        assert found.paths[5, s, 1] == pytest.approx(path, abs=0.15)  # the reference has 128 atoms


def test_a_reference_that_is_a_quadrature_is_the_exact_limit():
    nodes, masses = np.polynomial.hermite_e.hermegauss(6)
    x, y = np.meshgrid(nodes, nodes, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], 1) @ np.linalg.cholesky(Z).T
    weights = np.outer(masses, masses).ravel() / masses.sum() ** 2
    a = study(reference=jko.Particles(points, weights), repeats=8, sizes=[8, 16])
    b = study(exact=outputs, repeats=8, sizes=[8, 16])
    assert a.outputs == pytest.approx(b.outputs, abs=1e-3)
    assert a.reference == 36


def test_distances_are_those_of_w2():
    found = study(transport=True, repeats=8, sizes=[4, 8], reference=32, times=[0.0, 0.5, 1.0])
    sample = law(8, torch.Generator().manual_seed(1))
    reference = law(32, torch.Generator().manual_seed(0))
    first = jko.Particles(sample.points[:4])
    assert found.distances[0, 0, 0] == pytest.approx(jko.distance(first, reference).value)
    assert found.distance_times.tolist() == [0.0, 0.5, 1.0]
    assert "the reference has only 32 atoms" in str(found)
    assert found.distance_order.value > 0


def test_what_is_observed_may_be_any_number():
    F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)

    def normal(N, generator):
        return jko.Particles.normal(N, 1, generator=generator)

    found = chaos_study(
        F,
        normal,
        sizes=[4, 16],
        times=[0.0, 1.0],
        repeats=8,
        observe=lambda mu: mu.mean(),
        exact=lambda t: [0.0],
    )
    assert found.outputs[:, :, 0] == pytest.approx(
        found.outputs[:, :, 1], abs=1e-7
    )  # the mean stays
    assert found.growth.value == pytest.approx(0, abs=1e-6)
    many = scale_study(
        F, normal, scales=[1.0, 3.0], sizes=[4, 16], times=[0.0, 1.0], repeats=8,
        observe=lambda mu: mu.mean(), exact=lambda t: [0.0], goal=0.3,
    )  # fmt: skip
    assert many.studies[1].errors == pytest.approx(3 * many.studies[0].errors)
    assert many.studies[0].reached[1].value == 1.0
    assert "reached, N = 16" in str(many)


def test_what_cannot_be_studied_is_refused():
    with pytest.raises(ValueError, match="at least two are needed, increasing"):
        study(sizes=[8])
    with pytest.raises(ValueError, match="repeats"):
        study(repeats=2)
    with pytest.raises(ValueError, match="times must be two at least"):
        study(times=[1.0, 0.5])
    with pytest.raises(ValueError, match="it must give 64, of equal weights"):
        chaos_study(linear(), lambda N, g: law(N + 1, g), sizes=[8, 64], times=[0.0, 1.0])
    with pytest.raises(ValueError, match="0 risks"):
        chaos_study(jko.SquaredNorm(), law, sizes=[8, 64], times=[0.0, 1.0])


@pytest.mark.parametrize("true", [0.25, 0.5])
def test_intervals_of_exponents_cover(true):
    """Coupled sizes, heavy-tailed errors: the interval holds the exponent in nine of ten studies at least."""
    rng, N, inside = np.random.default_rng(0), np.array([16.0, 32.0, 64.0, 128.0]), 0
    for _ in range(60):
        common, own = rng.normal(size=(12, 1)), rng.normal(size=(12, 4))
        squares = (0.6 * common + 0.8 * own) ** 2 * N ** (-2 * true)
        order = fitted(np.log(N), squares)
        inside += order.low <= -true <= order.high
    assert inside >= 52


def test_growth_is_seen():
    rng, t = np.random.default_rng(0), np.linspace(0, 2, 9)
    errors = (
        np.abs(rng.normal(size=(20, 3, 1))) * np.exp(1.5 * t) / np.array([4, 8, 16])[:, None] ** 0.5
    )
    found = ChaosStudy(
        np.array([4, 8, 16]), t, errors, errors, None, errors[:, :, 0], reference=1000
    )
    assert found.growth.value == pytest.approx(1.5)
    assert not found.uniform
    assert "errors still grow" in str(found)
    assert len(found.orders) == 9


def test_a_probability_has_the_interval_of_clopper_and_pearson():
    assert share(0, 10) == Order(0.0, 0.0, pytest.approx(0.3085, abs=1e-4))
    assert share(10, 10).low == pytest.approx(0.6915, abs=1e-4)
    assert share(5, 10)[1:] == pytest.approx((0.1871, 0.8129), abs=1e-4)


@pytest.mark.slow
def test_thirty_two_repeats_of_a_linear_network(capsys):
    """The figures of the report: sizes 16 to 256 against exact moments."""
    found = study(
        sizes=[16, 32, 64, 128, 256], times=np.linspace(0, 3, 13), repeats=32, exact=outputs
    )
    print(found, file=io.StringIO())
    assert found.order.excludes(0, 1)
    assert found.path_order.excludes(0, 1)
    assert abs(found.order.value - 0.5) < 0.1
