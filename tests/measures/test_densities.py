"""Grids, densities on them, meshes of the line, and energies read on these."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

import jko
from jko.energies import parts


def gaussian(grid, s=1.0):
    return jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1) / (2 * s**2)).exp())


GRIDS = [
    jko.Grid((-6.0, 6.0), 240),
    jko.Grid(((-6.0, 6.0), (-7.0, 6.5)), (60, 75)),
    jko.Grid((-6.0, 6.0), (30, 31, 32)),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_fills_its_box(grid):
    width = [b - a for a, b in grid.bounds]
    assert grid.cell * grid.N == pytest.approx(math.prod(width), rel=1e-13)
    assert grid.centres.shape == (grid.N, grid.dim)
    index = tuple(n // 2 for n in grid.shape)
    centre = grid.centres.reshape(*grid.shape, grid.dim)[index]
    for k, (a, _) in enumerate(grid.bounds):
        assert float(centre[k]) == pytest.approx(a + (index[k] + 0.5) * grid.spacing[k], abs=1e-13)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_gaussian_has_its_moments_and_its_entropy(grid):
    rho, d = gaussian(grid), grid.dim
    assert float(rho.mass) == pytest.approx(1, abs=1e-14)
    assert rho.mean().abs().max() < 1e-6
    assert (rho.covariance() - torch.eye(d, dtype=torch.float64)).abs().max() < 1e-6
    assert float(jko.Entropy()(rho)) == pytest.approx(
        -d / 2 * math.log(2 * math.pi * math.e), abs=1e-6
    )
    assert float(jko.PorousMedium(2)(rho)) == pytest.approx(
        0.5 * (4 * math.pi) ** (-d / 2), rel=1e-6
    )
    assert float(jko.SquaredNorm()(rho)) == pytest.approx(d / 2, rel=1e-6)


def test_integrals_take_cells_in_both_shapes_and_pass_over_what_is_empty():
    grid = jko.Grid((0.0, 1.0), (3, 4))
    values = torch.zeros(3, 4, dtype=torch.float64)
    values[1, 2] = 12.0
    rho = jko.GridDensity(grid, values)
    f = torch.full((3, 4), torch.inf, dtype=torch.float64)
    f[1, 2] = 5.0
    assert float(rho.integrate(f)) == float(rho.integrate(f.reshape(-1))) == 5.0
    assert float(jko.Potential(lambda x: f.reshape(-1))(rho)) == 5.0
    assert rho.integrate(f[..., None]).shape == (1,)
    assert rho.to_particles().points.tolist() == [[0.5, 0.625]]


def test_samples_fall_where_the_mass_is():
    rho = jko.GridDensity(jko.Grid((0.0, 4.0), 4), [0.0, 0.25, 0.75, 0.0])
    cloud = rho.sample(20000, generator=torch.Generator().manual_seed(1))
    x = cloud.points[:, 0]
    assert float(x.min()) >= 1
    assert float(x.max()) <= 3
    assert float((x > 2).double().mean()) == pytest.approx(0.75, abs=0.02)
    assert float(x.var()) == pytest.approx(float(rho.covariance()) + 1 / 12, rel=0.02)


@pytest.mark.parametrize("m", [1.5, 2.0, 3.0, 4.5])
def test_the_conjugate_of_an_internal_energy_inverts_its_slope(m):
    rho = torch.tensor([0.01, 0.3, 1.0, 7.0], dtype=torch.float64)
    for E in (jko.Entropy(), jko.PorousMedium(m)):
        r = rho.clone().requires_grad_()
        (slope,) = torch.autograd.grad(E.U(r).sum(), r)
        assert torch.allclose(slope, E.slope(rho), rtol=1e-13)
        p = E.slope(rho).requires_grad_()
        assert torch.allclose(E.density(p), rho, rtol=1e-13)
        (curvature,) = torch.autograd.grad(E.density(p).sum(), p)
        assert torch.allclose(curvature, E.density_slope(p), rtol=1e-12)
    below = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    assert jko.PorousMedium(m).density(below).tolist() == [0.0, 0.0]
    assert jko.PorousMedium(m).density_slope(below).tolist() == [0.0, 0.0]


def test_the_variation_is_the_derivative_along_cell_masses():
    grid = jko.Grid((-1.0, 1.0), (4, 5))
    rho = jko.GridDensity.from_function(grid, lambda x: 1 + 0.3 * x[:, 0] - 0.2 * x[:, 1] ** 2)
    data = jko.Data(torch.tensor([[0.3], [-0.7]]).double(), [1.0, 0.2])
    risk = jko.Risk(data, features=lambda xi, x: torch.tanh(xi[:, :1] * x[:, 0] + xi[:, 1:]))
    pull = jko.Interaction(lambda z: (z**2).sum(-1) ** 1.5)
    F = risk + 0.3 * jko.Entropy() + jko.PorousMedium(3) + 0.1 * jko.SquaredNorm() + 0.2 * pull
    variation, eps = F.variation(rho), 1e-6
    for k in (0, 7, 19):
        bump = torch.zeros(20, dtype=torch.float64)
        bump[k] = eps / grid.cell
        up, down = (jko.GridDensity.of(grid, rho.values + s * bump.reshape(4, 5)) for s in (1, -1))
        assert float(F(up) - F(down)) / (2 * eps) == pytest.approx(float(variation[k]), abs=1e-7)


def test_parts_add_up_to_the_energy():
    grid = jko.Grid((-2.0, 2.0), (9, 8))
    rho = gaussian(grid)
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    risk = jko.Risk(
        jko.Data(x, torch.sin(3 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] * x[:, 0]),
    )
    F = (
        2.0 * risk
        + 0.3 * jko.Entropy()
        + 0.1 * jko.SquaredNorm()
        + 0.5 * jko.Interaction(lambda z: z[:, 0] ** 2)
    )
    for p in (parts(F, rho), parts(F, rho).compressed()):
        m = rho.weights
        r = p.features @ m - p.targets
        total = (
            p.potential @ m
            + 0.5 * r @ r
            + p.constant
            + p.rest(rho)
            + sum(c * E(rho) for c, E in p.internal)
        )
        assert float(total) == pytest.approx(float(F(rho)), rel=1e-12)
    assert len(parts(F, rho).compressed().targets) < 12


def test_a_mesh_is_exact_where_two_gauss_points_are():
    mesh = jko.LineMesh([0.0, 0.2, 0.7, 1.5], [0.2, 0.3, 0.5])
    for power in range(4):
        exact = sum(
            float(v) * integrate.quad(lambda x, k: x**k, float(a), float(b), args=(power,))[0]
            for v, a, b in zip(mesh.values, mesh.edges[:-1], mesh.edges[1:], strict=True)
        )
        assert float(mesh.integrate(mesh.support[:, 0] ** power)) == pytest.approx(exact, rel=1e-13)
    assert float(mesh.atoms.mass) == pytest.approx(1, abs=1e-15)
    rho = torch.tensor([1.0, 0.6, 0.625], dtype=torch.float64)
    assert float(jko.Entropy()(mesh)) == pytest.approx(
        float((mesh.masses * rho.log()).sum()), rel=1e-12
    )


def test_meshes_and_grids_hand_mass_over_exactly():
    grid = jko.Grid((-3.0, 3.0), 30)
    rho = jko.GridDensity.from_function(grid, lambda x: (1 - x[:, 0] ** 2).clamp(min=0))
    mesh = jko.LineMesh.from_density(rho)
    assert torch.allclose(mesh.to_density(grid).values, rho.values, atol=1e-14)
    coarse = mesh.to_density(jko.Grid((-4.0, 4.0), 7))
    assert float(coarse.mass) == pytest.approx(1, abs=1e-14)
    assert float(coarse.mean()) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(
    "state",
    [
        gaussian(jko.Grid((-4.0, 4.0), (5, 6))),
        jko.LineMesh([0.0, 1.0, 3.0], [0.5, 0.5], jko.Box(-1.0, 4.0)),
    ],
)
def test_a_saved_density_comes_back(tmp_path, state):
    run = jko.Trajectory(np.zeros(1), np.zeros(1), (state,), np.zeros(1, dtype=int))
    back = jko.Trajectory.load(run.save(tmp_path / "run")).final
    assert type(back) is type(state)
    assert torch.equal(back.values, state.values)
    assert torch.equal(back.support, state.support)


BAD = {
    "negative": (lambda: jko.GridDensity(jko.Grid((0, 1), 2), [3.0, -1.0]), ValueError, "not negative"),
    "mass": (lambda: jko.GridDensity(jko.Grid((0, 1), 2), [3.0, 1.0]), ValueError, "total mass 2"),
    "nan": (lambda: jko.GridDensity(jko.Grid((0, 1), 2), [np.nan, 1.0]), ValueError, "not finite"),
    "shape": (lambda: jko.GridDensity(jko.Grid((0, 1), 3), [1.0, 1.0]), ValueError, r"has \(3,\) cells"),
    "four axes": (lambda: jko.Grid((0, 1), (2, 2, 2, 2)), ValueError, "d = 1, 2 or 3"),
    "bounds": (lambda: jko.Grid((1, 0), 2), ValueError, "lower < upper"),
    "infinite": (lambda: jko.Grid((0, np.inf), 2), ValueError, "not finite"),
    "no cells": (lambda: jko.Grid((0, 1), 0), ValueError, "at least 1"),
    "no grid": (lambda: jko.GridDensity([0, 1], [1.0]), TypeError, r"jko.Grid\(bounds, shape\)"),
    "zero": (
        lambda: jko.GridDensity.from_function(jko.Grid((0, 1), 2), lambda x: 0 * x[:, 0]),
        ValueError,
        "positive somewhere",
    ),
    "m": (lambda: jko.PorousMedium(1.0), ValueError, "m = 1"),
    "edges": (lambda: jko.LineMesh([0.0, 0.0, 1.0], [0.5, 0.5]), ValueError, "must increase"),
    "holes": (
        lambda: jko.LineMesh.from_density(jko.GridDensity(jko.Grid((0, 3), 3), [0.5, 0, 0.5])),
        ValueError,
        "no holes",
    ),
    "plane": (lambda: jko.LineMesh.from_density(gaussian(GRIDS[1])), ValueError, "dimension 2"),
    "obstacle": (
        lambda: parts(jko.Potential(lambda x: torch.where(x[:, 0] > 0, torch.inf, 0.0).double()), gaussian(GRIDS[0])),
        ValueError,
        "lies where the potential is .inf",
    ),
    "no room": (
        lambda: parts(jko.Potential(lambda x: torch.full_like(x[:, 0], torch.inf)), gaussian(GRIDS[0])),
        ValueError,
        "no place for mass",
    ),
    "dimension of the risk": (
        lambda: parts(jko.Risk(jko.Data([[0.0]], [1.0]), activation=jko.Ridge(torch.tanh)), gaussian(GRIDS[0])),
        ValueError,
        "need 3 columns",
    ),
    "atoms' solver": (
        lambda: jko.step(jko.Entropy(), gaussian(GRIDS[0]), tau=0.1, solver=jko.LBFGS()),
        TypeError,
        r"jko.Dynamic\(\) on a grid",
    ),
    "pointwise": (lambda: jko.Entropy().gradient(gaussian(GRIDS[0])), TypeError, "constant on its cells"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_about_densities_gets_a_sentence(case):
    act, kind, sentence = BAD[case]
    with pytest.raises(kind, match=sentence):
        act()
