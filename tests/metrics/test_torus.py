"""W2 where coordinates come round: against POT, images, and steps and flows of atoms across the seam."""

import math

import numpy as np
import ot
import pytest
import torch

import jko
from jko.metrics.wrapped import Seam, wrapped_transport

TWO_PI = 2 * math.pi


def clouds(N, M, dim, seed, equal=False):
    rng = np.random.default_rng(seed)
    x, y = rng.random((N, dim)), 0.3 + 0.9 * rng.random((M, dim))
    a, b = (np.ones(n) if equal else rng.random(n) ** 2 + 1e-3 for n in (N, M))
    return x, a / a.sum(), y, b / b.sum()


@pytest.mark.parametrize(
    ("N", "M", "equal"), [(1, 1, 0), (1, 4, 0), (6, 1, 0), (9, 9, 1), (40, 31, 0), (120, 120, 1)]
)
@pytest.mark.parametrize("period", [1.0, 3.5])
def test_on_the_circle_it_is_that_of_two_other_programs(N, M, equal, period):
    x, a, y, b = clouds(N, M, 1, seed=N + M, equal=bool(equal))
    found = wrapped_transport(period * x, a, period * y, b, np.array([period]))
    costs = Seam(np.array([period])).matrix(period * x, period * y)
    assert found.squared == pytest.approx(ot.emd2(a, b, costs), rel=1e-9, abs=1e-15)
    circle = ot.wasserstein_circle(x[:, 0], y[:, 0] % 1.0, a, b, p=2)[0]
    assert found.squared == pytest.approx(
        period**2 * circle, rel=1e-4, abs=1e-8
    )  # POT bisects to 1e-6
    rows, cols = found.plan.marginals()
    assert np.abs(rows - a).max() < 1e-15
    assert np.abs(cols - b).max() < 1e-14
    assert (costs - found.alpha[:, None] - found.beta).min() > -1e-14
    assert found.exact
    assert a @ found.alpha + b @ found.beta == pytest.approx(found.squared)


@pytest.mark.parametrize(
    ("dim", "periods"), [(2, (1.0, 1.0)), (2, (np.inf, 0.7)), (3, (1.0, np.inf, 2.0))]
)
def test_elsewhere_it_is_the_cheapest_over_images(dim, periods):
    x, a, y, b = clouds(35, 28, dim, seed=dim)
    found = wrapped_transport(x, a, y, b, np.array(periods))
    shifts = [(-2, -1, 0, 1, 2) if np.isfinite(p) else (0,) for p in periods]
    images = np.stack(np.meshgrid(*shifts, indexing="ij"), -1).reshape(-1, dim)
    images = images * np.where(np.isfinite(periods), periods, 0.0)
    costs = np.square(x[:, None, None] - y[None, :, None] + images).sum(-1).min(-1)
    assert found.squared == pytest.approx(ot.emd2(a, b, costs), rel=1e-10)
    assert (costs - found.alpha[:, None] - found.beta).min() > -1e-13
    assert found.exact


