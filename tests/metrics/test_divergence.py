"""Claim: the Sinkhorn divergence of clouds and of pairs (rho, H) is the debiased entropic form of W2 and of D."""

from __future__ import annotations

import math

import cvxpy as cp
import numpy as np
import ot
import pytest
import torch

import jko
from jko import ChargedDensity, ChargedMesh, ChargedParticles, Grid, Particles
from jko.metrics import SinkhornDivergence
from jko.metrics.entropic import clouds, divergence, scaling


def cloud(seed, N, dim, scale=1.0, shift=0.0, equal=False):
    g = np.random.default_rng(seed)
    m = None if equal else g.dirichlet(np.ones(N)) * 0.9 + 0.1 / N
    return Particles(scale * g.normal(size=(N, dim)) + shift, m)


def pair(seed, N, d, scale=1.0):
    return cloud(seed, N, d + 1, scale).project()


def by_others(a, b, epsilon):
    """S(a, b) by POT's scaling iterations."""

    def entropic(p, q):
        x, mu, y, nu = (t.numpy() for t in (p.points, p.weights, q.points, q.weights))
        mu, nu = mu / mu.sum(), nu / nu.sum()
        cost = ((x[:, None] - y) ** 2).sum(-1)
        plan = ot.bregman.sinkhorn_log(mu, nu, cost, epsilon, numItermax=20_000, stopThr=1e-9)
        kept = plan > 0
        entropy = plan[kept] * np.log(plan[kept] / np.outer(mu, nu)[kept])
        return (plan * cost).sum() + epsilon * entropy.sum()

    return entropic(a, b) - 0.5 * (entropic(a, a) + entropic(b, b))


def orders(errors):
    e = np.abs(np.array(errors))
    return np.log2(e[:-1] / e[1:])


# --------------------------------------------------------------------------------------------- value


@pytest.mark.parametrize("dim", [1, 2, 4])
@pytest.mark.parametrize("epsilon", [8.0, 2.0])
def test_it_agrees_with_a_sinkhorn_of_others(dim, epsilon):
    a, b = cloud(1, 17, dim), cloud(2, 24, dim, 0.7, 0.5)
    found = SinkhornDivergence(epsilon, tol=1e-10).distance(a, b)
    assert found.squared == pytest.approx(by_others(a, b, epsilon), abs=1e-7)
    assert found.residual <= 1e-10
    assert found.epsilon == epsilon
    assert found.value == math.sqrt(found.squared)


@pytest.mark.parametrize("epsilon", [0.3, 0.03])
def test_where_epsilon_is_small_it_agrees_with_a_conic_referee(epsilon):
    a, b = cloud(1, 6, 2), cloud(2, 7, 2, 0.7, 0.5)

    def entropic(p, q):
        x, mu, y, nu = (t.numpy() for t in (p.points, p.weights, q.points, q.weights))
        cost = ((x[:, None] - y) ** 2).sum(-1)
        plan = cp.Variable(cost.shape, nonneg=True)
        entropy = cp.sum(cp.rel_entr(plan, np.outer(mu, nu)))
        problem = cp.Problem(
            cp.Minimize(cp.sum(cp.multiply(cost, plan)) + epsilon * entropy),
            [cp.sum(plan, axis=1) == mu, cp.sum(plan, axis=0) == nu],
        )
        return problem.solve(solver=cp.CLARABEL)

    exact = entropic(a, b) - 0.5 * (entropic(a, a) + entropic(b, b))
    found = SinkhornDivergence(epsilon, tol=1e-10).distance(a, b)
    assert found.squared == pytest.approx(exact, abs=1e-6)


def test_between_pairs_it_is_that_of_the_lifts():
    S, a, b = SinkhornDivergence(2.0, tol=1e-9), pair(1, 12, 2), pair(2, 15, 2, 0.5)
    found = S.distance(a, b)
    assert found.squared == S.distance(a.lift(), b.lift()).squared
    assert found.squared == pytest.approx(by_others(a.lift(), b.lift(), 2.0), abs=1e-7)


