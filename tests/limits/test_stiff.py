"""Limits of stiff and of resting flows cost what their solution costs, end, and keep what they computed.

Stiffness is the ratio of the time to the shortest relaxation in it.  The references are closed forms and scipy's LSODA
and BDF on equations written by hand.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko
from jko import exact
from jko.limits import LimitStopped

F64 = torch.float64


class Counted(jko.Energy):
    """An energy that counts its gradients."""

    def __init__(self, energy):
        self.energy, self.gradients = energy, 0

    def __call__(self, state):
        return self.energy(state)

    def variation(self, state, at=None):
        return self.energy.variation(state, at)

    def gradient(self, state, at=None):
        self.gradients += 1
        return self.energy.gradient(state, at)

    def second_order(self, mu):
        return self.energy.second_order(mu)


# Atoms


@pytest.mark.parametrize("lam", [1.0, 1e2, 1e6, 1e9])
@pytest.mark.parametrize("stiffness", [1e2, 1e4, 1e6, 1e9])
def test_the_work_does_not_grow_with_the_stiffness(lam, stiffness):
    E, t1 = Counted(lam * jko.SquaredNorm()), stiffness / lam
    times = [0.3 / lam, 1 / lam, 5 / lam]
    run = jko.limits.wasserstein(E, jko.Particles([[1.0], [-2.0]]), t1=t1, times=times)
    assert E.gradients < 4000
    for t, state in zip(run.times, run.states, strict=True):
        decay = np.exp(-lam * t) * np.array([[1.0], [-2.0]])
        assert np.abs(state.points.numpy() - decay).max() < 1e-7


def two_scales(stiff):
    """A potential with a narrow curved valley, and its flow by hand."""

    def V(z):
        return 0.5 * (stiff * (z[:, 0] - torch.sin(z[:, 1])) ** 2 + z[:, 1] ** 2)

    def velocity(t, y):
        off = stiff * (y[0] - np.sin(y[1]))
        return -np.array([off, y[1] - off * np.cos(y[1])])

    return jko.Potential(V), velocity


@pytest.mark.parametrize("stiff", [1e3, 1e5, 1e7])
def test_a_narrow_valley_is_followed_as_accurately_as_a_wide_one(stiff):
    V, velocity = two_scales(stiff)
    times = [0.2, 0.7, 2.0]
    run = jko.limits.wasserstein(V, jko.Particles([[1.0, 1.0]]), t1=2.0, times=times)
    hand = solve_ivp(
        velocity, (0, 2.0), [1.0, 1.0], "LSODA", rtol=1e-11, atol=1e-13, t_eval=times
    ).y.T
    found = np.concatenate([state.points.numpy() for state in run.states[1:]])
    assert np.abs(found - hand).max() < 1e-7


@pytest.mark.parametrize("scale", [100.0, 1000.0])
def test_a_network_whose_inputs_have_two_scales_is_solved(scale):
    x = np.linspace(-1, 1, 12)
    f, lam, N = np.sin(3 * x), 1e-3, 6
    X = np.stack([x, scale * x**2], axis=1)
    xi = np.random.default_rng(0).normal(size=(N, 3)) * [1.0, 1.0, 1 / scale]

    def velocity(t, flat):
        w, theta = flat.reshape(N, 3)[:, 0], flat.reshape(N, 3)[:, 1:]
        h = np.tanh(theta @ X.T)
        r = (w @ h / N - f) / len(x)
        pull = (w[:, None] * (1 - h**2) * r) @ X
        return -(np.column_stack([h @ r, pull]) + lam * flat.reshape(N, 3)).ravel()

    hand = solve_ivp(velocity, (0, 3.0), xi.ravel(), "LSODA", rtol=1e-11, atol=1e-13).y[:, -1]
    net = jko.Risk(jko.Data(X, f), activation=lambda theta, x: torch.tanh(theta @ x.T))
    E = Counted(net + lam * jko.SquaredNorm())
    final = jko.limits.wasserstein(E, jko.Particles(xi), t1=3.0).final
    assert np.abs(final.points.numpy() - hand.reshape(N, 3)).max() < 1e-6
    assert E.gradients < 20_000


def test_an_interaction_of_two_scales_is_solved_without_its_second_derivatives():
    class Opaque(Counted):  # the gradient cannot be differentiated
        def second_order(self, mu):
            raise TypeError("no Hessian")

    E = Opaque(jko.Interaction(lambda z: 0.5 * (z[:, 0] ** 2 + 1e5 * z[:, 1] ** 2)))
    start = jko.Particles([[1.0, 1.0], [-1.0, 0.5], [0.6, 0.0]])
    run = jko.limits.wasserstein(E, start, t1=1.0)
    mean = start.points.mean(0)
    end = mean[0] + np.exp(-1.0) * (start.points[:, 0] - mean[0])
    assert float((run.final.points[:, 0] - end).abs().max()) < 1e-7
    assert float((run.final.points[:, 1] - mean[1]).abs().max()) < 1e-7
    assert E.gradients < 4000


def test_pairs_spans_and_labels_are_stiff_too():
    G, t1 = 1e5 * jko.SquaredNorm(), 1.0
    pair = jko.ChargedParticles([[1.0], [-0.5]], [0.3, -0.2])
    for verb in (jko.limits.chaos, jko.limits.wasserstein):
        final = verb(G, pair, t1=t1).final
        assert float(final.theta.abs().max()) < 1e-7
        assert float(final.H.abs().max()) < 1e-7
    G = jko.SquaredNorm() + jko.energies.OnTheta(1e5 * jko.SquaredNorm())
    span = jko.ChargedSpan(
        jko.Particles([[1.0], [-0.5]]),
        lambda at: 0.3 * at[:, 0],
        lambda theta, x: torch.tanh(theta @ x.T),
        [[1.0]],
    )
    final = jko.limits.separated(G, span, t1=t1).final
    assert float(final.support.abs().max()) < 1e-7
    assert float(final.alpha) == pytest.approx(np.exp(-1), rel=1e-7)
    labels = jko.limits.Labels.chebyshev(lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0], (-1, 1), 12)
    slow = jko.Potential(lambda z: 0.5 * (z[:, 1] ** 2 + 1e5 * z[:, 0] ** 2))
    final = jko.limits.chaos(slow, labels, t1=1.0).final
    assert np.abs(final.theta[:, 0].numpy() - np.exp(-1) * labels.u.numpy()).max() < 1e-7
    assert float(final.H.abs().max()) < 1e-7


# Rest


def test_a_flow_at_rest_says_so_and_keeps_its_state():
    E = Counted(jko.Potential(lambda z: 0.5 * ((z - 1) ** 2).sum(-1)))
    times = np.linspace(0, 1e6, 11)
    run = jko.limits.wasserstein(E, jko.Particles([[3.0], [-1.0]]), t1=1e6, times=times)
    assert run.times.tolist() == times.tolist()
    assert float((run.final.points - 1).abs().max()) < 1e-8
    one = jko.limits.wasserstein(E, jko.Particles([[1.0]]), t1=1e6, times=times)
    assert one.status is jko.Status.AT_REST
    assert all(state.points.tolist() == [[1.0]] for state in one.states)
    assert jko.limits.wasserstein(E, jko.Particles([[3.0]]), t1=1.0).status is jko.Status.FINISHED


def test_an_atom_beside_a_saddle_is_not_at_rest():
    # it leaves the saddle as e^t, from below what its other coordinate resolves
    V = jko.Potential(lambda z: 0.5 * (z[:, 0] - 1) ** 2 - 0.5 * z[:, 1] ** 2)
    final = jko.limits.wasserstein(V, jko.Particles([[1.0, 1e-12]]), t1=20.0, atol=1e-20).final
    assert float(final.points[0, 1]) == pytest.approx(1e-12 * np.exp(20.0), rel=1e-6)


def bump(n=12, half=0.1):
    grid = jko.Grid((0.0, 1.0), n)
    return jko.GridDensity.from_function(grid, lambda z: ((z[:, 0] - 0.5).abs() < half).to(F64))


def test_heat_long_after_its_rest_costs_no_more_than_to_it():
    run = jko.limits.wasserstein(jko.Entropy(), bump(), t1=40.0, max_evaluations=20_000)
    assert run.status is jko.Status.AT_REST
    assert float((run.final.values - 1).abs().max()) < 1e-12
    assert run.states[-1] is run.states[-2]
    # without rest, steps of 0.9 h^2 / 2 to t = 40
    assert 20_000 < 3 * 40 * 2 / 0.9 * 12**2
    start = jko.GridDensity(jko.Grid((0.0, 1.0), 8), torch.ones(8, dtype=F64))
    assert jko.limits.wasserstein(jko.Entropy(), start, t1=1e9).status is jko.Status.AT_REST


def test_a_pair_at_rest_on_a_grid_costs_nothing():
    grid = jko.Grid((0.0, 1.0), 8)
    pair = jko.ChargedDensity(grid, torch.ones(8, dtype=F64), torch.zeros(8, dtype=F64))
    E = jko.Potential(lambda z: 0.5 * z[:, 0] ** 2) + jko.Entropy()
    run = jko.limits.chaos(E, pair, t1=1e6, max_evaluations=10)
    assert run.status is jko.Status.AT_REST


# A bound on the work, and what is left


def kinked():
    # |x - 0.3 sign| pulls to and fro across a kink: no method has long steps there
    return jko.Potential(lambda z: z[:, 0].abs() + (z[:, 1] - z[:, 0].sign()) ** 2)


GRID = jko.Grid((-1.0, 1.0), 16)
PAIR = jko.ChargedDensity.from_function(
    GRID, lambda x: 1 + 0 * x[:, 0], lambda x: torch.sin(3 * x[:, 0])
)
ENERGY = jko.Risk(jko.Data([[1.0]], [1.0]), activation=lambda t, x: torch.tanh(t @ x.T))
ENERGY = ENERGY + 0.1 * jko.SquaredNorm()
LABELS = jko.limits.Labels.chebyshev(
    lambda x: 1 + 0 * x[:, 0], lambda x: torch.sin(x[:, 0]), (-1, 1), 8
)
BOUNDED = {
    "atoms": lambda n: jko.limits.wasserstein(
        ENERGY, jko.Particles([[1.0, 0.5]]), t1=10.0, max_evaluations=n
    ),
    "a kink": lambda n: jko.limits.wasserstein(
        kinked(), jko.Particles([[0.5, 0.3]]), t1=10.0, max_evaluations=n
    ),
    "densities": lambda n: jko.limits.wasserstein(
        jko.Entropy(), bump(16, 0.3), t1=0.5, max_evaluations=n
    ),
    "pairs of atoms": lambda n: jko.limits.chaos(
        ENERGY, jko.ChargedParticles([[0.5]], [1.0]), t1=10.0, max_evaluations=n
    ),
    "labels": lambda n: jko.limits.separated(ENERGY, LABELS, t1=3.0, max_evaluations=n),
    "volumes": lambda n: jko.limits.transported(ENERGY, PAIR, t1=5.0, max_evaluations=n),
    "hierarchy": lambda n: jko.limits.hierarchy(ENERGY, PAIR, t1=5.0, max_evaluations=n),
}


@pytest.mark.parametrize("name", sorted(BOUNDED))
def test_work_is_bounded_and_what_was_computed_is_kept(name):
    with pytest.raises(LimitStopped, match=r"max_evaluations") as caught:
        BOUNDED[name](30)
    run = caught.value.trajectory
    assert run.times[0] == 0
    assert 0 < run.times[-1] < 10
    assert f"t = {run.times[-1]:g}" in str(caught.value)
    assert len(run.times) == len(run.states) >= 2
    for other in (copy.copy(caught.value), pickle.loads(pickle.dumps(LimitStopped("a", 3)))):
        assert isinstance(other, LimitStopped)
        assert isinstance(other, ValueError)  # the remedy is another argument
        assert isinstance(other, RuntimeError)
        assert other.trajectory is run or other.trajectory == 3


@pytest.mark.parametrize("name", ["densities", "volumes", "hierarchy"])
def test_work_for_less_than_a_step_keeps_the_start(name):
    with pytest.raises(LimitStopped, match=r"took the solution to t = 0 of") as caught:
        BOUNDED[name](1)
    assert caught.value.trajectory.times.tolist() == [0.0]
    assert len(caught.value.trajectory.states) == 1


def test_a_run_that_stops_is_the_start_of_one_that_does_not():
    times = np.linspace(0, 10, 101)
    start = jko.Particles([[1.0, 0.5]])
    whole = jko.limits.wasserstein(ENERGY, start, t1=10.0, times=times)
    with pytest.raises(LimitStopped) as caught:
        jko.limits.wasserstein(ENERGY, start, t1=10.0, times=times, max_evaluations=60)
    run = caught.value.trajectory
    assert run.times.tolist() == whole.times[: len(run.times)].tolist()
    for one, other in zip(run.states, whole.states, strict=False):
        assert torch.equal(one.points, other.points)


def test_a_flow_that_blows_up_keeps_what_came_before():
    V = jko.Potential(lambda z: -(z**4).sum(-1))  # x' = 4 x^3 is infinite at t = 1/8
    with pytest.raises(LimitStopped, match=r"stopped at t = 0\.125 of 1") as caught:
        jko.limits.wasserstein(V, jko.Particles([[1.0]]), t1=1.0, times=[0.1])
    run = caught.value.trajectory
    assert run.times.tolist() == [0.0, 0.1]
    assert float(run.final.points) == pytest.approx((1 - 0.8) ** -0.5, rel=1e-6)
    assert not run.status.ok


def test_labels_that_fold_keep_what_came_before():
    saddle = jko.Potential(lambda z: z[:, 0] * z[:, 1])
    start = jko.limits.Labels.chebyshev(
        lambda x: 1 + 0 * x[:, 0], lambda x: 2 * x[:, 0], (-1, 1), 12
    )
    with pytest.raises(LimitStopped, match=r"meet at t = ") as caught:
        jko.limits.chaos(saddle, start, t1=20.0)
    run = caught.value.trajectory
    assert run.times[-1] == pytest.approx(np.arctanh(0.5), rel=1e-7)
    assert len(run.columns["tails"]) == len(run.times) - 1
    assert float(start.stretch(run.states[-2]).min()) > 0


@pytest.mark.parametrize("name", [*sorted(BOUNDED), "langevin", "sgd"])
def test_what_numpy_is_told_to_do_with_overflows_changes_nothing(name):
    generator = torch.Generator().manual_seed(0)
    mu = jko.Particles([[1.0, 0.5]])
    more = {
        "langevin": lambda n: jko.limits.langevin(
            ENERGY + jko.Entropy(), mu, t1=0.2, rate=0.1, generator=generator
        ),
        "sgd": lambda n: jko.limits.sgd(ENERGY, mu, t1=0.2, rate=0.1, batch=1, generator=generator),
    }
    runs = BOUNDED | more

    def end():
        generator.manual_seed(0)
        try:
            return runs[name](300).final
        except LimitStopped as stop:
            return stop.trajectory.final

    with np.errstate(all="ignore"):
        calm = end()
    with np.errstate(all="raise"):
        strict = end()
    values = [s.H if hasattr(s, "H") else getattr(s, "points", None) for s in (calm, strict)]
    values = [v if v is not None else s.values for v, s in zip(values, (calm, strict), strict=True)]
    assert torch.equal(*values)


def test_an_overflow_of_a_trial_step_is_no_error_of_the_caller():
    V = jko.Potential(lambda z: (z**2).sum(-1).exp())
    with np.errstate(all="raise"):
        final = jko.limits.wasserstein(V, jko.Particles([[5.0]]), t1=1.0).final
    assert 0 < float(final.points) < 1


# Porous media with m below two


def volumes(m, rho, h, t1):
    """The same equation by differences of rho^m / m, in time by scipy's BDF."""

    def rate(t, r):
        flux = -np.diff(np.maximum(r, 0) ** m / m) / h
        return -np.diff(np.concatenate([[0.0], flux, [0.0]])) / h

    return solve_ivp(rate, (0, t1), rho, "BDF", rtol=1e-8, atol=1e-10).y[:, -1]


