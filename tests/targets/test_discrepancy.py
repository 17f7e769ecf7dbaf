"""Half of the squared MMD: against double sums, scipy's energy distance and torch; and where its flow goes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import energy_distance

import jko
from jko.energies import Energy, interaction
from jko.targets import (
    GaussianKernel,
    InverseMultiquadric,
    NegativeDistance,
    Pull,
    RadialInteraction,
    RadialKernel,
    radial,
)
from jko.testing import check_energy, samples


def laplace(z):
    """A kernel of one's own that is no function of |z|."""
    return torch.exp(-z.abs().sum(-1))


KERNELS = {
    "distance": NegativeDistance(),
    "gauss": GaussianKernel(0.7),
    "multiquadric": InverseMultiquadric(0.5),
    "own": laplace,
}
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


def nu(dim):
    return samples.cloud(dim, 5, N=4)


@every_kernel
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_it_keeps_the_contract_of_an_energy(kernel, dim):
    E = jko.Discrepancy(nu(dim), kernel)
    assert E.convex
    check_energy(E, [samples.cloud(dim)])
    check_energy(0.5 * E + jko.SquaredNorm(), [samples.cloud(dim)])


@every_kernel
def test_it_is_one_of_densities_and_pairs_too(kernel):
    check_energy(jko.Discrepancy(nu(2), kernel), [samples.bump(2), samples.pair(1)])
    check_energy(jko.Discrepancy(nu(1), kernel), [samples.mesh()])


@every_kernel
def test_it_is_the_double_sum(kernel):
    mu = samples.cloud(2)
    points = torch.cat([mu.points, nu(2).points])
    signed = torch.cat([mu.weights, -nu(2).weights])
    k = torch.stack([kernel(p - points) for p in points])
    value = jko.Discrepancy(nu(2), kernel)(mu)
    assert float(value) == pytest.approx(float(0.5 * signed @ k @ signed), rel=1e-12)


numbers = st.lists(st.floats(-10, 10), min_size=1, max_size=6)


@given(a=numbers, b=numbers)
def test_the_default_is_half_of_the_energy_distance(a, b):
    E = jko.Discrepancy(np.array(b)[:, None])
    value = float(E(jko.Particles(np.array(a)[:, None])))
    assert value == pytest.approx(0.5 * energy_distance(a, b) ** 2, abs=1e-12)


@pytest.mark.parametrize("name", ["distance", "gauss", "multiquadric"])
def test_the_closed_forms_are_what_torch_finds(name, monkeypatch):
    """Also where a block holds one row."""
    mu, kernel = samples.cloud(3), KERNELS[name]
    fast, plain = RadialInteraction(kernel), jko.Interaction(kernel, diagonal=False)
    if name != "distance":
        plain = jko.Interaction(kernel)
    monkeypatch.setattr(radial, "BLOCK", 1)
    for a, b in zip(fast.evaluate(mu), plain.evaluate(mu), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)
    v = samples.points(5, 3, 2)
    one, other = fast.second_order(mu), Energy.second_order(plain, mu)
    assert torch.allclose(
        (one.blocks @ v[:, :, None])[:, :, 0] + one.cross(v),
        (other.blocks @ v[:, :, None])[:, :, 0] + other.cross(v),
        rtol=1e-10,
    )


def test_atoms_on_samples_feel_no_slope_of_a_kink():
    mu = nu(2)
    E = jko.Discrepancy(mu)
    assert float(E(mu)) == pytest.approx(0, abs=1e-15)
    assert torch.allclose(E.gradient(mu), torch.zeros_like(mu.points), atol=1e-14)
    assert torch.isfinite(E.second_order(mu).blocks).all()


@every_kernel
def test_a_flow_lowers_it_and_two_clouds_meet(kernel):
    generator = torch.Generator().manual_seed(1)
    target = jko.Particles.normal(12, 2, generator=generator, scale=0.5)
    start = target.moved(jko.Particles.normal(12, 2, generator=generator).points + 0.5)
    E = jko.Discrepancy(target, kernel)
    run = jko.flow(E, start, tau=2.0, steps=6, throw=False)
    assert (np.diff(run.energies) <= 1e-14).all()
    assert run.energies[-1] < 0.15 * run.energies[0]


