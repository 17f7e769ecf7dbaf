"""An energy read once: its terms by kind, and as a function of masses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jko
from jko.energies import joined, negative, parts, positive, refuse, sorted_terms

DATA = jko.Data([[0.0], [1.0]], [1.0, -1.0])
TERMS = [
    jko.Potential(lambda xi: xi[:, 0] ** 2),
    jko.SquaredNorm(),
    jko.Entropy(),
    jko.PorousMedium(2),
    jko.Risk(DATA, features=lambda xi, x: torch.sin(xi @ x.T)),
    jko.Interaction(lambda z: (z * z).sum(-1), convex=False),
    jko.KernelEntropy(0.5),
]
energies = st.lists(
    st.tuples(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0]), st.sampled_from(TERMS)),
    min_size=1,
    max_size=7,
)


def total(terms):
    return sum((c * E for c, E in terms[1:]), terms[0][0] * terms[0][1])


@given(energies)
def test_every_term_that_is_not_zero_is_in_one_kind(chosen):
    terms = sorted_terms(total(chosen))
    kinds = (terms.linear, terms.internal, terms.risks, terms.interactions, terms.of_theta)
    rest = terms.without(
        jko.energies.Linear, jko.Internal, jko.Risk, jko.Interaction, jko.energies.OnTheta
    )
    counted = [id(E) for kind in (*kinds, rest) for _, E in kind]
    assert sorted(counted) == sorted(id(E) for c, E in chosen if c != 0)
    assert terms.lam == sum(c for c, E in chosen if isinstance(E, jko.SquaredNorm))
    for kind in kinds:
        assert (*positive(kind), *negative(kind)) == tuple(sorted(kind, key=lambda t: t[0] < 0))


@settings(max_examples=30, deadline=None)
@given(energies)
def test_the_parts_have_the_value_and_the_slope_of_the_energy(chosen):
    energy = total(chosen)
    rho = jko.GridDensity.from_function(
        jko.Grid((-1.0, 1.0), 6), lambda x: 2 + torch.sin(3 * x[:, 0])
    )
    read = parts(energy, rho)
    m = rho.weights
    assert read.value(m) == pytest.approx(float(energy(rho)), rel=1e-12, abs=1e-12)
    torch.testing.assert_close(read.slope(m), energy.variation(rho), rtol=1e-11, atol=1e-11)


def test_a_mesh_is_read_on_its_cells():
    mesh = jko.LineMesh([-2.0, -0.5, 0.0, 1.5], [0.3, 0.5, 0.2])
    energy = jko.SquaredNorm() + jko.Entropy() + TERMS[4]
    cells = parts(energy, mesh).on_cells()
    assert cells.value(mesh.masses) == pytest.approx(float(energy(mesh)), rel=1e-12)


def test_a_potential_is_not_paid_where_no_mass_is():
    grid = jko.Grid((0.0, 1.0), 4)
    rho = jko.GridDensity(grid, [2.0, 2.0, 0.0, 0.0])
    wall = jko.Potential(lambda x: torch.where(x[:, 0] > 0.5, torch.inf, 0.0))
    read = parts(wall + jko.PorousMedium(2), rho)
    assert read.value(rho.weights) == 1.0
    assert read.slope(rho.weights).isinf().tolist() == [False, False, True, True]


def test_a_refusal_names_the_term():
    terms = sorted_terms(jko.SquaredNorm() - 2 * jko.PorousMedium(3))
    refuse(negative(terms.linear), "never said")
    with pytest.raises(TypeError, match=r"PorousMedium has -2: PorousMedium\(3\)"):
        refuse(negative(terms.internal), "{name} has {c:g}: {energy}", TypeError)


def test_terms_come_together_again():
    energy = jko.SquaredNorm() - 2 * jko.PorousMedium(3)
    assert joined(sorted_terms(energy).all).terms == energy.terms
    assert joined(()) is None
