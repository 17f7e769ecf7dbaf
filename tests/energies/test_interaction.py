"""Kernels that are singular at 0: the double integral over x != y, and the sentence that names it."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.testing import check_energy, samples

N = 40


def coulomb(z):
    return -z.norm(dim=1).log()


def cone(z):
    return -z.square().sum(-1).sqrt()


REPULSION = jko.Interaction(coulomb, diagonal=False)
RNG = np.random.default_rng(3)
MU = jko.Particles(RNG.standard_normal((6, 2)), [0.05, 0.3, 0.15, 0.3, 0.1, 0.1])


def test_the_energy_is_the_double_sum_over_pairs_that_are_apart():
    x, m = MU.points.numpy(), MU.weights.numpy()
    total = sum(
        -0.5 * m[i] * m[j] * math.log(np.linalg.norm(x[i] - x[j]))
        for i in range(6)
        for j in range(6)
        if i != j
    )
    assert float(REPULSION(MU)) == pytest.approx(total, rel=1e-13)
    slope = [
        sum(-m[j] * (x[i] - x[j]) / np.sum((x[i] - x[j]) ** 2) for j in range(6) if i != j)
        for i in range(6)
    ]
    assert REPULSION.gradient(MU).numpy() == pytest.approx(np.array(slope), rel=1e-12)


@pytest.mark.parametrize("W", [coulomb, cone], ids=["pole", "kink"])
def test_it_keeps_the_contract_of_an_energy(W):
    check_energy(jko.Interaction(W, diagonal=False))


def test_a_kernel_outside_torch_keeps_it_too():
    def slope(z):
        return -z / np.sum(np.square(z), axis=1, keepdims=True)

    def value(z):
        return -0.5 * np.log(np.sum(np.square(z), axis=1))

    E = jko.Interaction(value, gradient=slope, diagonal=False)
    check_energy(E, [samples.cloud(2)])
    assert torch.allclose(E.gradient(MU), REPULSION.gradient(MU), rtol=1e-12)


def test_the_diagonal_of_a_kernel_that_is_zero_there_changes_nothing():
    for W in (lambda z: -z.norm(dim=1), lambda z: z.square().sum(-1)):
        with_it, without = jko.Interaction(W), jko.Interaction(W, diagonal=False)
        assert float(with_it(MU)) == pytest.approx(float(without(MU)), rel=1e-13)
        assert torch.allclose(with_it.gradient(MU), without.gradient(MU), rtol=1e-12)


def test_charges_in_a_well_fill_a_disc():
    """-log|z| in the well |x|^2 / 2 rests as the uniform law on the unit disc: 3/8, and radii with mean square 1/2."""
    start = jko.Particles.normal(N, 2, generator=torch.Generator().manual_seed(0))
    run = jko.flow(REPULSION + jko.SquaredNorm(), start, tau=0.5, t1=10.0)
    x = run.final.points
    assert float(run.final.integrate(x.square().sum(-1))) == pytest.approx(0.5 - 0.5 / N, rel=1e-3)
    assert float(x.norm(dim=1).max()) < 1
    assert run.energies[-1] == pytest.approx(3 / 8 - math.log(N) / (4 * N), abs=0.01)
    assert (np.diff(run.energies) <= 0).all()


def test_two_charges_part_by_the_root_of_the_time():
    """x' = 1 / (2 * 2 x) for atoms at x and -x of mass 1/2: x^2 = x_0^2 + t / 2."""
    start = jko.Particles([[0.1, 0.0], [-0.1, 0.0]])
    run = jko.flow(REPULSION, start, tau=0.01, t1=1.0, solver=jko.LBFGS(tol=1e-10))
    assert float(run.final.points[0, 0]) == pytest.approx(math.sqrt(0.01 + 0.5), rel=0.01)


def test_a_density_on_a_grid_takes_it():
    grid = jko.Grid((-1.0, 1.0), 80)
    flat = jko.GridDensity.from_function(grid, lambda z: torch.ones(len(z), dtype=z.dtype))
    exact = -0.5 * (math.log(2) - 1.5)  # of the uniform law on [-1, 1]
    own = -0.5 * grid.cell / 2 * (math.log(grid.cell) - 1.5)  # of each cell in itself
    assert float(REPULSION(flat)) == pytest.approx(exact - own, abs=0.1 * grid.cell)
    step = jko.step(REPULSION + 0.1 * jko.Entropy(), flat, tau=0.05)
    assert step.slack >= 0


@pytest.mark.parametrize(
    ("W", "ask", "sentence"),
    [
        (coulomb, lambda E: E(MU), r"W is inf at 0, .* diagonal=False\)"),
        (coulomb, lambda E: jko.step(E, MU, tau=0.1), r"W is inf at 0, .* diagonal=False\)"),
        (cone, lambda E: E.gradient(MU), r"slope \[nan, nan\] at 0, .* diagonal=False\)"),
        (cone, lambda E: jko.step(E, MU, tau=0.1), r"slope \[nan, nan\] at 0"),
    ],
)
def test_a_kernel_that_is_singular_at_zero_is_named(W, ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(jko.Interaction(W))


def test_the_value_of_a_kernel_with_a_kink_needs_no_slope():
    assert float(jko.Interaction(cone)(MU)) == pytest.approx(
        float(jko.Interaction(cone, diagonal=False)(MU))
    )
