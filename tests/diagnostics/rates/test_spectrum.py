"""Spectra at rest against closed forms, differences of velocities, and the decay of flows."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

import jko
from jko.diagnostics import decay, spectral_gap


def product(s2=0.8, target=1.5):
    """The risk of linear neurons, Phi = w theta x, with one datum."""
    x = torch.tensor([[s2**0.5]], dtype=torch.float64)
    data = jko.Data(x, target * x[:, 0])
    return jko.Risk(data, features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)


def net(n=12):
    x = torch.linspace(-1, 1, n, dtype=torch.float64)[:, None]
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    return risk + 0.02 * jko.SquaredNorm()


@pytest.mark.parametrize(("a", "beta"), [(1.0, 1.0), (2.5, 0.4)])
def test_ornstein_uhlenbeck_on_cells_is_of_second_order(a, beta):
    F = a * jko.SquaredNorm() + beta * jko.Entropy()
    wide, errors = 7.0 * (beta / a) ** 0.5, []
    for n in (60, 120):
        rest = jko.minimiser(F, jko.Grid((-wide, wide), n)).state
        errors.append(np.abs(spectral_gap(F, rest, count=3).eigenvalues / a - [1, 2, 3]))
    assert errors[1].max() < 0.02
    assert np.all(np.log2(errors[0] / errors[1]) > 1.7)


def test_a_porous_medium_has_the_eigenvalues_of_legendre():
    """a n (n + 1) / 2 on the line for m = 2: of the mean, of the radius, ..."""
    F = 2 * jko.SquaredNorm() + 0.3 * jko.PorousMedium(2)
    rest = jko.minimiser(F, jko.Grid((-2.0, 2.0), 400)).state
    assert spectral_gap(F, rest, count=3).eigenvalues == pytest.approx([2, 6, 12], rel=0.03)
    mesh = jko.flow(
        F,
        jko.LineMesh.from_density(jko.minimiser(F, jko.Grid((-2.0, 2.0), 60)).state),
        tau=1.0,
        steps=30,
    )
    found = spectral_gap(F, mesh.final)
    assert found.eigenvalues[:3] == pytest.approx([2, 6, 12], rel=0.01)
    assert found.complete
    assert found.flat == found.negative == 0


def test_a_mesh_at_walls_keeps_its_ends():
    """Heat in a box of length 2: (pi k / 2)^2, ends held."""
    F = jko.Entropy()
    mesh = jko.LineMesh(
        np.linspace(-1, 1, 41), np.full(40, 1 / 40), domain=jko.spaces.Box([-1.0], [1.0])
    )
    found = spectral_gap(F, mesh)
    assert found.eigenvalues[:3] == pytest.approx((np.pi / 2 * np.arange(1, 4)) ** 2, rel=0.01)
    assert len(found.eigenvalues) == 39
    rest = jko.minimiser(F, jko.Grid((-1.0, 1.0), 80)).state
    assert spectral_gap(F, rest, count=2).eigenvalues == pytest.approx(
        (np.pi / 2 * np.arange(1, 3)) ** 2, rel=1e-3
    )


def test_a_ring_has_pairs_and_a_plane_sums():
    ring = jko.minimiser(jko.Entropy(), jko.Grid((0.0, 2 * np.pi), 64, periodic=True)).state
    assert spectral_gap(jko.Entropy(), ring, count=4).eigenvalues == pytest.approx(
        [1, 1, 4, 4], rel=0.01
    )
    F = jko.SquaredNorm() + 0.5 * jko.Entropy()
    plane = jko.minimiser(F, jko.Grid((-4.0, 4.0), (40, 40))).state
    assert spectral_gap(F, plane, count=5).eigenvalues == pytest.approx([1, 1, 2, 2, 2], rel=0.03)


def test_the_risk_enters_the_spectrum_of_a_density():
    """Against the dense matrix -d/dm of the flow, by differences of limits.wasserstein's right side."""
    from jko.limits.densities import Volumes

    F = product() + jko.SquaredNorm() + 0.3 * jko.Entropy()
    rest = jko.minimiser(F, jko.Grid((-4.0, 4.0), (11, 12))).state
    right, N = Volumes.of(F, rest), rest.grid.N
    columns = []
    for k in range(N):
        h = 1e-6 * float(rest.values.max())
        up, down = rest.values.clone().reshape(-1), rest.values.clone().reshape(-1)
        up[k] += h
        down[k] -= h
        shape = rest.grid.shape
        columns.append(
            (right(0, up.view(shape)).U - right(0, down.view(shape)).U).reshape(-1) / (2 * h)
        )
    J = -torch.stack(columns, 1).numpy()
    expected = np.sort(np.linalg.eigvals(J).real)[1:7]
    assert spectral_gap(F, rest, count=6).eigenvalues == pytest.approx(expected, rel=1e-4)


