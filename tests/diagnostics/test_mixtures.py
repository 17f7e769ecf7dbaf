"""Mixtures of measures: F is convex along them, and its slope is that of the values (Remark 2.1)."""

import numpy as np
import pytest
import torch

import jko
from jko.diagnostics import mixture_line, mixture_slope
from jko.measures import mixture

X = torch.linspace(-2, 2, 12, dtype=torch.float64)[:, None]


def risk(loss=None):
    f = torch.sin(2 * X[:, 0]) if loss is None else torch.sign(X[:, 0] - 0.1)
    return jko.Risk(jko.Data(X, f), activation=jko.Ridge(torch.tanh), loss=loss)


def clouds(seed, *sizes):
    generator = torch.Generator().manual_seed(seed)
    for N in sizes:
        weights = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
        yield jko.Particles(
            torch.randn(N, 3, generator=generator, dtype=torch.float64), weights / weights.sum()
        )


ENERGIES = {
    "risk": lambda: risk() + 0.1 * jko.SquaredNorm(),
    "logistic": lambda: risk(jko.Logistic()) + 0.1 * jko.SquaredNorm(),
    "double well": lambda: jko.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1)),
    "interaction": lambda: jko.Interaction(lambda z: -(-(z**2).sum(-1)).exp()),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_the_slope_is_that_of_the_values(name):
    energy, (a, b) = ENERGIES[name](), clouds(3, 6, 9)
    for alpha in (0.2, 0.55, 0.9):
        ahead, behind = (energy(mixture(a, b, alpha + e)) for e in (1e-4, -1e-4))
        assert mixture_slope(energy, a, b, alpha) == pytest.approx(
            float(ahead - behind) / 2e-4, rel=1e-6, abs=1e-9
        )


def test_the_slope_of_densities_with_entropy():
    grid = jko.Grid([(-3.0, 3.0), (-2.0, 2.0)], (20, 14))
    a = jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1)).exp())
    b = jko.GridDensity.from_function(grid, lambda x: 1 + (x**2).sum(-1))
    energy = jko.SquaredNorm() + 0.3 * jko.Entropy() + 0.2 * jko.PorousMedium(3)
    ahead, behind = (energy(mixture(a, b, 0.4 + e)) for e in (1e-4, -1e-4))
    found = mixture_slope(energy, a, b, 0.4)
    assert found == pytest.approx(float(ahead - behind) / 2e-4, rel=1e-7)


@pytest.mark.parametrize("name", ["risk", "logistic", "double well"])
def test_what_is_convex_in_the_measure_is_seen_to_be(name):
    energy, (a, b) = ENERGIES[name](), clouds(5, 7, 4)
    line = mixture_line(energy, a, b)
    assert line.convex
    assert (np.diff(line.slopes) >= -1e-12).all()
    assert len(str(line).splitlines()) == 12


def test_what_is_not_convex_is_seen_too():
    a, b = clouds(1, 5, 5)
    repulsion = jko.Interaction(lambda z: (z**2).sum(-1))  # -|mean|^2 + ..., concave along mixtures
    assert not mixture_line(repulsion, a, b).convex


def test_the_second_difference_is_the_distance_of_the_networks():
    F, (a, b) = risk(), clouds(8, 5, 6)
    apart = F.predict(a) - F.predict(b)
    line = mixture_line(F, a, b, [0.0, 0.3, 1.0])
    expected = float((F.data.weights * apart**2).sum())
    assert np.diff(line.slopes) / np.diff(line.alphas) == pytest.approx([expected] * 2, rel=1e-10)


def test_a_mixture_integrates_as_the_mean_of_both():
    a, b = clouds(2, 4, 3)
    mu = mixture(a, b, 0.25)
    one, other, mixed = (state.integrate(state.points**3) for state in (a, b, mu))
    assert torch.allclose(mixed, 0.75 * one + 0.25 * other, rtol=1e-14)
    assert mixture(a, b, 0.0).N == a.N
    assert mixture(a, b, 1.0).N == b.N


@pytest.mark.parametrize(
    ("a", "b", "alpha", "error", "words"),
    [
        (jko.Particles([[0.0]]), jko.Particles([[1.0]]), 1.5, ValueError, "0 <= alpha <= 1"),
        (jko.Particles([[0.0]]), jko.Particles([[1.0, 2.0]]), 0.5, ValueError, "dimension"),
        (
            jko.ChargedParticles([[0.0]], [1.0]),
            jko.ChargedParticles([[0.0]], [2.0]),
            0.5,
            TypeError,
            r"lift\(\)",
        ),
        (
            jko.GridDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0]),
            jko.GridDensity(jko.Grid((0.0, 1.0), 1), [1.0]),
            0.5,
            ValueError,
            "grid must be the same",
        ),
        (
            jko.GridDensity(jko.Grid((0.0, 1.0), 1), [1.0]),
            jko.Particles([[0.5]]),
            0.5,
            TypeError,
            "one kind",
        ),
        (
            jko.Particles([[0.5]], domain=jko.Box(0.0, 1.0)),
            jko.Particles([[0.5]]),
            0.5,
            ValueError,
            "one domain",
        ),
    ],
    ids=["alpha", "dimensions", "pairs", "grids", "kinds", "domains"],
)
def test_what_cannot_be_mixed_is_a_sentence(a, b, alpha, error, words):
    with pytest.raises(error, match=words):
        mixture(a, b, alpha)