def test_one_atom_goes_to_one_sample_at_unit_speed():
    """E = |x - y| beside a Dirac mass: the energy distance of two of them is 2 |x - y|."""
    run = jko.flow(jko.Discrepancy([[0.0, 0.0]]), jko.Particles([[3.0, 4.0]]), tau=0.5, t1=2.0)
    assert run.final.points[0].tolist() == pytest.approx([1.8, 2.4], rel=1e-6)


def test_a_conic_program_finds_the_minimum_over_masses():
    """On fixed points W2 costs are linear in a plan: with a large tau the masses are those of the samples."""
    target = jko.Particles([[0.0], [1.0], [2.0]], [0.2, 0.5, 0.3])
    grid = jko.Grid((-0.5, 2.5), 3)
    flat = jko.GridDensity.from_function(grid, lambda x: torch.ones(len(x), dtype=x.dtype))
    result = jko.step(jko.Discrepancy(target), flat, tau=1e4, solver=jko.Conic())
    assert result.state.weights.tolist() == pytest.approx([0.2, 0.5, 0.3], abs=1e-3)


def test_solvers_see_an_interaction_and_a_potential():
    terms = jko.energies.sorted_terms(2 * jko.Discrepancy(nu(2)) + jko.Entropy())
    assert [type(E) for _, E in terms.interactions] == [RadialInteraction]
    assert [type(E) for _, E in terms.linear] == [Pull]
    assert [c for c, _ in terms.all] == [2, 2, 1]


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: GaussianKernel(0.0), ValueError, "bandwidth = 0"),
        (lambda: InverseMultiquadric(-1.0), ValueError, "scale = -1"),
        (lambda: jko.Discrepancy([[0.0], [1.0]], "gauss"), TypeError, "callable"),
        (lambda: jko.Discrepancy([0.0, 1.0]), ValueError, "points has shape"),
        (
            lambda: jko.Discrepancy([[0.0], [1.0]], lambda z: z.square().sum(-1)),
            ValueError,
            "not positive definite",
        ),
        (lambda: jko.Discrepancy(nu(2))(samples.cloud(3)), ValueError, "dimension 2 but the state"),
        (lambda: RadialInteraction(laplace), TypeError, "W must be RadialKernel"),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_it_keeps_the_dtype():
    mu = jko.Particles(samples.points(5, 2).float())
    E = jko.Discrepancy(nu(2).points.float())
    assert E(mu).dtype == E.gradient(mu).dtype == torch.float32
    with pytest.raises(ValueError, match="dtype"):
        jko.Discrepancy(nu(2))(mu)


def test_a_radial_kernel_of_ones_own_needs_phi_and_a_triple():
    class Cauchy(RadialKernel):
        def phi(self, s):
            return 1 / (1 + s)

        def profile(self, s):
            k = self.phi(s)
            return k, -(k**2), 2 * k**3

    check_energy(jko.Discrepancy(nu(2), Cauchy()), [samples.cloud(2)])


@every_kernel
def test_an_evaluation_looks_at_some_pairs_at_a_time(kernel, monkeypatch):
    """Also where torch records the slope of a kernel: no block is larger than it may be."""
    mu, largest = samples.cloud(2, N=32), []
    E = jko.Discrepancy(samples.cloud(2, 1, N=32).points, kernel)
    between = jko.Interaction.kernel
    monkeypatch.setattr(interaction, "BLOCK", 64)
    monkeypatch.setattr(radial, "BLOCK", 64)
    monkeypatch.setattr(
        jko.Interaction, "kernel", lambda self, z: largest.append(len(z)) or between(self, z)
    )
    phi = radial._differences
    monkeypatch.setattr(
        radial, "_differences", lambda x, y: largest.append(len(x) * len(y)) or phi(x, y)
    )
    E.evaluate(mu)
    assert 32 <= max(largest) <= 64
