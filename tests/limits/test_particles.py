"""The limit flow (3.7) dissipates energy as (3.9) says, solves its closed forms, and agrees with a program by hand.

The integrator is asked for rtol 1e-10; errors of a contractive or mildly expanding flow over t <= 1 stay within
1e3 of that, so 1e-7 is the tolerance where nothing sharper is known.
"""

import numpy as np
import pytest
import torch
from problems import FLOWS, points, tanh_energy, tanh_network
from scipy.integrate import solve_ivp

import jko

RTOL, TOLERANCE = 1e-10, 1e-7


@pytest.mark.parametrize("problem", FLOWS, ids=str)
def test_the_flow_is_its_closed_form(problem):
    run = jko.limits.wasserstein(problem.energy, problem.start, t1=0.9, rtol=RTOL, times=[0.3, 0.6])
    assert run.times.tolist() == [0.0, 0.3, 0.6, 0.9]
    for t, state in zip(run.times, run.states, strict=True):
        assert np.abs(points(state) - problem.limit(t)).max() < TOLERANCE


# The witness: the network's gradient by hand, in numpy, sharing nothing with jko


def by_hand(xi, x, f, lam):
    """-N grad of ``F_N = 1/(2M) sum (f_N - f)^2 + lam/(2N) sum |xi|^2``: (2.4) with the mean of the potential."""
    w, a, b = xi.T
    h = np.tanh(np.outer(a, x) + b[:, None])
    r = (w @ h / len(w) - f) / len(x)
    slope = w[:, None] * (1 - h**2) * r
    return -np.stack([h @ r, slope @ x, slope.sum(1)], axis=1) - lam * xi


def test_the_flow_of_particles_agrees_with_a_program_by_hand():
    x, f, lam, xi = tanh_network()
    solution = solve_ivp(
        lambda t, flat: by_hand(flat.reshape(-1, 3), x, f, lam).ravel(),
        (0, 1),
        xi.ravel(),
        "Radau",
        rtol=1e-9,
        atol=1e-11,
    )
    run = jko.limits.wasserstein(tanh_energy(x, f, lam), jko.Particles(xi), t1=1.0, rtol=RTOL)
    assert np.abs(points(run.final) - solution.y[:, -1].reshape(-1, 3)).max() < TOLERANCE


def test_the_flow_of_charged_particles_agrees_with_a_program_by_hand():
    # (3.24): H' = -(Lbar + Sbar + lam H), theta' = -(H grad(Lbar + Sbar) + lam theta), unequal masses
    x, f, lam, xi = tanh_network()
    mass = np.array([0.1, 0.3, 0.05, 0.15, 0.25, 0.15])

    def velocity(t, flat):
        H, theta = flat[:6], flat[6:].reshape(6, 2)
        h = np.tanh(theta[:, :1] * x + theta[:, 1:])
        r = ((mass * H) @ h - f) / len(x)
        grad = np.stack([((1 - h**2) * x) @ r, (1 - h**2) @ r], axis=1)
        return np.concatenate([-(h @ r + lam * H), -(H[:, None] * grad + lam * theta).ravel()])

    flat = np.concatenate([xi[:, 0], xi[:, 1:].ravel()])
    end = solve_ivp(velocity, (0, 1), flat, "Radau", rtol=1e-9, atol=1e-11).y[:, -1]
    start = jko.ChargedParticles(xi[:, 1:], xi[:, 0], mass)
    final = jko.limits.wasserstein(tanh_energy(x, f, lam), start, t1=1.0, rtol=RTOL).final
    assert isinstance(final, jko.ChargedParticles)
    assert np.abs(final.H.numpy() - end[:6]).max() < TOLERANCE
    assert np.abs(final.theta.numpy().ravel() - end[6:]).max() < TOLERANCE


def test_the_flow_of_the_problem_as_printed_in_2_9_is_another_one():
    # sum V instead of (1/N) sum V would pull N times as hard: the velocities differ by (N - 1) lam xi
    x, f, lam, xi = tanh_network()
    velocity = -tanh_energy(x, f, lam).gradient(jko.Particles(xi)).numpy()
    assert np.abs(velocity - by_hand(xi, x, f, lam)).max() < 1e-14
    assert np.abs(velocity - by_hand(xi, x, f, len(xi) * lam)).max() > 0.1


# Dissipation


@pytest.mark.parametrize(
    "weights", [None, [0.1, 0.3, 0.05, 0.15, 0.25, 0.15]], ids=["equal", "unequal"]
)
def test_the_energy_falls_at_the_rate_of_its_dissipation(weights):
    x, f, lam, xi = tanh_network()
    F, dt = tanh_energy(x, f, lam), 1e-4
    times = [0.5 - dt, 0.5, 0.5 + dt]
    run = jko.limits.wasserstein(F, jko.Particles(xi, weights), t1=1.0, rtol=1e-12, times=times)
    slope = (run.energies[3] - run.energies[1]) / (2 * dt)
    # the third derivative of F times dt^2 / 6, and its rounding and the integrator's 1e-12 over dt
    assert -slope == pytest.approx(jko.diagnostics.dissipation(F, run.states[2]), rel=1e-7)
    assert (np.diff(run.energies) < 0).all()


def test_dissipation_and_stationarity_are_one_for_a_pair_and_its_lift():
    x, f, lam, xi = tanh_network()
    F, pair = tanh_energy(x, f, lam), jko.ChargedParticles(xi[:, 1:], xi[:, 0])
    assert jko.diagnostics.dissipation(F, pair) == jko.diagnostics.dissipation(F, pair.lift())
    residual = jko.diagnostics.speed(F, pair)
    assert residual.mean**2 == pytest.approx(jko.diagnostics.dissipation(F, pair), rel=1e-14)
    assert residual.mean <= residual.max


