"""Stochastic gradient descent and Langevin dynamics: unbiased, and convergent to the flows they stand for."""

import numpy as np
import pytest
import torch

import jko


def seed(k=0):
    return torch.Generator().manual_seed(k)


def net(M=6):
    x = torch.linspace(-1, 1, M, dtype=torch.float64)[:, None]
    weights = torch.linspace(0.1, 0.5, M, dtype=torch.float64)
    return jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0]), weights), activation=jko.Ridge(torch.tanh))


def neurons(N=5):
    return jko.Particles.normal(N, 3, generator=seed(1))


def test_one_update_moves_in_the_mean_along_the_flow():
    F, mu = net() + 0.1 * jko.SquaredNorm(), neurons()
    generator, moves = seed(2), []
    for _ in range(4000):
        run = jko.limits.sgd(F, mu, t1=1.0, rate=1.0, batch=2, generator=generator)
        moves.append(run.final.points - mu.points)
    moves = torch.stack(moves)
    spread = moves.std(0) / 4000**0.5
    assert bool(((moves.mean(0) + F.gradient(mu)).abs() < 4.5 * spread + 1e-12).all())


def test_descent_tends_to_the_flow_like_the_square_root_of_the_rate():
    F, mu = net() + 0.1 * jko.SquaredNorm(), neurons()
    exact = F.terms[0][1].predict(jko.limits.wasserstein(F, mu, t1=1.0).final)
    rates, errors = [0.1, 0.025, 0.00625], []
    for rate in rates:
        squares = []
        for k in range(30):
            run = jko.limits.sgd(F, mu, t1=1.0, rate=rate, batch=1, generator=seed(k), save=1000)
            squares.append(float(((F.terms[0][1].predict(run.final) - exact) ** 2).mean()))
        errors.append(np.mean(squares) ** 0.5)
    order = np.polyfit(np.log(rates), np.log(errors), 1)[0]
    assert abs(order - 0.5) < 0.15


def test_pairs_descend_too_and_every_state_asked_for_is_kept():
    F, pair = net() + 0.1 * jko.SquaredNorm(), neurons().project()
    run = jko.limits.sgd(F, pair, t1=1.0, rate=0.1, batch=3, generator=seed(), save=4)
    assert isinstance(run.final, jko.ChargedParticles)
    assert run.kept.tolist() == [0, 4, 8, 10]
    assert run.times[-1] == pytest.approx(1.0)


def test_langevin_has_the_law_of_its_recursion():
    # xi+ = (1 - a r) xi + sqrt(2 c r) N: the variance has a closed recursion
    a, c, r, N = 1.5, 0.6, 0.1, 40000
    mu = jko.Particles(torch.full((N, 1), 0.5, dtype=torch.float64))
    F = a * jko.SquaredNorm() + c * jko.Entropy()
    final = jko.limits.langevin(F, mu, t1=1.0, rate=r, generator=seed(), save=100).final
    variance = 0.0
    for _ in range(10):
        variance = (1 - a * r) ** 2 * variance + 2 * c * r
    assert float(final.mean()) == pytest.approx(
        0.5 * (1 - a * r) ** 10, abs=4 * (variance / N) ** 0.5
    )
    assert float(final.covariance()) == pytest.approx(variance, rel=4 * (2 / N) ** 0.5)


def test_langevin_between_walls_rests_where_the_gibbs_measure_is():
    box = jko.Box([0.0], [1.0])
    mu = jko.Particles.uniform(4000, box, generator=seed())
    F = jko.Potential(lambda x: -x[:, 0]) + 0.5 * jko.Entropy()
    run = jko.limits.langevin(F, mu, t1=3.0, rate=0.002, generator=seed(1), save=10**6)
    x = run.final.points[:, 0].numpy()
    below = jko.exact.wall_rest_mass([0.25, 0.5, 0.75], beta=0.5)
    assert np.abs([(x < t).mean() for t in (0.25, 0.5, 0.75)] - below).max() < 0.04


def test_bad_input_is_said():
    F, mu = net(), neurons()
    with pytest.raises(TypeError, match=r"atoms, which have no density; leave it out"):
        jko.limits.sgd(F + jko.Entropy(), mu, t1=1.0, rate=0.1, batch=1, generator=seed())
    with pytest.raises(ValueError, match=r"Entropy add up to 0"):
        jko.limits.langevin(F, mu, t1=1.0, rate=0.1, generator=seed())
    G = F + jko.Entropy() + jko.PorousMedium()
    with pytest.raises(TypeError, match=r"noise is the limit of Entropy alone"):
        jko.limits.langevin(G, mu, t1=1.0, rate=0.1, generator=seed())
    ball = jko.Particles([[0.0, 0.0]], domain=jko.Ball([0.0, 0.0], 1.0))
    with pytest.raises(TypeError, match=r"reflected at the walls of a jko.Box"):
        jko.limits.langevin(jko.Entropy(), ball, t1=1.0, rate=0.1, generator=seed())
    steep, start = jko.Potential(lambda x: x[:, 0] ** 4), jko.Particles([[1e3]])
    with pytest.raises(RuntimeError, match=r"lower the rate"):
        jko.limits.sgd(steep, start, t1=50.0, rate=1.0, batch=1, generator=seed())
    with pytest.raises(TypeError, match=r"generator must be"):
        jko.limits.sgd(F, mu, t1=1.0, rate=0.1, batch=1, generator=None)