def test_densities_far_from_their_images_are_moved_by_their_shift():
    for periodic, shift in [((True, True), (5, -4)), ((True, False), (6, 0))]:
        grid = jko.Grid(((0, 1), (-1, 1)), (24, 20), periodic)
        bump = jko.GridDensity.from_function(
            grid, lambda x: (0.04 - (x[:, 0] - 0.1) ** 2 - (x[:, 1] / 2) ** 2).clamp(min=0)
        )
        there = jko.GridDensity(grid, bump.values.roll(shift, (0, 1)))
        length = math.hypot(*(s * h for s, h in zip(shift, grid.spacing, strict=True)))
        found = jko.distance(bump, there)
        assert found.value == pytest.approx(length, rel=1e-10)
        assert found.exact
        half = jko.geodesic(bump, there, 0.5)
        if all(s % 2 == 0 for s in shift):
            whole = bump.values.roll([s // 2 for s in shift], (0, 1))
            assert (half.values - whole).abs().max() < 1e-8
        assert float(half.mass) == pytest.approx(1.0)


def test_masses_and_large_clouds_on_the_circle():
    x, a, y, b = clouds(30_000, 20_000, 1, seed=3)
    found = wrapped_transport(x, a, y, b, np.array([1.0]))
    assert found.gap <= 1e-10 * found.squared + 1e-16
    assert np.abs(found.plan.marginals()[0] - a).max() < 1e-16


def test_atoms_are_kept_in_the_box_and_their_places_are_those():
    torus = jko.spaces.Torus([0.0, -1.0], [2.0, 1.0], periodic=(True, False))
    mu = jko.Particles([[-0.25, 0.5], [4.5, -1.0]], domain=torus)
    assert mu.points.tolist() == [[1.75, 0.5], [0.5, -1.0]]
    with pytest.raises(ValueError, match="outside the domain"):
        jko.Particles([[0.0, 1.5]], domain=torus)
    with pytest.raises(ValueError, match="has no end"):
        jko.spaces.Torus(0.0, float("inf"))
    tiny = jko.Particles([[-1e-18], [1.0]], domain=jko.spaces.Torus(0.0, 1.0))
    assert tiny.points.tolist() == [[0.0], [0.0]]


def test_a_flow_turns_with_its_start():
    circle, V = jko.spaces.Torus(0.0, 1.0), lambda s: lambda x: torch.cos(TWO_PI * (x[:, 0] - s))
    points = torch.linspace(0.03, 0.9, 12, dtype=torch.float64)[:, None]
    runs = [
        jko.flow(
            jko.Potential(V(s)),
            jko.Particles(points + s, domain=circle),
            tau=0.01,
            steps=12,
            solver=jko.LBFGS(tol=1e-9),
        )
        for s in (0.0, 0.37, 0.81)
    ]
    limit = jko.limits.wasserstein(jko.Potential(V(0.0)), runs[0].states[0], t1=0.12)
    for run, s in zip(runs, (0.0, 0.37, 0.81), strict=True):
        apart = circle.shortest(run.final.points - s - runs[0].final.points)
        assert apart.abs().max() < 1e-8
        assert (run.slacks >= 0).all()
        assert circle.shortest(limit.final.points + s - run.final.points).abs().max() < 0.02


@pytest.mark.parametrize("equal", [True, False])
def test_a_long_step_pays_the_distance_of_its_ends(equal):
    generator = torch.Generator().manual_seed(5)
    torus = jko.spaces.Torus([0.0, 0.0], [1.0, 2.0])
    mu = jko.Particles.uniform(40, torus, generator=generator)
    if not equal:
        weights = torch.rand(40, generator=generator, dtype=torch.float64) + 0.1
        mu = jko.Particles(mu.points, weights / weights.sum(), domain=torus)
    V = jko.Potential(
        lambda x: torch.sin(3 * TWO_PI * x[:, 0]) + 4 * torch.cos(0.5 * TWO_PI * x[:, 1])
    )
    result = jko.step(V, mu, tau=1.0)
    assert result.status.ok
    assert result.coupling.optimal
    assert result.cost == pytest.approx(jko.distance(result.state, mu).squared, rel=1e-9)
    nowhere = result.state.points - mu.points
    assert (nowhere.abs() > 0.5).any()  # somebody crossed the seam


def test_pairs_on_a_torus_and_their_distance():
    circle = jko.spaces.Torus(0.0, 1.0)
    a, b = (
        jko.ChargedParticles([[t], [t + 0.5]], [1.0, 2.0], domain=circle) for t in (0.05, -0.05)
    )
    assert jko.distance(a, b).squared == pytest.approx(0.01)
    result = jko.step(
        jko.Potential(lambda x: x[:, 0] ** 2 + torch.cos(TWO_PI * x[:, 1])), a, tau=0.1
    )
    assert result.status.ok


def test_an_interaction_is_that_of_shortest_ways():
    circle, W = jko.spaces.Torus(0.0, 1.0), jko.Interaction(lambda z: (z * z).sum(-1))
    mu = jko.Particles([[0.95], [0.15], [0.5]], domain=circle)
    ways = [0.2, 0.35, 0.45]
    assert float(W(mu)) == pytest.approx(sum(w * w for w in ways) / 9)
    moved = jko.step(W, mu, tau=0.01).state  # they attract each other across the seam
    assert circle.shortest(moved.points - mu.points)[0] < 0.01


def test_what_knows_no_seam_says_so(tmp_path):
    circle, line = jko.spaces.Torus(0.0, 1.0), jko.Box(0.0, 1.0)
    mu, nu = jko.Particles([[0.1], [0.5]], domain=circle), jko.Particles([[0.1]], domain=line)
    grid = jko.Grid((0, 1), 8, periodic=True)
    rho = jko.GridDensity.from_function(grid, lambda x: 1 + 0 * x[:, 0])
    V = jko.Potential(lambda x: x[:, 0])
    for refused in (
        lambda: jko.LineMesh.from_density(rho),
        lambda: jko.distance(mu, mu, metric=jko.metrics.SlicedWasserstein([[1.0]])),
        lambda: jko.metrics.barycentre([mu, mu]),
        lambda: jko.metrics.least_action(mu, mu),
        lambda: jko.step(jko.KernelEntropy(0.1), mu, tau=0.1),
        lambda: jko.step(V, mu, tau=0.1, solver=jko.Conic()),
        lambda: jko.metrics.squared_gradient(mu, mu),
    ):
        with pytest.raises(ValueError, match="comes round"):
            refused()
    with pytest.raises(ValueError, match="the same periodic axes"):
        jko.distance(mu, nu)
    assert not math.isfinite(jko.step(V, mu, tau=0.1).certificate().value)
    run = jko.flow(jko.Potential(lambda x: torch.cos(TWO_PI * x[:, 0])), mu, tau=0.1, steps=1)
    run.save(tmp_path / "run.npz")
    again = jko.Trajectory.load(tmp_path / "run.npz").final
    assert again.domain.periods == circle.periods
    assert torch.equal(again.points, run.final.points)