def test_a_long_flow_becomes_stationary():
    F = jko.Potential(lambda z: 0.5 * ((z - 1) ** 2).sum(-1))
    run = jko.limits.wasserstein(F, jko.Particles([[3.0, 0.0], [-1.0, 2.0]]), t1=30.0)
    assert jko.diagnostics.speed(F, run.states[0]).max > 1
    assert jko.diagnostics.speed(F, run.final).max < 1e-6


def test_an_atom_pressed_against_a_wall_is_stationary():
    F, box = jko.Potential(lambda z: -z[:, 0]), jko.Box([0.0, 0.0], [1.0, 1.0])
    assert jko.diagnostics.speed(F, jko.Particles([[1.0, 0.3]], domain=box)).max == 0
    assert jko.diagnostics.dissipation(
        F, jko.Particles([[1.0, 0.3], [0.5, 0.3]], domain=box)
    ) == pytest.approx(0.5, abs=1e-15)
    ball = jko.Ball([0.0, 0.0], 1.0)
    assert jko.diagnostics.speed(F, jko.Particles([[1.0, 0.0]], domain=ball)).max < 1e-7
    s = float(np.sqrt(0.5))  # on the slope of a ball the tangential part remains: (v . t)^2 = 1/2
    assert jko.diagnostics.dissipation(F, jko.Particles([[s, s]], domain=ball)) == pytest.approx(
        0.5, abs=1e-6
    )


# States, times, refusals


def test_the_flow_keeps_masses_and_kind_and_starts_at_its_start():
    x, f, lam, xi = tanh_network()
    weights = [0.1, 0.3, 0.05, 0.15, 0.25, 0.15]
    for start in (jko.Particles(xi, weights), jko.ChargedParticles(xi[:, 1:], xi[:, 0], weights)):
        run = jko.limits.wasserstein(tanh_energy(x, f, lam), start, t1=0.2)
        assert run.states[0] is start
        assert all(
            type(s) is type(start) and torch.equal(s.weights, start.weights) for s in run.states
        )
        assert run.times[0] == 0
        assert run.times[-1] == 0.2
        assert len(run.times) == len(run.energies) == len(run.states)


def test_a_permutation_of_the_atoms_permutes_the_flow():
    x, f, lam, xi = tanh_network()
    F, order = tanh_energy(x, f, lam), [3, 0, 5, 1, 4, 2]
    a, b = (
        points(jko.limits.wasserstein(F, jko.Particles(s), t1=1.0, rtol=RTOL).final)
        for s in (xi, xi[order])
    )
    assert np.abs(a[order] - b).max() < TOLERANCE


def test_a_domain_that_is_not_reached_changes_nothing():
    x, f, lam, xi = tanh_network()
    F = tanh_energy(x, f, lam)
    free = jko.limits.wasserstein(F, jko.Particles(xi), t1=0.5)
    for domain in (
        jko.Box([-9.0] * 3, [9.0] * 3),
        jko.Box([-np.inf] * 3, [np.inf] * 3),
        jko.Ball([0.0] * 3, 9.0),
    ):
        boxed = jko.limits.wasserstein(F, jko.Particles(xi, domain=domain), t1=0.5)
        assert torch.equal(boxed.final.points, free.final.points)
        assert boxed.final.domain is domain


def test_a_flow_that_blows_up_says_when():
    # x' = 4 x^3 from x = 1 is infinite at t = 1/8
    V = jko.Potential(lambda z: -(z**4).sum(-1))
    with pytest.raises(RuntimeError, match=r"stopped at t = 0\.125 of 1"):
        jko.limits.wasserstein(V, jko.Particles([[1.0]]), t1=1.0)


def test_a_gradient_that_is_not_finite_is_refused_at_once():
    V = jko.Potential(lambda z: z[:, 0].log())
    with pytest.raises(ValueError, match="not finite at the start"):
        jko.limits.wasserstein(V, jko.Particles([[0.0]]), t1=1.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"t1": 0.0}, "t1 = 0.0"),
        ({"t1": 1.0, "times": [0.5, 0.4]}, "must increase"),
        ({"t1": 1.0, "times": [0.5, 1.4]}, "lie in"),
        ({"t1": 1.0, "rtol": 1e-15}, "rtol = 1e-15"),
        ({"t1": 1.0, "atol": -1.0}, "atol = -1.0"),
    ],
)
def test_a_bad_argument_is_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), **options)


def test_single_precision_needs_a_tolerance_that_it_can_reach():
    start = jko.Particles(torch.tensor([[1.0]], dtype=torch.float32))
    with pytest.raises(ValueError, match="float64"):
        jko.limits.wasserstein(jko.SquaredNorm(), start, t1=1.0)
    final = jko.limits.wasserstein(jko.SquaredNorm(), start, t1=1.0, rtol=1e-4).final
    assert final.points.dtype == torch.float32
    assert float(final.points) == pytest.approx(np.exp(-1), abs=1e-4)


def test_an_energy_without_a_value_on_atoms_is_refused():
    with pytest.raises(TypeError, match="density"):
        jko.limits.wasserstein(jko.Entropy(), jko.Particles([[1.0]]), t1=1.0)


def test_the_start_at_the_origin_needs_no_scale():
    V = jko.Potential(lambda z: 0.5 * ((z - 1) ** 2).sum(-1))
    final = jko.limits.wasserstein(V, jko.Particles([[0.0]]), t1=1.0).final
    assert float(final.points) == pytest.approx(1 - np.exp(-1), abs=1e-7)