def test_the_slowest_mode_of_the_gaussian_network_is_its_mean():
    """m' = -A_q m: lam - |q|; among even measures the quartic mode of the same direction, 4 (lam - |q|)."""
    F = product() + jko.SquaredNorm() + 0.3 * jko.Entropy()
    rest = jko.minimiser(F, jko.Grid((-6.0, 6.0), (64, 64))).state
    exact = 1 - 0.762601658448
    assert spectral_gap(F, rest, count=2).gap == pytest.approx(exact, rel=0.025)
    even = spectral_gap(F, rest, count=3, even=True)
    assert even.gap == pytest.approx(4 * exact, rel=0.03)
    assert even.modes[0].ravel() == pytest.approx(even.modes[0].ravel()[::-1])


def test_interactions_are_taken_as_a_matrix():
    """With a quadratic attraction the mean is free, and all else like Ornstein and Uhlenbeck."""
    grid = jko.Grid((-6.5, 6.5), 80)
    rest = jko.minimiser(jko.SquaredNorm() + jko.Entropy(), grid).state
    F = jko.Entropy() + jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    found = spectral_gap(F, rest, count=3)
    assert found.flat == 1
    assert found.gap == pytest.approx(2, rel=0.02)
    assert "1 eigenvalues are zero" in str(found)


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
def test_atoms_have_the_eigenvalues_of_their_velocities(equal):
    F, generator = net(), torch.Generator().manual_seed(3)
    weights = None if equal else [0.1, 0.2, 0.3, 0.4]
    start = jko.Particles(torch.randn(4, 3, generator=generator).double(), weights)
    rest = jko.diagnostics.best_particles(F, start, max_iterations=60).state

    def velocity(flat):
        return F.gradient(rest.moved(torch.from_numpy(flat.reshape(4, 3)))).numpy().ravel()

    x, h = rest.points.numpy().ravel(), 1e-5
    J = np.array([(velocity(x + h * e) - velocity(x - h * e)) / (2 * h) for e in np.eye(12)]).T
    found = spectral_gap(F, rest)
    assert found.eigenvalues == pytest.approx(np.sort(np.linalg.eigvals(J).real), abs=1e-7)
    assert found.modes.shape == (12, 4, 3)


def test_a_flow_near_rest_decays_at_twice_the_gap():
    F = net()
    start = jko.Particles.normal(2, 3, generator=torch.Generator().manual_seed(1))
    rest = jko.diagnostics.best_particles(F, start, max_iterations=60).state
    found = spectral_gap(F, rest)
    assert found.negative == 0
    run = jko.limits.wasserstein(
        F,
        rest.moved(rest.points + 0.05),
        t1=4 / found.gap,
        times=np.linspace(0, 4 / found.gap, 60),
        rtol=1e-11,
    )
    seen = decay(run.times, run.energies - float(F(rest)), since=2 / found.gap)
    assert seen.rate == pytest.approx(found.rate, rel=0.03)


def test_saddles_and_flat_directions_are_counted():
    wells = jko.Potential(lambda x: ((x[:, :1] ** 2 - 1) ** 2).sum(-1))
    found = spectral_gap(wells, jko.Particles([[0.0, 0.0], [1.0, 0.0]]))
    assert (found.negative, found.flat) == (1, 2)
    assert found.gap == pytest.approx(8)
    assert "saddle" in str(found)


def test_atoms_at_a_wall_slide_along_it():
    F = jko.Potential(lambda x: x[:, 0] + 1.5 * x[:, 1] ** 2)
    box = jko.spaces.Box([0.0, -1.0], [1.0, 1.0])
    found = spectral_gap(F, jko.Particles([[0.0, 0.0]], domain=box))
    assert found.eigenvalues == pytest.approx([0, 3], abs=1e-9)


def test_what_has_no_spectrum_is_refused():
    cloud = jko.Particles([[0.0]])
    with pytest.raises(TypeError, match=r"\+inf on atoms"):
        spectral_gap(jko.Entropy(), cloud)
    with pytest.raises(TypeError, match="leave out even=True"):
        spectral_gap(jko.SquaredNorm(), cloud, even=True)
    grid = jko.Grid((-1.0, 2.0), 20)
    with pytest.raises(ValueError, match="no internal energy"):
        spectral_gap(
            jko.SquaredNorm(), jko.minimiser(jko.SquaredNorm() + jko.Entropy(), grid).state
        )
    F = jko.SquaredNorm() + jko.Entropy()
    with pytest.raises(ValueError, match="not its own image"):
        spectral_gap(F, jko.minimiser(F, grid).state, even=True)
    with pytest.raises(ValueError, match="more than 3000"):
        spectral_gap(jko.SquaredNorm(), jko.Particles(torch.zeros(4000, 1)))


def test_the_matrix_of_a_curvature_is_symmetric_in_its_inner_product():
    F = net() + jko.Interaction(lambda z: z.square().sum(-1).cos())
    mu = jko.Particles(
        torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double(),
        [0.1, 0.1, 0.2, 0.2, 0.4],
    )
    H = F.second_order(mu).matrix(mu).reshape(15, 15).numpy()
    M = np.diag(np.repeat(mu.weights.numpy(), 3))
    assert pytest.approx((M @ H).T, abs=1e-12) == M @ H
    assert eigh(M @ H, M)[0] == pytest.approx(np.sort(np.linalg.eigvals(H).real), abs=1e-9)
