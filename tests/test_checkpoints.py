"""Checkpoints: nothing is lost, whatever ends a flow, and a save costs the same however many came before."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from still import Shrink

import jko
from jko.storage import figures, places

ENERGY = jko.SquaredNorm()
START = jko.Particles.normal(10, 3, generator=torch.Generator().manual_seed(0))


def shrink(steps, start=START, **options):
    return jko.flow(ENERGY, start, **{"tau": 0.01, "steps": steps, "scheme": Shrink()} | options)


def same(a, b):
    """Equal to the bit, whether the states are in memory or on disk."""
    return (
        np.array_equal(a.times, b.times)
        and np.array_equal(a.energies, b.energies)
        and np.array_equal(a.kept, b.kept)
        and a.columns.keys() == b.columns.keys()
        and all(np.array_equal(a.columns[name], b.columns[name]) for name in a.columns)
        and all(
            torch.equal(s.points, t.points) and torch.equal(s.weights, t.weights)
            for s, t in zip(a.states, b.states, strict=True)
        )
        and a.memory.keys() == b.memory.keys()
        and all(torch.equal(a.memory[name], b.memory[name]) for name in a.memory)
    )


# -- what comes out with an error


class MineError(Exception):
    """Of a user."""


def raising(error, at):
    def act(k, *_):
        if k == at:
            raise error

    return act


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize(
    "error",
    [KeyError("mine"), MineError(), SystemExit(3), MemoryError(), GeneratorExit()],
    ids=repr,
)
def test_whatever_an_observer_raises_carries_the_trajectory(tmp_path, error, checkpoint):
    options = {"checkpoint": tmp_path / "run"} if checkpoint else {}
    with pytest.raises(type(error)) as raised:
        shrink(9, observers=[raising(error, 5)], **options)
    run = raised.value.trajectory
    assert run.status is jko.Status.ERROR
    assert same(shrink(9, run), shrink(9))
    assert "5 steps before this are in error.trajectory" in raised.value.__notes__[-1]
    if checkpoint:
        assert same(jko.Trajectory.load(tmp_path / "run"), run)
        assert str(tmp_path / "run.npz") in raised.value.__notes__[-1]


@pytest.mark.parametrize("place", ["tau", "energy", "scheme"])
def test_an_error_from_anywhere_in_the_loop_carries_the_trajectory(tmp_path, place):
    calls = []

    def fails(value):
        calls.append(value)
        if len(calls) > 4:
            raise MineError
        return value

    class Fails(Shrink):
        def advance(self, *args, **options):
            fails(None)
            return super().advance(*args, **options)

    options = {"scheme": Fails() if place == "scheme" else Shrink(), "tau": 0.01}
    if place == "tau":
        options["tau"] = lambda k: fails(0.01)
    energy = jko.Potential(lambda z: fails((z**2).sum(-1))) if place == "energy" else ENERGY
    with pytest.raises(MineError) as raised:
        jko.flow(energy, START, steps=99, checkpoint=tmp_path / "run.npz", **options)
    run = raised.value.trajectory
    assert len(run.times) > 1
    assert same(jko.Trajectory.load(tmp_path / "run.npz"), run)


def test_where_saving_fails_too_the_first_error_comes_through_with_a_note(tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    def breaks(k, t, result):
        if k == 3:
            monkeypatch.setattr(os, "pwrite", no_space)
            monkeypatch.setattr(np, "savez", no_space)
            raise MineError

    with pytest.raises(MineError) as raised:
        shrink(9, observers=[breaks], checkpoint=tmp_path / "run.npz")
    assert len(raised.value.trajectory.times) == 4
    assert "No space left" in raised.value.__notes__[-1]
    monkeypatch.undo()
    assert len(jko.Trajectory.load(tmp_path / "run.npz").times) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_a_disk_that_fills_up_ends_the_flow_and_the_next_one_resumes(tmp_path, monkeypatch):
    full, write = [False], os.pwrite

    def half(handle, data, at):
        if full[0]:
            write(handle, data[: len(data) // 2], at)
            raise OSError(28, "No space left on device")
        return write(handle, data, at)

    def fill(k, t, result):
        full[0] = k == 150

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(ValueError, match="No space left") as raised:
        shrink(200, observers=[fill], checkpoint=tmp_path / "run.npz")
    full[0] = False
    assert len(raised.value.trajectory.times) == 152
    saved = jko.Trajectory.load(tmp_path / "run.npz")
    assert len(saved.times) == 151
    assert same(shrink(200, saved, checkpoint=tmp_path / "run.npz"), shrink(200))


def test_an_interruption_finds_a_step_whole_or_not_at_all(monkeypatch):
    """Wherever between two lines Ctrl-C strikes, the trajectory can be continued to the same bits."""
    whole = shrink(12)
    from jko import ledger

    lines = set()
    for stop in range(1, 60):
        count = [0]

        def trace(frame, event, arg, count=count, stop=stop):
            if frame.f_code.co_filename in (ledger.__file__, figures.__file__):
                if event == "line" and frame.f_back and "march" in _names(frame):
                    count[0] += 1
                    if count[0] == stop * 7:
                        lines.add((frame.f_code.co_name, frame.f_lineno))
                        raise KeyboardInterrupt
                return trace
            return trace if frame.f_code.co_name in ("flow", "_march") else None

        sys.settrace(trace)
        try:
            run = shrink(8)
        finally:
            sys.settrace(None)
        assert run.status in (jko.Status.INTERRUPTED, jko.Status.FINISHED)
        assert same(shrink(12, run), whole)
    assert len(lines) > 12


def _names(frame):
    names = ""
    while frame is not None:
        names, frame = names + frame.f_code.co_name, frame.f_back
    return names


def test_ctrl_c_returns_what_is_saved(tmp_path):
    run = shrink(9, observers=[raising(KeyboardInterrupt(), 4)], checkpoint=tmp_path / "run.npz")
    assert run.status is jko.Status.INTERRUPTED
    assert len(run.times) == 5
    assert same(jko.Trajectory.load(tmp_path / "run.npz"), run)


# -- places that cannot be written


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("missing/run.npz", ValueError, "does not exist; create it first"),
        ("folder", ValueError, "a folder, not a file; choose another name"),
        ("pipe", ValueError, "a pipe, a socket or a device"),
        ("x" * 300, ValueError, "name too long"),
        ("a\0b", ValueError, "characters that no file name can have"),
        ("a\ud800b", ValueError, "characters that no file name can have"),
        ("", ValueError, "names a folder"),
        ("..", ValueError, "names a folder"),
        (b"run", TypeError, "must be a path"),
        (3, TypeError, "must be a path"),
        (True, TypeError, "must be a path"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(
    tmp_path, monkeypatch, name, kind, sentence
):
    monkeypatch.chdir(tmp_path)
    Path("folder.npz").mkdir()
    os.mkfifo("pipe.npz")
    before, steps = sorted(os.listdir()), []
    options = {"observers": [lambda k, t, r: steps.append(k)], "checkpoint": name}
    with pytest.raises(kind, match=f"(?i){sentence}"):
        shrink(3, **options)
    with pytest.raises(kind, match=f"(?i){sentence}"):
        shrink(1).save(name)
    assert not steps
    assert sorted(os.listdir()) == before


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    run = shrink(1)
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(ValueError, match="Permission denied; choose a name and a folder"):
        run.save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="Permission denied; choose a name and a folder"):
        shrink(2, checkpoint=tmp_path / "run.npz")


def test_the_longest_name_that_the_system_allows_is_written(tmp_path):
    name = "x" * 251
    shrink(3, checkpoint=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name + ".npz"]
    assert len(jko.Trajectory.load(tmp_path / name).times) == 4


def test_a_flow_that_never_starts_leaves_the_file_that_was_there(tmp_path):
    before = shrink(4, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match="tau"):
        shrink(3, tau=lambda k: -1.0, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match="another energy"):
        jko.flow(3 * ENERGY, before, tau=0.1, steps=9, checkpoint=tmp_path / "run.npz")
    assert same(jko.Trajectory.load(tmp_path / "run.npz"), before)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


# -- states on disk


@pytest.mark.parametrize("save", [1, 3])
@pytest.mark.parametrize("hold", [1, 2, 7, 1000])
def test_a_run_whose_states_are_on_disk_is_the_run_in_memory(tmp_path, save, hold):
    whole = shrink(31, save=save)
    run = shrink(31, save=save, hold=hold, checkpoint=tmp_path / "run.npz")
    assert same(run, whole)
    assert same(jko.Trajectory.load(tmp_path / "run.npz"), whole)
    assert len(run.states) == len(whole.states)
    for part in (slice(None), slice(2, 9), slice(None, None, -2), slice(-3, None)):
        ours, theirs = run.states[part], whole.states[part]
        assert all(torch.equal(a.points, b.points) for a, b in zip(ours, theirs, strict=True))
    for t in (0.0, 0.015, 0.2, float(whole.times[-1])):
        assert torch.equal(run.at(t).points, whole.at(t).points)
    assert torch.equal(run.final.points, whole.final.points)
    with pytest.raises(IndexError):
        run.states[len(whole.states)]
    assert same(jko.Trajectory.load(run.save(tmp_path / "again")), whole)


@pytest.mark.parametrize("hold", [3, 100])
@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("then", [1, 2, 3])
def test_a_run_goes_on_in_its_own_file_or_in_another(tmp_path, first, then, hold):
    path, other = tmp_path / "run.npz", tmp_path / "other.npz"
    begun = shrink(10, save=first, hold=hold, checkpoint=path)
    wanted = shrink(25, shrink(10, save=first), save=then)
    for start in (begun, jko.Trajectory.load(path)):
        assert same(shrink(25, start, save=then, hold=hold, checkpoint=other), wanted)
        assert same(jko.Trajectory.load(other), wanted)
        assert same(shrink(25, start, save=then), wanted)
    assert same(shrink(25, begun, save=then, hold=hold, checkpoint=path), wanted)
    assert same(jko.Trajectory.load(path), wanted)
    assert len(begun.states) == len(list(begun.states))


def test_a_long_run_that_goes_on_appends(tmp_path):
    path = tmp_path / "run.npz"
    shrink(300, checkpoint=path)
    before, file = path.read_bytes(), os.stat(path).st_ino
    run = jko.Trajectory.load(path)
    shrink(310, run, checkpoint=path)
    assert os.stat(path).st_ino == file
    assert os.stat(path).st_size < len(before) * 1.1
    assert same(jko.Trajectory.load(path), shrink(310))
    again = shrink(
        305, run, checkpoint=path
    )  # from the same place a second time: in a file of its own
    assert os.stat(path).st_ino != file
    assert same(jko.Trajectory.load(path), shrink(305))
    assert torch.equal(run.states[7].points, again.states[7].points)


def test_states_on_disk_outlive_the_file(tmp_path):
    run = shrink(200, checkpoint=tmp_path / "run.npz")
    (tmp_path / "run.npz").unlink()
    assert same(run, shrink(200))


def test_time_and_memory_of_a_step_do_not_grow_with_the_steps(tmp_path):
    """Time in the last tenths of 600 steps against the first, and memory but for the numbers of each step."""
    marks = []

    def watch(k, t, result):
        if k % 60 == 0:
            gc.collect()
            marks.append((time.process_time(), tracemalloc.get_traced_memory()[0]))

    tracemalloc.start()
    try:
        shrink(600, checkpoint=tmp_path / "run.npz", observers=[watch])
    finally:
        tracemalloc.stop()
    spans = np.diff([at for at, _ in marks])
    assert spans[-3:].min() < 1.5 * spans[:3].min() + 0.05
    grown = marks[-1][1] - marks[1][1]
    assert grown < 12 * 8 * 480 + 200_000  # a state is a kilobyte and more


# -- several writers, and writers that die


def test_threads_with_one_checkpoint_leave_a_whole_file(tmp_path):
    errors, runs = [], {}

    def work(seed):
        start = jko.Particles.normal(4, 2, generator=torch.Generator().manual_seed(seed))
        try:
            runs[seed] = shrink(60 + 60 * seed, start, checkpoint=tmp_path / "run.npz")
            runs[seed].save(tmp_path / "run.npz")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    last = jko.Trajectory.load(tmp_path / "run.npz")
    assert any(same(last, run) for run in runs.values())
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_of_two_long_flows_with_one_checkpoint_the_last_to_end_wins(tmp_path):
    path = tmp_path / "run.npz"

    def another(k, t, result):
        if k == 150:
            shrink(120, checkpoint=path, tau=0.5)

    run = shrink(200, checkpoint=path, observers=[another])
    assert same(jko.Trajectory.load(path), run)


CHILD = """
import sys, torch, jko
sys.path.insert(0, {tests!r})
from test_checkpoints import START, shrink
torch.set_num_threads(1)
for line in sys.stdin:
    path, steps, save = line.split()
    start = jko.Trajectory.load(path) if steps == "resume" else START
    def saved(k, t, result):
        print(k, flush=True)
    shrink(1_000_000, start, save=int(save), checkpoint=path, observers=[saved])