def test_all_kinds_of_pairs_have_it():
    law, H = (lambda x: (-(x[:, 0] ** 2)).exp()), (lambda x: torch.sin(x[:, 0]))
    grid = ChargedDensity.from_function(Grid((-3.0, 3.0), 40), law, H)
    mesh = ChargedMesh.from_function(law, H, (-3.0, 3.0), 30)
    S = SinkhornDivergence(0.1)
    exact = by_others(grid.lift(), mesh.lift(), 0.1)
    assert S.distance(grid, mesh).squared == pytest.approx(exact, abs=1e-6)
    assert S.distance(mesh.to_particles(), mesh).squared == pytest.approx(0, abs=1e-6)


def test_cells_without_mass_do_not_count():
    nan = math.nan
    a = ChargedDensity(Grid((0.0, 4.0), 4), [0.4, 0.6, 0, 0], [1.0, -1.0, nan, nan])
    b = ChargedDensity(Grid((0.0, 4.0), 4), [0, 0.5, 0.5, 0], [nan, 1.0, 0.0, nan])
    S = SinkhornDivergence(0.2, tol=1e-10)
    assert S.distance(a, b).squared == pytest.approx(by_others(a.lift(), b.lift(), 0.2), abs=1e-7)
    assert S.distance(a, a).squared == 0


def test_it_vanishes_at_equal_states_and_is_symmetric():
    a, b = cloud(1, 30, 3), cloud(2, 20, 3)
    S = SinkhornDivergence(0.2, tol=1e-10)
    assert S.distance(a, a).squared == 0
    copy = Particles(a.points.flip(0).clone(), a.weights.flip(0).clone())
    assert S.distance(a, copy).squared == pytest.approx(0, abs=1e-9)
    assert S.distance(a, b).squared == pytest.approx(S.distance(b, a).squared, abs=1e-9)