def test_noise_belongs_to_theta_and_each_atom_carries_its_charge():
    N, c, r = 4000, 0.5, 0.05
    theta = torch.linspace(-1, 1, N, dtype=torch.float64)[:, None]
    zero = jko.ChargedParticles(theta, torch.zeros(N, dtype=torch.float64))
    F = jko.SquaredNorm() + c * jko.Entropy()
    final = jko.limits.langevin(F, zero, t1=5.0, rate=r, generator=seed(), save=1000).final
    assert float(final.H.var()) == 0
    assert float(final.theta.var()) == pytest.approx(c, rel=0.1)
    # H falls along (3.24) whatever the noise is: H' = -H
    pair = jko.ChargedParticles(theta, 1 + theta[:, 0])
    moved = jko.limits.langevin(F, pair, t1=1.0, rate=r, generator=seed(), save=1000).final
    assert float((moved.H - (1 - r) ** 20 * pair.H).abs().max()) < 1e-13
    # a measure on R x Theta has noise in both
    both = jko.limits.langevin(F, zero.lift(), t1=5.0, rate=r, generator=seed(), save=1000).final
    assert both.points.var(0).tolist() == pytest.approx([c, c], rel=0.1)


def test_brownian_motion_alone_spreads_at_its_rate():
    N, c = 20_000, 0.7
    mu = jko.Particles(torch.zeros(N, 2, dtype=torch.float64))
    run = jko.limits.langevin(c * jko.Entropy(), mu, t1=1.0, rate=0.25, generator=seed())
    assert run.energies.tolist() == [0.0] * 5
    for t, state in zip(run.times, run.states, strict=True):
        covariance = state.covariance().numpy()
        assert np.abs(covariance - 2 * c * t * np.eye(2)).max() < 5 * 2 * c * (2 / N) ** 0.5


@pytest.mark.parametrize("rate", [0.01, 0.3, 20.0])
@pytest.mark.parametrize("pairs", [False, True])
def test_both_walls_reflect_alike_however_far_an_atom_is_thrown(rate, pairs):
    # the uniform law is invariant under reflected noise of any size
    N, box = 20_000, jko.Box([-1.0], [2.0])
    start = jko.Particles.uniform(N, box, generator=seed())
    if pairs:
        start = jko.ChargedParticles(start.points, torch.zeros(N).double(), domain=box)
    run = jko.limits.langevin(jko.Entropy(), start, t1=4 * rate, rate=rate, generator=seed(1))
    for state in run.states:
        x = (state.theta if pairs else state.points)[:, 0].numpy()
        assert -1 <= x.min() <= x.max() <= 2
        assert np.isin([-1.0, 2.0], x).sum() == 0, "no atom sticks to a wall"
        counts = np.histogram(x, bins=12, range=(-1, 2))[0]
        assert ((counts - N / 12) ** 2 / (N / 12)).sum() < 40  # chi square, 11 degrees: p < 1e-4
    # from the middle the law is symmetric
    middle = jko.Particles(torch.full((N, 1), 0.5, dtype=torch.float64), domain=box)
    x = jko.limits.langevin(jko.Entropy(), middle, t1=rate, rate=rate, generator=seed(2)).final
    skew = float(((x.points - 0.5) ** 3).mean())
    assert abs(skew) < 5 * 1.5**3 / N**0.5


def test_a_half_line_reflects_at_its_one_wall():
    N = 20_000
    for box, sign in ((jko.Box([0.0], [np.inf]), 1), (jko.Box([-np.inf], [0.0]), -1)):
        start = jko.Particles(torch.zeros(N, 1, dtype=torch.float64), domain=box)
        x = jko.limits.langevin(jko.Entropy(), start, t1=1.0, rate=0.5, generator=seed()).final
        assert (sign * x.points.numpy() > 0).all()
        assert float((x.points**2).mean()) == pytest.approx(2.0, rel=0.05)


def test_an_energy_that_is_none_is_a_sentence():
    mu = neurons()
    with pytest.raises(TypeError, match=r"energy must be Energy, not int"):
        jko.limits.langevin(5, mu, t1=1.0, rate=0.1, generator=seed())
    with pytest.raises(TypeError, match=r"energy must be Energy, not str"):
        jko.limits.sgd("F", mu, t1=1.0, rate=0.1, batch=1, generator=seed())
    with pytest.raises(TypeError, match=r"start must be Particles or ChargedParticles, not list"):
        jko.limits.langevin(jko.Entropy(), [[0.0]], t1=1.0, rate=0.1, generator=seed())


def test_a_descent_that_diverges_keeps_what_came_before():
    steep, start = jko.Potential(lambda x: x[:, 0] ** 4), jko.Particles([[1e3]])
    with pytest.raises(jko.limits.LimitStopped, match=r"at t = .*lower the rate") as caught:
        jko.limits.sgd(steep, start, t1=50.0, rate=1.0, batch=1, generator=seed())
    run = caught.value.trajectory
    assert run.final.points.isfinite().all()
    assert len(run.times) == len(run.states) == len(run.energies) > 1
