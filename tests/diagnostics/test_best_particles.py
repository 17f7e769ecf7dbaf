"""N-atom minimisers: closed forms, scipy from the same starts, and a lower bound over all measures."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import jko

F64 = torch.float64
REPULSION = jko.Interaction(lambda z: (0.5 * z**2 - z.abs())[:, 0])


def clouds(count, N, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [jko.Particles.normal(N, dim, generator=generator) for _ in range(count)]


def network():
    x = torch.linspace(-2, 2, 12, dtype=F64)[:, None]
    data = jko.Data(x, torch.sin(2 * x[:, 0]))
    return jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 0.05 * jko.SquaredNorm()


@pytest.mark.parametrize("N", [2, 5, 40])
def test_atoms_that_repel_on_the_line_end_evenly_spaced(N):
    # x_i - mean = (atoms below - atoms above) / N
    best = jko.diagnostics.best_particles(REPULSION, clouds(1, N, 1, seed=N))
    x = best.state.points[:, 0].sort().values
    even = (2 * torch.arange(N, dtype=F64) + 1 - N) / N
    assert best.status is jko.Status.CONVERGED
    assert float((x - x.mean() - even).abs().max()) < 1e-7
    assert abs(best.energy - (1 / 6 / N**2 - 1 / 6)) < 1e-14


def test_unequal_weights_leave_gaps_of_the_mass_between():
    weights = [0.1, 0.4, 0.2, 0.3]
    start = jko.Particles([[0.0], [0.1], [0.2], [0.3]], weights=weights)
    x = jko.diagnostics.best_particles(REPULSION, start).state.points[:, 0].sort().values
    m = torch.tensor(weights, dtype=F64)
    assert torch.allclose(x.diff(), m[1:] + m[:-1], atol=1e-7, rtol=0)


@pytest.mark.parametrize("N", [1, 3, 8])
def test_a_linear_network_has_its_closed_form_for_every_number_of_neurons(N):
    # f_mu = mean(w theta) x: the least of s2 (m - t)^2 / 2 + lam |m|, since |xi|^2 / 2 >= |w theta|
    x, s2, target, lam = np.array([-1.0, 0.5, 2.0]), 0.8, 1.5, 0.3
    data = jko.Data(x[:, None], target * x, s2 / 3 / x**2)
    F = jko.Risk(data, features=lambda xi, x: (xi[:, :1] * xi[:, 1:]) @ x.T)
    F = F + lam * jko.SquaredNorm()
    best = jko.diagnostics.best_particles(F, clouds(1, N, 2))
    m = target - lam / s2
    assert abs(best.energy - (s2 * (m - target) ** 2 / 2 + lam * m)) < 1e-13
    assert abs(float((best.state.points.prod(1)).mean()) - m) < 1e-7


@pytest.mark.parametrize("N", [1, 2, 4])
def test_scipy_finds_nothing_lower_from_the_same_starts(N):
    F, starts = network(), clouds(6, N, 3, seed=3)
    best = jko.diagnostics.best_particles(F, starts)

    x, f = torch.linspace(-2, 2, 12, dtype=F64), torch.linspace(-4, 4, 12, dtype=F64).sin()

    def value(flat):  # by hand
        xi = torch.tensor(flat.reshape(N, 3), requires_grad=True)
        prediction = (xi[:, :1] * torch.tanh(xi[:, 1:2] * x + xi[:, 2:])).mean(0)
        energy = 0.5 * ((prediction - f) ** 2).mean() + 0.025 * (xi**2).sum(1).mean()
        (gradient,) = torch.autograd.grad(energy, xi)
        return float(energy.detach()), gradient.numpy().ravel()

    ends = [
        minimize(value, mu.points.numpy().ravel(), jac=True, options={"gtol": 1e-9}).fun
        for mu in starts
    ]
    assert best.status is jko.Status.CONVERGED
    assert best.energy < min(ends) + 1e-12
    assert minimize(value, best.state.points.numpy().ravel(), jac=True).fun > best.energy - 1e-13
    assert best.energies.shape == (6,)
    assert best.energies.min() == best.energy
    assert f"{int((best.energies < best.energy + 1e-9).sum())} of 6 starts" in str(best)


def test_the_least_energies_fall_to_the_minimum_over_all_measures():
    F = network()
    finals = [jko.diagnostics.best_particles(F, clouds(8, N, 3)) for N in (1, 2, 4)]
    bound = jko.optimality(F, finals[-1].state).lower_bound
    gaps = np.array([best.energy for best in finals]) - bound
    assert (np.diff(gaps) < 0).all(), "4 = 2 + 2 = 1 + 1 + 1 + 1"
    assert gaps[-1] >= 0


def test_many_neurons_converge_too():
    # their exact transport, which no step here needs, would take most of the time
    best = jko.diagnostics.best_particles(network(), clouds(1, 2000, 3))
    assert best.status is jko.Status.CONVERGED
    assert best.residual < 1e-8


def test_a_domain_holds_the_atoms_at_its_boundary():
    slope = jko.Potential(lambda x: x.sum(-1))
    points = [[0.2, 0.3], [0.5, 0.1]]
    for domain, least in ((jko.Box([-1, -1], [1, 1]), -2.0), (jko.Ball([0, 0], 1.0), -(2**0.5))):
        best = jko.diagnostics.best_particles(slope, jko.Particles(points, domain=domain))
        assert best.status is jko.Status.CONVERGED
        assert abs(best.energy - least) < 1e-12


def test_an_energy_without_minimum_is_no_success():
    best = jko.diagnostics.best_particles(
        jko.Potential(lambda x: x.sum(-1)), jko.Particles([[0.0]])
    )
    assert best.status is jko.Status.MAX_ITERATIONS
    assert "MAX_ITERATIONS" in str(best)


def test_a_start_at_rest_takes_no_step():
    best = jko.diagnostics.best_particles(jko.SquaredNorm(), jko.Particles([[0.0]]))
    assert (best.iterations, best.energy, best.status) == (0, 0.0, jko.Status.CONVERGED)


def test_bad_input():
    F, mu = jko.SquaredNorm(), jko.Particles([[1.0]])
    grid = jko.Grid((-1.0, 1.0), 4)
    with pytest.raises(ValueError, match="no start"):
        jko.diagnostics.best_particles(F, [])
    with pytest.raises(TypeError, match=r"starts\[1\]"):
        jko.diagnostics.best_particles(F, [mu, jko.GridDensity(grid, [0.5] * 4)])
    with pytest.raises(ValueError, match="not finite"):
        jko.diagnostics.best_particles(
            jko.Potential(lambda x: -x[:, 0].log()), jko.Particles([[0.0]])
        )
    with pytest.raises(ValueError, match="tol"):
        jko.diagnostics.best_particles(F, mu, tol=0.0)


def test_the_best_energy_falls_with_the_number_of_atoms():
    F, best, energies = network(), None, []
    for N in (1, 2, 4, 8):
        best = jko.diagnostics.best_particles(F, clouds(1, N, 3, seed=N), warm=best)
        energies.append(best.energy)
        assert len(best.energies) >= 1 + (N > 1)
    assert (np.diff(energies) <= 1e-15).all()
    bad = jko.diagnostics.best_particles(F, clouds(1, 8, 3), max_iterations=1)
    assert (
        jko.diagnostics.best_particles(F, clouds(1, 8, 3), warm=best, max_iterations=1).energy
        < bad.energy
    )


def test_copies_part_where_that_lowers_the_energy():
    # one atom rests between two wells of dF/dmu; two atoms part, doubled ones alone would stay for ever
    one = jko.diagnostics.best_particles(REPULSION, jko.Particles([[0.2]]))
    smooth = jko.Interaction(lambda z: (0.5 * z**2 - (z**2 + 0.01).sqrt())[:, 0])
    one = jko.diagnostics.best_particles(smooth, jko.Particles([[0.2]]))
    stuck = jko.Particles([[0.2], [0.2]])
    two = jko.diagnostics.best_particles(smooth, stuck, warm=one)
    assert two.energies[2] < two.energies[1] - 0.01
    assert two.energy == two.energies.min()


def test_pairs_are_read_as_their_lift_and_stay_pairs():
    F, generator = network(), torch.Generator().manual_seed(3)
    pair = jko.ChargedParticles(
        torch.randn(4, 2, generator=generator, dtype=F64),
        torch.randn(4, generator=generator, dtype=F64),
        [0.1, 0.2, 0.3, 0.4],
    )
    best, flat = (
        jko.diagnostics.best_particles(F, pair),
        jko.diagnostics.best_particles(F, pair.lift()),
    )
    assert isinstance(best.state, jko.ChargedParticles)
    assert torch.equal(best.state.lift().points, flat.state.points)
    assert torch.equal(best.state.weights, pair.weights)
    assert best.energy == flat.energy == pytest.approx(float(F(best.state)), rel=1e-14)


def test_what_is_no_start_is_a_sentence():
    F = network()
    with pytest.raises(TypeError, match=r"starts must be .* not int"):
        jko.diagnostics.best_particles(F, 5)
    with pytest.raises(TypeError, match=r"starts\[0\] must be Particles or ChargedParticles"):
        jko.diagnostics.best_particles(F, [3])
    with pytest.raises(ValueError, match=r"warm has 2 atoms and the starts have 3"):
        jko.diagnostics.best_particles(F, clouds(1, 3, 3), warm=clouds(1, 2, 3)[0])
    with pytest.raises(TypeError, match=r"warm must be Particles"):
        jko.diagnostics.best_particles(F, clouds(1, 3, 3), warm=[1])