"""


@pytest.fixture
def child():
    """A process that runs without end; it is killed whatever happens."""
    started = []

    def start(path, steps, save):
        code = CHILD.format(tests=os.path.dirname(__file__))
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        process.stdin.write(f"{path} {steps} {save}\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_run_killed_again_and_again_loads_and_resumes_to_the_same_bits(tmp_path, child):
    path, r, steps, reached = tmp_path / "run.npz", np.random.default_rng(0), "new", 0
    for save in (1, 3):
        process = child(path, steps, save)
        for _ in range(int(r.integers(110, 300))):
            assert process.stdout.readline(), "the run ended by itself"
        process.send_signal(signal.SIGKILL)
        process.wait()
        run, steps = jko.Trajectory.load(path), "resume"
        assert len(run.times) > reached
        assert run.status is jko.Status.INTERRUPTED
        assert (len(run.times) - 1) % save == 0
        wanted = shrink(len(run.times) + 5, shrink(reached), save=save)
        assert same(shrink(len(run.times) + 5, run, save=save), wanted)
        reached = len(run.times) - 1


def test_what_a_killed_run_leaves_is_removed_by_the_next(tmp_path, child):
    process = child(tmp_path / "other.npz", "new", 1)
    assert process.stdout.readline()
    left = tmp_path / f".jko-{process.pid}-77.part"
    left.write_bytes(b"half")
    old = tmp_path / f".run.npz.{process.pid}.part"
    old.write_bytes(b"half")
    shrink(2, checkpoint=tmp_path / "run.npz")
    assert left.exists()  # its writer lives
    process.kill()
    process.wait()
    shrink(2, checkpoint=tmp_path / "run.npz")
    assert not left.exists()
    assert not old.exists()


def read_or_refused(path):
    """The run, or None where the file is refused by its sentence."""
    try:
        return jko.Trajectory.load(path)
    except ValueError as error:
        if "is not a run saved by jko, or it was changed" not in str(error):
            raise
        return None


def test_a_journal_cut_anywhere_is_a_run_that_can_be_continued(tmp_path):
    """What SIGKILL leaves: every length of the file; the run is the one up to some step, or there is none yet."""
    path, cut = tmp_path / "run.npz", tmp_path / "cut.npz"
    shrink(6, hold=1, checkpoint=path)
    whole, data, steps = shrink(9), path.read_bytes(), set()
    for length in range(0, len(data), 13):
        cut.write_bytes(data[:length])
        run = read_or_refused(cut)
        if run is None:
            continue
        steps.add(len(run.times) - 1)
        assert np.array_equal(run.energies, whole.energies[: len(run.times)])
        if length % 5 == 0:
            assert same(shrink(9, run, hold=1, checkpoint=cut), whole)
            assert same(jko.Trajectory.load(cut), whole)
    assert max(steps) == 6


def test_a_state_of_another_kind_is_refused_and_nothing_is_lost(tmp_path):
    class Projects(Shrink):
        def advance(self, energy, state, **options):
            result = super().advance(energy, state, **options)
            if len(options["memory"] or {}) > 2:
                object.__setattr__(result, "state", result.state.project())
            return result

    with pytest.raises(TypeError, match=r"states of one kind") as raised:
        shrink(9, scheme=Projects(), checkpoint=tmp_path / "run.npz")
    assert len(raised.value.trajectory.times) > 2


def test_columns_of_steps_by_different_schemes_have_gaps(tmp_path):
    begun = shrink(3)
    run = jko.flow(
        ENERGY, begun, tau=0.1, steps=5, scheme=jko.SDIRK2(), checkpoint=tmp_path / "run"
    )
    assert np.isnan(run.columns["fallback"]).tolist() == [True] * 3 + [False] * 2
    back = shrink(7, run, hold=2, checkpoint=tmp_path / "long")
    assert np.isnan(back.columns["fallback"]).tolist() == [True] * 3 + [False] * 2 + [True] * 2
    loaded = jko.Trajectory.load(tmp_path / "long")
    assert np.array_equal(loaded.columns["fallback"], back.columns["fallback"], equal_nan=True)


def test_the_disk_is_asked_to_have_everything_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    asked, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: asked.append(handle) or sync(handle))
    monkeypatch.setattr("jko.storage.journal.SYNC", 0.0)
    shrink(120, checkpoint=tmp_path / "run.npz")
    assert len(asked) > 120
    assert places.SUFFIX == ".npz"


def test_runs_are_read_and_continued_whatever_the_default_device_is(tmp_path):
    run = jko.flow(ENERGY, START, tau=0.1, steps=130, checkpoint=tmp_path / "run.npz")
    short = jko.flow(ENERGY, START, tau=0.1, steps=3).save(tmp_path / "short.npz")
    torch.set_default_device("meta")
    try:
        for path in (tmp_path / "run.npz", short):
            loaded = jko.Trajectory.load(path)
            assert {state.points.device.type for state in loaded.states} == {"cpu"}
            assert {tensor.device.type for tensor in loaded.memory.values()} == {"cpu"}
        assert np.array_equal(jko.Trajectory.load(tmp_path / "run.npz").energies, run.energies)
    finally:
        torch.set_default_device(None)
