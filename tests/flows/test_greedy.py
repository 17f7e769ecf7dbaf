"""Training steps as long as the inner solve stays cheap."""

import numpy as np
import pytest
import torch

import jko

TRAIN = jko.LBFGS.training()


def problem(seed=0, n=40):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 2, generator=g, dtype=torch.float64)
    f = torch.sin(2 * x[:, 0]) * x[:, 1]
    risk = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))
    mu = jko.Particles(torch.randn(n, 4, generator=g, dtype=torch.float64))
    return risk + 1e-3 * jko.SquaredNorm(), mu


@pytest.mark.parametrize("seed", range(3))
def test_few_iterations_lengthen_the_next_step_and_many_shorten_it(seed):
    energy, mu = problem(seed)
    run = jko.flow(energy, mu, tau=jko.Greedy(first=0.5), steps=25, solver=TRAIN)
    lengths, work = run.columns["proposed"], run.columns["iterations"]
    tau = np.append(0.5, lengths[:-1])
    assert np.allclose(np.diff(run.times), tau, rtol=1e-9)
    assert np.allclose(lengths / tau, np.where(work <= 8, 4.0, np.where(work >= 20, 0.25, 1.0)))
    assert {0.25, 4.0} & set(lengths / tau)
    assert (np.diff(run.energies) <= 0).all()
    assert (run.slacks >= 0).all()


def evaluations(energy, mu, tau, target):
    done = jko.observers.Stop(lambda k, t, result: result.energy <= target)
    run = jko.flow(energy, mu, tau=tau, steps=150, solver=TRAIN, observers=[done])
    reached = run.energies[-1] <= target
    return run.columns["evaluations"].sum() if reached else np.inf


def test_it_trains_about_as_fast_as_the_best_fixed_step():
    energy, mu = problem(1)
    least = jko.flow(energy, mu, tau=1000.0, steps=25, solver=TRAIN).energies[-1]
    target = least + 0.01 * (float(energy(mu)) - least)
    fixed = [evaluations(energy, mu, tau, target) for tau in (1.0, 10.0, 100.0, 1000.0)]
    greedy = evaluations(energy, mu, jko.Greedy(), target)
    assert greedy <= 1.3 * min(fixed)
    assert max(fixed) > 2 * greedy


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_a_resumed_run_gives_the_same_bits(cut, tmp_path):
    energy, mu = problem(2)
    options = {"tau": jko.Greedy(), "steps": 15, "solver": TRAIN}
    whole, path = jko.flow(energy, mu, **options), tmp_path / "run.npz"
    stop = jko.observers.Stop(lambda k, t, result: k == cut)
    jko.flow(energy, mu, **options, checkpoint=path, observers=[stop])
    again = jko.flow(energy, jko.Trajectory.load(path), **options)
    assert np.array_equal(again.energies, whole.energies)
    assert np.array_equal(again.times, whole.times)
    assert torch.equal(again.final.points, whole.final.points)


def test_a_step_without_a_minimum_is_halved_and_the_next_is_not_longer():
    hill = -2 * jko.SquaredNorm()  # x -> x / (1 - 2 tau): none for tau >= 1/2
    run = jko.flow(hill, jko.Particles([[1e-9]]), tau=jko.Greedy(), steps=4)
    assert np.allclose(np.diff(run.times), [0.25] * 4)
    assert run.columns["rejected"][0] == 2


def test_at_rest_it_does_not_run_away():
    run = jko.flow(
        jko.SquaredNorm(), jko.Particles([[0.0]]), tau=jko.Greedy(longest=100.0), steps=30
    )
    assert np.diff(run.times).max() <= 100 * (1 + 1e-12)


def test_it_is_for_plain_steps():
    with pytest.raises(TypeError, match="Greedy trains by plain steps"):
        jko.flow(*problem(), tau=jko.Greedy(), steps=1, scheme=jko.BDF2())
    for wrong in ({"first": 0.0}, {"longest": -1.0}, {"first": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            jko.Greedy(**wrong)
