"""A flow is its steps with a ledger: energies fall, runs are saved whole, and resume to the same bits."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import jko


def problem(N=30):
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1, 1, 25, dtype=torch.float64)[:, None]
    data = jko.Data(x, torch.sin(3 * x[:, 0]))
    energy = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 1e-3 * jko.SquaredNorm()
    return energy, jko.Particles.normal(N, 3, generator=generator)


def same(a: jko.Trajectory, b: jko.Trajectory) -> bool:
    """Equal to the bit: times, energies, figures, states, memory."""
    return (
        np.array_equal(a.times, b.times)
        and np.array_equal(a.energies, b.energies)
        and a.columns.keys() == b.columns.keys()
        and all(np.array_equal(a.columns[name], b.columns[name]) for name in a.columns)
        and np.array_equal(a.kept, b.kept)
        and all(torch.equal(s.points, t.points) for s, t in zip(a.states, b.states, strict=True))
        and a.memory.keys() == b.memory.keys()
        and all(torch.equal(a.memory[name], b.memory[name]) for name in a.memory)
    )


@pytest.mark.parametrize("tau", [0.1, 1.0, 30.0])
def test_the_energy_falls_by_more_than_the_cost_at_every_step(tau):
    energy, mu = problem()
    run = jko.flow(energy, mu, tau=tau, steps=15)
    assert (np.diff(run.energies) < 0).all()
    assert run.slacks.min() >= -1e-12 * run.energies[0]
    drop = -np.diff(run.energies)
    assert np.allclose(drop, run.costs / (2 * tau) + run.slacks, rtol=1e-12)


def test_a_flow_is_its_steps():
    energy, mu = problem()
    run = jko.flow(energy, mu, tau=0.7, steps=3)
    state, memory = mu, None
    for _ in range(3):
        result = jko.step(energy, state, tau=0.7, memory=memory)
        state, memory = result.state, result.memory
    assert torch.equal(run.final.points, state.points)


def test_the_distance_travelled_is_bounded_by_the_energy():
    """metric(mu_k, mu_l) <= sqrt(2 tau (l - k) (E_k - E_l)): Cauchy-Schwarz on the ledger."""
    energy, mu = problem()
    run = jko.flow(energy, mu, tau=0.5, steps=8)
    travelled = jko.distance(run.states[2], run.states[7]).value
    assert travelled <= (2 * 0.5 * 5 * (run.energies[2] - run.energies[7])) ** 0.5 * (1 + 1e-12)


def test_the_last_step_is_shortened_to_reach_t1():
    run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.3, t1=1.0)
    assert run.times.tolist() == pytest.approx([0, 0.3, 0.6, 0.9, 1.0])
    assert run.times[-1] == 1.0
    assert len(jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, t1=1.0).times) == 11


def test_tau_may_depend_on_the_step():
    run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=lambda k: 0.1 * 2**k, steps=3)
    assert run.times.tolist() == pytest.approx([0, 0.1, 0.3, 0.7])


def test_every_save_th_state_is_kept_and_the_last():
    energy, mu = problem()
    run = jko.flow(energy, mu, tau=0.5, steps=7, save=3)
    assert run.kept.tolist() == [0, 3, 6, 7]
    assert len(run.energies) == 8


def test_at_moves_atoms_along_straight_lines():
    run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, steps=2)
    a, b = (float(state.points) for state in run.states[:2])
    assert float(run.at(0.25).points) == pytest.approx(0.75 * a + 0.25 * b)
    assert torch.equal(run.at(2.0).points, run.final.points)
    with pytest.raises(ValueError, match=r"t = 3 lies outside the trajectory, 0 \.\. 2"):
        run.at(3.0)


@pytest.mark.parametrize("save", [1, 2, 5])
def test_save_load_and_resume_repeat_the_same_bits(tmp_path, save):
    energy, mu = problem()
    whole = jko.flow(energy, mu, tau=2.0, steps=9, save=save)
    jko.flow(energy, mu, tau=2.0, steps=4, save=save).save(tmp_path / "half.npz")
    loaded = jko.Trajectory.load(tmp_path / "half.npz")
    assert same(jko.flow(energy, loaded, tau=2.0, steps=9, save=save), whole)


def test_a_graph_run_with_domain_is_saved_and_loaded(tmp_path):
    energy, mu = problem()
    pair = mu.project()
    for domain in (None, jko.Box([-9.0, -9.0], [9.0, 9.0]), jko.Ball([0.0, 0.0], 9.0)):
        start = jko.ChargedParticles(pair.theta, pair.H, domain=domain)
        run = jko.flow(energy, start, tau=1.0, steps=2)
        again = jko.Trajectory.load(run.save(tmp_path / "graph"))
        assert isinstance(again.final, jko.ChargedParticles)
        assert torch.equal(again.final.H, run.final.H)
        assert repr(again.final.domain) == repr(domain)
        lift = jko.flow(energy, start.lift(), tau=1.0, steps=1)
        again = jko.Trajectory.load(lift.save(tmp_path / "lift.npz"))
        assert type(again.final.domain) is type(start.lift().domain)


def test_a_domain_given_by_its_projection_must_be_given_again(tmp_path):
    domain = jko.spaces.Convex(lambda z: z.clamp(min=0.0))
    run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]], domain=domain), tau=1.0, steps=1)
    path = run.save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="pass domain="):
        jko.Trajectory.load(path)
    assert jko.Trajectory.load(path, domain=domain).final.domain is domain


RUN = """
    import sys, torch, jko
    torch.set_num_threads(1)
    sys.path.insert(0, {tests!r})
    from test_flows import problem
    energy, mu = problem()
    say = lambda k, t, result: print(k, flush=True)
    jko.flow(energy, mu, tau=2.0, steps=5_000, save=3, checkpoint={path!r}, observers=[say])
