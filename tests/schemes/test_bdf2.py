"""BDF2 is of second order in tau for one solve a step; E_c never rises, and its history is of a state."""

import itertools

import numpy as np
import pytest
import torch
from problems import tanh_energy, tanh_network

import jko
from jko.schemes.bdf2 import HERE, MOVE, SHARE, TAU

NEWTON = jko.BlockNewton(tol=1e-12)


def labels(kind, xi):
    return jko.Particles(xi) if kind == "measure" else jko.ChargedParticles(xi[:, 1:], xi[:, 0])


def steps_of(x, lam, taus):
    """The labels of ``x' = -lam x`` by the formula of the scheme with steps ``taus``, the first one implicit."""
    xs = [x, x / (1 + lam * taus[0])]
    for old, tau in itertools.pairwise(taus):
        w = tau / old
        base = xs[-1] + w * w / (1 + 2 * w) * (xs[-1] - xs[-2])
        xs.append(base / (1 + lam * tau * (1 + w) / (1 + 2 * w)))
    return xs


@pytest.mark.parametrize("seed", range(5))
def test_its_steps_are_those_of_the_formula_at_any_steps(seed):
    rng = np.random.default_rng(seed)
    taus = [0.1 * 1.6**k for k in np.cumsum(rng.uniform(-1, 1, 12)).tolist()]
    lam, x = rng.uniform(0.1, 20), rng.standard_normal()
    run = jko.flow(
        lam * jko.SquaredNorm(),
        jko.Particles([[x]]),
        tau=taus.__getitem__,
        steps=12,
        solver=NEWTON,
        scheme=jko.BDF2(),
    )
    found = [float(state.points) for state in run.states]
    assert found == pytest.approx(steps_of(x, lam, taus), abs=1e-10)
    assert not run.columns["fallback"].any()
    assert (np.diff(run.columns["modified"]) <= 1e-12).all()


def test_the_energy_rises_where_it_should_and_the_modified_one_does_not():
    """``F = 3 x^2 / 2``, tau = 1, from 1: the first step lands at 1/4, the next ones at 0 and -1/36."""
    start = jko.Particles([[1.0]])
    run = jko.flow(3 * jko.SquaredNorm(), start, tau=1.0, steps=3, solver=NEWTON, scheme=jko.BDF2())
    assert [float(s.points) for s in run.states] == pytest.approx([1, 0.25, 0, -1 / 36], abs=1e-9)
    assert run.energies[-1] == pytest.approx(1.5 / 36**2)
    assert run.energies[-1] > run.energies[-2] + 1e-3
    E, moves = run.energies, np.array([0.75, 0.25, 1 / 36])
    assert run.columns["modified"] == pytest.approx(E[1:] + SHARE * moves**2, abs=1e-9)
    assert (run.columns["statuses"] == "CONVERGED").all()


def test_a_step_that_grows_too_much_is_a_plain_one():
    energy, start = jko.SquaredNorm(), jko.Particles([[1.0]])
    first = jko.BDF2().advance(energy, start, tau=0.1, solver=NEWTON)
    for tau, plain in ((0.16, 0.0), (0.17, 1.0)):
        step = jko.BDF2().advance(energy, first.state, tau=tau, solver=NEWTON, memory=first.memory)
        assert step.figures["fallback"] == plain
        implicit = float(first.state.points) / (1 + tau)
        assert (abs(float(step.state.points) - implicit) < 1e-10) == bool(plain)


def test_the_history_of_another_state_or_energy_is_dropped():
    energy, scheme = jko.SquaredNorm(), jko.BDF2()
    first = scheme.advance(energy, jko.Particles([[1.0], [2.0]]), tau=0.1, solver=NEWTON)
    assert {HERE, MOVE, TAU} <= set(first.memory)
    elsewhere = jko.Particles(first.state.points + 1e-6)
    for E, state in ((energy, elsewhere), (2 * energy, first.state)):
        step = scheme.advance(E, state, tau=0.1, solver=NEWTON, memory=first.memory)
        plain = jko.step(E, state, tau=0.1, solver=NEWTON)
        assert torch.equal(step.state.points, plain.state.points)
    between = jko.step(energy, first.state, tau=0.1, solver=NEWTON, memory=first.memory)
    assert MOVE not in between.memory


@pytest.mark.parametrize("kind", ["measure", "pair"])
def test_a_resumed_run_has_the_bits_of_the_whole(kind, tmp_path):
    x, f, lam, xi = tanh_network()
    energy, start = tanh_energy(x, f, lam), labels(kind, xi)
    options = {"tau": 0.3, "scheme": jko.BDF2()}
    whole = jko.flow(energy, start, steps=6, **options)
    jko.flow(energy, start, steps=3, checkpoint=tmp_path / "run", **options)
    loaded = jko.Trajectory.load(next(tmp_path.iterdir()))
    for half in (loaded, jko.flow(energy, start, steps=3, **options)):
        again = jko.flow(energy, half, steps=6, **options)
        assert torch.equal(whole.final.atoms.points, again.final.atoms.points)
        assert (whole.columns["modified"] == again.columns["modified"]).all()


def test_its_velocity_is_the_slope_at_the_end():
    x, f, lam, xi = tanh_network()
    energy, state, memory = tanh_energy(x, f, lam), jko.Particles(xi), None
    for tau in (0.1, 0.15, 0.1):
        step = jko.BDF2().advance(energy, state, tau=tau, solver=NEWTON, memory=memory)
        state, memory = step.state, step.memory
        slope = energy.gradient(state)
        assert float((step.fields["velocity"] + slope).abs().max()) < 1e-9


def test_c_and_the_growth_are_those_that_the_proof_allows():
    """E_c is non-increasing if ``w^3 <= 2 c (1 + w) (1 + 2 w - 2 c (1 + w))``; at w = 1.7 no more."""
    w, c = np.linspace(0, jko.BDF2.growth, 1000), SHARE
    assert (w**3 <= 2 * c * (1 + w) * (1 + 2 * w - 2 * c * (1 + w))).all()
    w = 1.7
    assert w**3 > 2 * c * (1 + w) * (1 + 2 * w - 2 * c * (1 + w))
