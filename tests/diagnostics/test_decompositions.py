"""The identities of survey 4.1-4.3, term by term."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

import jko

GRID = jko.Grid((-3.0, 3.0), (24, 24))


def net():
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    data = jko.Data(x, torch.sin(2 * x[:, 0]))
    return jko.Risk(data, features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] * x.T))


def density(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(GRID.shape, generator=generator, dtype=torch.float64) + 0.1
    return jko.GridDensity(GRID, values / (values.sum() * GRID.cell))


ENERGIES = {
    "heat": net() + 0.05 * jko.SquaredNorm() + 0.1 * jko.Entropy(),
    "porous medium": net() + 0.05 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(2),
    "cubic": 2 * net() + 0.3 * jko.PorousMedium(3),
    "interaction": net() + jko.Interaction(lambda z: (z**2).sum(-1)) + 0.1 * jko.Entropy(),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_the_terms_add_up_for_any_two_densities(name):
    F, mu, star = ENERGIES[name], density(0), density(1)
    terms = jko.diagnostics.decomposition(F, mu, star)
    assert abs(terms.total - float(F(mu) - F(star))) < 1e-12 * (1 + abs(terms.slope))
    assert min(terms.risk, terms.internal) > 0


def test_the_internal_term_of_an_entropy_is_relative_entropy():
    mu, star = density(0), density(1)
    terms = jko.diagnostics.decomposition(0.3 * jko.Entropy(), mu, star)
    kl = rel_entr(mu.weights.numpy(), star.weights.numpy()).sum()
    assert abs(terms.internal - 0.3 * kl) < 1e-13


def test_the_internal_term_of_a_square_is_half_the_squared_distance():
    mu, star = density(0), density(1)
    terms = jko.diagnostics.decomposition(0.3 * jko.PorousMedium(2), mu, star)
    square = np.sum((mu.values.numpy() - star.values.numpy()) ** 2) * GRID.cell
    assert abs(terms.internal - 0.15 * square) < 1e-13


def test_at_the_minimiser_the_slope_is_zero_with_heat_and_positive_with_a_porous_medium():
    heat, porous = ENERGIES["heat"], net() + 1.0 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(2)
    mu = density(0)
    full = jko.diagnostics.decomposition(heat, mu, jko.minimiser(heat, GRID).state)
    partial = jko.diagnostics.decomposition(porous, mu, jko.minimiser(porous, GRID).state)
    assert abs(full.slope) < 1e-8, "(4.5) holds as printed"
    assert partial.slope > 0.1, "(4.8) does not, where the minimiser has no full support"


def test_atoms_without_internal_energy():
    F = net() + 0.1 * jko.SquaredNorm()
    mu, star = (jko.Particles(torch.randn(n, 2, dtype=torch.float64)) for n in (5, 8))
    terms = jko.diagnostics.decomposition(F, mu, star)
    assert abs(terms.total - float(F(mu) - F(star))) < 1e-12


def test_bad_input_is_said():
    F, mu = ENERGIES["heat"], density(0)
    other = jko.GridDensity.from_function(jko.Grid((-3.0, 3.0), (6, 6)), lambda x: 1 + 0 * x[:, 0])
    with pytest.raises(ValueError, match=r"the grid must be the same"):
        jko.diagnostics.decomposition(F, mu, other)
    values = mu.values.clone()
    values[0] = 0
    holes = jko.GridDensity(GRID, values / (values.sum() * GRID.cell))
    with pytest.raises(ValueError, match=r"the divergence is \+inf"):
        jko.diagnostics.decomposition(F, mu, holes)
    assert jko.diagnostics.decomposition(F, holes, mu).internal > 0


def test_what_has_no_density_or_other_cells_is_a_sentence():
    atoms, F = jko.Particles([[0.0]]), 0.3 * jko.Entropy()
    with pytest.raises(TypeError, match=r"atoms have no density"):
        jko.diagnostics.decomposition(F, atoms, jko.Particles([[1.0]]))
    with pytest.raises(TypeError, match=r"mu must be .* not list"):
        jko.diagnostics.decomposition(F, [[0.0]], atoms)
    with pytest.raises(TypeError, match=r"mu is Particles but star is GridDensity"):
        jko.diagnostics.decomposition(F, atoms, density(0))
    meshes = [jko.LineMesh(edges, [0.5, 0.5]) for edges in ([0.0, 0.5, 1.0], [0.0, 0.4, 1.0])]
    with pytest.raises(ValueError, match=r"the cells must be the same"):
        jko.diagnostics.decomposition(F, *meshes)


@pytest.mark.parametrize("kind", ["particles", "pair", "density"])
@pytest.mark.parametrize(
    "E", [jko.SquaredNorm(), jko.KernelEntropy(0.5), jko.Interaction(lambda z: (z * z).sum(-1))]
)
def test_states_of_two_dimensions_are_refused(E, kind):
    one, two = (
        {
            "particles": lambda d: jko.Particles(np.ones((2, d))),
            "pair": lambda d: jko.ChargedParticles(np.eye(2, d), [0.0, 1.0]),
            "density": lambda d: jko.GridDensity(
                jko.Grid([(0.0, 1.0)] * d, (2,) * d), np.ones((2,) * d)
            ),
        }[kind](d)
        for d in (1, 2)
    )
    for mu, star in ((one, two), (two, one)):
        with pytest.raises(ValueError, match=r"mu has dimension|mu lives on"):
            jko.diagnostics.decomposition(E, mu, star)
    single = jko.Particles(torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"mu has dtype torch.float32"):
        jko.diagnostics.decomposition(E, single, jko.Particles([[1.0]]))