"""


@pytest.fixture
def killed(tmp_path):
    """The checkpoint of a long run in another process, killed once ten times were in it.

    The process says each step as it is done: steps are counted, not seconds, and it is dead when the fixture ends.
    """
    path = tmp_path / "run.npz"
    code = textwrap.dedent(RUN.format(tests=os.path.dirname(__file__), path=str(path)))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        try:
            saved = (path.exists() and len(jko.Trajectory.load(path).times) > 9 for _ in run.stdout)
            assert any(saved), f"the run ended by itself, {run.wait()}, without ten times saved"
        finally:
            run.kill()
    assert run.returncode == -signal.SIGKILL
    return path


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_killed_run_resumes_to_the_same_bits(killed):
    rest = jko.Trajectory.load(killed)
    energy, mu = problem()
    steps = len(rest.times) + 4
    resumed = jko.flow(energy, rest, tau=2.0, steps=steps, save=3)
    assert same(resumed, jko.flow(energy, mu, tau=2.0, steps=steps, save=3))


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_returns_the_partial_trajectory():
    energy, mu = problem()

    def interrupt(k, t, result):
        if k == 3:
            signal.raise_signal(signal.SIGINT)

    run = jko.flow(energy, mu, tau=1.0, steps=100, observers=[interrupt])
    assert run.status is jko.Status.INTERRUPTED
    assert len(run.times) == 4
    assert len(jko.flow(energy, run, tau=1.0, steps=6).times) == 7


def test_a_limit_cannot_be_continued_by_steps():
    limit = jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0)
    with pytest.raises(ValueError, match=r"no figures of JKO steps.*start from its \.final"):
        jko.flow(jko.SquaredNorm(), limit, tau=1.0, steps=99)


def test_resuming_with_another_save_keeps_what_was_kept():
    energy, mu = problem()
    first = jko.flow(energy, mu, tau=1.0, steps=5, save=2)
    assert jko.flow(energy, first, tau=1.0, steps=9, save=3).kept.tolist() == [0, 2, 4, 6, 9]


def test_a_failed_step_gives_what_came_before(tmp_path):
    calls = []

    def breaks(xi):
        calls.append(xi)
        return 0.5 * (xi**2).sum(-1) + (0 if len(calls) < 20 else torch.nan)

    energy, mu = jko.Potential(breaks), jko.Particles([[1.0]])
    options = {"tau": 0.2, "steps": 50, "checkpoint": tmp_path / "run.npz"}
    with pytest.raises(jko.StepFailed, match="NOT_FINITE") as failure:
        jko.flow(energy, mu, **options)
    before = failure.value.trajectory
    assert len(before.times) > 2
    assert 0 < float(before.final.points) < 1
    assert jko.Trajectory.load(tmp_path / "run.npz").status is jko.Status.NOT_FINITE
    calls.clear()
    assert jko.flow(energy, mu, throw=False, **options).status is jko.Status.NOT_FINITE


def test_an_observer_that_breaks_loses_nothing(tmp_path):
    energy, mu = problem()

    def breaks(k, t, result):
        if k == 3:
            raise ZeroDivisionError

    path = tmp_path / "run.npz"
    with pytest.raises(ZeroDivisionError):
        jko.flow(energy, mu, tau=1.0, steps=9, save=2, observers=[breaks], checkpoint=path)
    saved = jko.Trajectory.load(path)
    assert len(saved.times) == 4
    rest = jko.flow(energy, saved, tau=1.0, steps=6, save=2)
    assert same(rest, jko.flow(energy, mu, tau=1.0, steps=6, save=2))


def test_observers_see_every_step_and_can_stop():
    energy, mu = problem()
    record = jko.observers.Record(lambda k, t, result: (k, t, result.energy))
    stop = jko.Stop(lambda k, t, result: k == 4)
    run = jko.flow(energy, mu, tau=0.5, steps=10, observers=[record, stop])
    assert run.status is jko.Status.STOPPED
    assert [k for k, *_ in record.values] == [1, 2, 3, 4]
    assert [e for *_, e in record.values] == run.energies[1:].tolist()
    steady = jko.flow(jko.SquaredNorm(), mu, tau=1.0, steps=99, observers=[jko.SteadyState(1e-3)])
    assert steady.status is jko.Status.AT_REST
    assert len(steady.times) < 30


def test_a_conserved_quantity_is_watched():
    """1/2 int int |x - y|^2 / 2 does not see translations, so the mean stays; |x|^2 moves it."""
    _, mu = problem()
    watch = jko.observers.Conserved(lambda state: state.mean(), tol=1e-7)
    energy = jko.Interaction(lambda z: 0.5 * (z * z).sum(-1))
    jko.flow(energy, mu, tau=0.5, steps=3, observers=[watch], solver=jko.LBFGS(tol=1e-12))
    watch = jko.observers.Conserved(lambda state: state.mean(), tol=1e-7)
    with pytest.raises(ValueError, match="drifted by"):
        jko.flow(jko.SquaredNorm(), mu, tau=0.5, steps=3, observers=[watch])


def test_progress_writes_on_a_terminal_only():
    class Terminal(list):
        def write(self, text):
            self.append(text)

        def flush(self):
            pass

        def isatty(self):
            return self.tty

    energy, mu = problem()
    for tty in (True, False):
        screen = Terminal()
        screen.tty = tty
        jko.flow(energy, mu, tau=1.0, steps=2, observers=[jko.Progress(stream=screen)])
        assert bool(screen) is tty


def test_a_file_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        jko.Trajectory.load(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match="not a run saved by jko"):
        jko.Trajectory.load(tmp_path / "text.npz")
    np.savez(tmp_path / "pickle.npz", __facts__=np.array({"format": 1}, dtype=object))
    with pytest.raises(ValueError, match="not a run saved by jko"):
        jko.Trajectory.load(tmp_path / "pickle.npz")


def test_a_save_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    energy, mu = problem()
    run = jko.flow(energy, mu, tau=1.0, steps=1)
    path = run.save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="does not exist; create it first"):
        run.save(tmp_path / "missing" / "run.npz")

    def no_space(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    with pytest.raises(ValueError, match="No space left"):
        run.save(path)
    assert len(jko.Trajectory.load(path).times) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]