@pytest.mark.parametrize("rtol", [None, 1e-2])
@pytest.mark.parametrize("m", [1.01, 1.1, 1.2, 1.5, 1.9, 2.0, 3.0])
def test_porous_media_spread_from_compact_support(m, rtol):
    start = bump(30)
    options = {} if rtol is None else {"rtol": rtol}
    run = jko.limits.wasserstein(jko.PorousMedium(m), start, t1=5e-3, **options)
    hand = volumes(m, start.values.numpy(), start.grid.spacing[0], 5e-3)
    error = np.abs(run.final.values.numpy() - hand).sum() * start.grid.cell
    assert error < 0.2 * (rtol or 1e-3)
    assert float(run.final.values.min()) >= 0
    assert abs(float(run.final.mass) - 1) < 1e-12
    if m == 1.2:
        assert float(run.final.values.max()) == pytest.approx(3.2, abs=0.05)


@pytest.mark.parametrize("m", [1.2, 1.5, 3.0])
def test_barenblatt_spreads_at_its_rate(m):
    errors = []
    for n in (60, 120):
        grid = jko.Grid((-3.0, 3.0), n)
        edges = np.linspace(-3.0, 3.0, n + 1)
        masses = [
            np.diff(exact.barenblatt_mass(edges, R=float(R), m=m))
            for R in (1.0, exact.barenblatt_flow(1.0, m=m, d=1, c=0.3, t=0.1))
        ]
        start = jko.GridDensity(grid, masses[0] / masses[0].sum() / grid.cell)
        final = jko.limits.wasserstein(0.3 * jko.PorousMedium(m), start, t1=0.1, times=[0.1]).final
        errors.append(np.abs(final.weights.numpy() - masses[1]).sum())
    assert errors[1] < 2e-3
    assert errors[1] < 0.6 * errors[0] or errors[0] < 1e-3


def test_bad_bounds_are_a_sentence():
    mu = jko.Particles([[1.0]])
    for bad in (0, -3):
        with pytest.raises(ValueError, match=r"max_evaluations = "):
            jko.limits.wasserstein(jko.SquaredNorm(), mu, t1=1.0, max_evaluations=bad)
    with pytest.raises(TypeError, match=r"max_evaluations must be a whole number"):
        jko.limits.chaos(jko.SquaredNorm(), LABELS, t1=1.0, max_evaluations=2.5)