@pytest.mark.parametrize("epsilon", [10.0, 0.5, 0.02])
def test_a_translation_costs_its_square_whatever_epsilon(epsilon):
    a, c = cloud(3, 25, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    b = Particles(a.points + c, a.weights)
    assert SinkhornDivergence(epsilon, tol=1e-11).distance(a, b).squared == pytest.approx(
        5.25, abs=1e-8
    )


def test_it_tends_to_D_squared_at_first_order_where_masses_split():
    a, b = pair(1, 30, 2), pair(2, 25, 2, 0.7)
    exact = jko.distance(a, b).squared
    epsilons = (4e-3, 2e-3, 1e-3, 5e-4)
    errors = [SinkhornDivergence(e, tol=1e-9).distance(a, b).squared - exact for e in epsilons]
    assert orders(errors) == pytest.approx([1, 1, 1], abs=0.1)
    # the plans are vertices: epsilon (KL of the plan - half of both atomic entropies)
    plan = jko.distance(a, b).plan
    m, n = a.weights.numpy(), b.weights.numpy()
    entropy = (plan.mass * np.log(plan.mass / (m[plan.rows] * n[plan.cols]))).sum()
    slope = entropy + 0.5 * (m @ np.log(m) + n @ np.log(n))
    assert errors[-1] / epsilons[-1] == pytest.approx(slope, abs=2e-2)


def test_it_tends_to_D_squared_faster_than_any_power_where_atoms_go_to_atoms():
    a, b = cloud(1, 30, 3, equal=True).project(), cloud(2, 30, 3, 0.7, equal=True).project()
    exact = jko.distance(a, b).squared
    errors = [
        SinkhornDivergence(e, tol=1e-10).distance(a, b).squared - exact for e in (0.1, 0.02, 1e-4)
    ]
    assert abs(errors[1]) < 0.2 * abs(errors[0])
    assert abs(errors[2]) < 1e-8


# ----------------------------------------------------------------------------------------- derivative


def slope_of(cost, x, move, h=1e-5):
    return (float(cost(x + h * move)) - float(cost(x - h * move))) / (2 * h)


def noise(shape, seed=7):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
def test_it_is_differentiable_in_the_points_of_both_sides(epsilon):
    a, b, S = cloud(1, 15, 3), cloud(2, 12, 3, 0.7), SinkhornDivergence(epsilon, tol=1e-12)
    x, y = a.points.clone().requires_grad_(), b.points.clone().requires_grad_()
    S.cost(a.moved(x), b.moved(y)).backward()
    u, v = noise(x.shape), noise(y.shape, 8)
    along_x = slope_of(lambda p: S.cost(a.moved(p), b), a.points, u)
    along_y = slope_of(lambda p: S.cost(a, b.moved(p)), b.points, v)
    assert float((x.grad * u).sum()) == pytest.approx(along_x, rel=1e-6)
    assert float((y.grad * v).sum()) == pytest.approx(along_y, rel=1e-6)


def test_it_is_differentiable_in_the_weights():
    a, b, S = cloud(1, 15, 3), cloud(2, 12, 3, 0.7), SinkhornDivergence(0.2, tol=1e-12)
    move = noise(15)
    move = a.weights * (move - float(a.weights @ move))
    m = a.weights.clone().requires_grad_()
    S.cost(Particles.of(a.points, m), b).backward()
    along = slope_of(lambda p: S.cost(Particles.of(a.points, p), b), a.weights, move)
    assert float(m.grad @ move) == pytest.approx(along, rel=1e-6)


def test_as_the_penalty_of_a_step_it_falls_along_its_slope_between_other_supports_and_weights():
    base, S = cloud(5, 11, 2, 0.8), SinkhornDivergence(0.2, tol=1e-12)
    state = cloud(6, 17, 2, 1.2, 0.3)
    x, m = state.points.clone().requires_grad_(), state.weights.clone().requires_grad_()
    S.cost(state=Particles.of(x, m), base=base).backward()
    u, v = noise(x.shape), noise(17, 8)
    v = 1e-2 * (v - v.mean())
    along = slope_of(
        lambda t: S.cost(Particles.of(state.points + t * u, state.weights + t * v), base),
        torch.zeros(()).double(),
        1.0,
    )
    assert float((x.grad * u).sum() + m.grad @ v) == pytest.approx(along, rel=1e-6)
    slope, move = x.grad, 1e-3 * x.grad
    fallen = S.cost(state.moved(state.points - move), base) - S.cost(state, base)
    assert float(fallen) == pytest.approx(-float((slope * move).sum()), rel=1e-2)


def test_on_a_grid_of_theta_it_is_differentiable_in_rho_and_H():
    grid = Grid((0.0, 1.0), (5, 4))
    g = np.random.default_rng(0)
    values = torch.from_numpy(0.5 + g.random((5, 4)))
    values = values / (values.sum() * grid.cell)
    H = torch.from_numpy(g.normal(size=(5, 4)))
    b = ChargedDensity(grid, torch.ones(5, 4, dtype=torch.float64), torch.zeros(5, 4).double())
    S, r, h = SinkhornDivergence(0.3, tol=1e-12), values.clone(), H.clone()
    S.cost(ChargedDensity.of(grid, r.requires_grad_(), h.requires_grad_()), b).backward()
    u, v = noise((5, 4)), noise((5, 4), 8)
    u = u - u.mean()
    along_rho = slope_of(lambda p: S.cost(ChargedDensity.of(grid, p, H), b), values, u)
    along_H = slope_of(lambda p: S.cost(ChargedDensity.of(grid, values, p), b), H, v)
    assert float((r.grad * u).sum()) == pytest.approx(along_rho, rel=1e-6)
    assert float((h.grad * v).sum()) == pytest.approx(along_H, rel=1e-6)


def test_on_a_mesh_it_is_differentiable_in_theta_and_H():
    mesh = ChargedMesh.from_function(
        lambda x: (-(x[:, 0] ** 2)).exp(), lambda x: x[:, 0], (-2.0, 2.0), 12
    )
    other = mesh.moved(mesh.theta + 0.5, torch.cos(mesh.theta))
    S = SinkhornDivergence(0.3, tol=1e-12)
    t, h = mesh.theta.clone().requires_grad_(), mesh.H.clone().requires_grad_()
    S.cost(mesh.moved(t, h), other).backward()
    u, v = noise(12), noise(12, 8)
    along_theta = slope_of(lambda p: S.cost(mesh.moved(p, mesh.H), other), mesh.theta, u)
    along_H = slope_of(lambda p: S.cost(mesh.moved(mesh.theta, p), other), mesh.H, v)
    assert float(t.grad @ u) == pytest.approx(along_theta, rel=1e-6)
    assert float(h.grad @ v) == pytest.approx(along_H, rel=1e-6)


def test_the_derivative_vanishes_at_equal_states():
    a, S = cloud(1, 20, 2), SinkhornDivergence(0.1, tol=1e-12)
    x = a.points.clone().requires_grad_()
    S.cost(a.moved(x), a).backward()
    assert float(x.grad.abs().max()) < 1e-11


# ---------------------------------------------------------------------------------------- large clouds


def test_blocks_and_a_start_on_part_of_the_points_change_nothing(monkeypatch):
    a, b, S = cloud(1, 90, 2), cloud(2, 70, 2, 0.7), SinkhornDivergence(0.3, tol=1e-11)
    x = a.points.clone().requires_grad_()
    whole = S.cost(a.moved(x), b)
    (slope,) = torch.autograd.grad(whole, x)
    monkeypatch.setattr(clouds, "BLOCK", 500)
    monkeypatch.setattr(clouds, "DENSE", 0)  # conjugate gradients, with no matrix
    monkeypatch.setattr(scaling, "LARGE", 100)
    monkeypatch.setattr(scaling, "PART", 40)
    monkeypatch.setattr(divergence, "KEEP", 0)
    parts = S.cost(a.moved(x), b)
    (slope_of_parts,) = torch.autograd.grad(parts, x)
    torch.testing.assert_close(parts, whole, atol=1e-9, rtol=0)
    torch.testing.assert_close(slope_of_parts, slope, atol=1e-9, rtol=0)


@pytest.mark.slow
def test_a_large_cloud_is_near_the_closed_form_of_normal_laws():
    # Janati, Muzellec, Peyre and Cuturi (NeurIPS 2020): quantiles of normal laws, H affine, on one line of the plane
    N, epsilon = 2100, 0.5
    z = torch.special.ndtri((torch.arange(N, dtype=torch.float64) + 0.5) / N)
    a = ChargedParticles(z[:, None], 0.5 * z)  # N(0, 1), slope 1/2
    b = ChargedParticles(2 * z[:, None] + 1, z + 0.3)  # N(1, 4), slope 1/2: the same line

    def entropic(p, q):
        D = math.sqrt(4 * p * q + (epsilon / 2) ** 2)
        return (
            p
            + q
            - D
            + epsilon / 2 * (1 - math.log(epsilon))
            + epsilon / 2 * math.log(D + epsilon / 2)
        )

    p, q = 1.25, 5.0
    exact = 1 + 0.09 + entropic(p, q) - 0.5 * (entropic(p, p) + entropic(q, q))
    assert SinkhornDivergence(epsilon).distance(a, b).squared == pytest.approx(exact, abs=2e-2)


@pytest.mark.slow
def test_memory_stays_bounded_at_twenty_thousand_points():
    import resource

    g = torch.Generator().manual_seed(0)
    a, b = Particles.normal(20_000, 3, generator=g), Particles.normal(20_000, 3, generator=g)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = SinkhornDivergence(2.0, tol=1e-4).distance(a, b)
    assert found.squared < 0.01
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    )  # kB; the matrix has 3 GB


# ------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda S: S.distance(cloud(1, 5, 2), cloud(1, 5, 3)), ValueError, r"dimension 2 but b"),
        (lambda S: S.distance(cloud(1, 5, 3), pair(1, 5, 2)), TypeError, r"\.lift\(\) of a pair"),
        (
            lambda S: S.distance(cloud(1, 5, 1), jko.LineMesh([0.0, 1.0], [1.0])),
            TypeError,
            r"b must be GridDensity or Particles or .* jko\.distance",
        ),
        (
            lambda S: S.cost(cloud(1, 5, 2), Particles(torch.zeros(2, 2))),
            ValueError,
            r"float64 but b has dtype torch\.float32",
        ),
        (
            lambda S: SinkhornDivergence(0.5, 1e-20).distance(cloud(1, 9, 2), cloud(2, 8, 2)),
            RuntimeError,
            r"epsilon = 0\.5 left marginals wrong by .* larger epsilon",
        ),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make(SinkhornDivergence(0.5))
