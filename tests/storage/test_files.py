"""Files of runs: what was changed is refused in one sentence, and reading takes no more than the file has."""

import io
import itertools
import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from fuzz import examples, seed
from still import Shrink

import jko
from jko.storage import archive

SENTENCE = "is not a run saved by jko, or it was changed"
ENERGY = jko.SquaredNorm()
MU = jko.Particles([[1.0, 2.0], [-1.0, 0.5]])


def runs():
    """Runs of several kinds of state, a few steps each."""
    grid = jko.Grid((-2.0, 2.0), 8)
    rho = jko.GridDensity.from_function(grid, lambda z: (-(z[:, 0] ** 2)).exp())
    boxed = jko.Particles(MU.points, domain=jko.Box([-9.0] * 2, [float("inf")] * 2))
    return {
        "atoms": jko.flow(ENERGY, MU, tau=0.5, steps=3),
        "box": jko.flow(ENERGY, boxed, tau=0.5, steps=3, save=2),
        "ball": jko.flow(
            ENERGY, jko.Particles(MU.points, domain=jko.Ball([0.0, 0.0], 3.0)), tau=1, steps=1
        ),
        "pair": jko.flow(ENERGY, MU.project(), tau=0.5, steps=2),
        "grid": jko.flow(ENERGY + 0.1 * jko.Entropy(), rho, tau=0.2, steps=2),
    }


RUNS = runs()


def members(path):
    with np.load(path) as file:
        return dict(file)


def facts_of(arrays):
    return json.loads(str(arrays["__facts__"]))


def load(path, data):
    path.write_bytes(data)
    return jko.Trajectory.load(path)


def zipped(arrays, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as members:
        for name, values in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asanyarray(values))
            members.writestr(
                name + ".npy", values if isinstance(values, bytes) else part.getvalue()
            )
    return file.getvalue()


def header(shape, dtype="<f8"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(11 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def same(a, b):
    """Equal to the bit."""
    mine, theirs = a._packed(), b._packed()
    return mine[1] == theirs[1] and all(
        mine[0][n].dtype == theirs[0][n].dtype
        and np.array_equal(mine[0][n], theirs[0][n], equal_nan=True)
        if mine[0][n].dtype.kind == "f"
        else np.array_equal(mine[0][n], theirs[0][n])
        for n in mine[0].keys() | theirs[0].keys()
    )


@pytest.mark.parametrize("name", RUNS)
def test_any_change_of_any_array_or_fact_is_refused(tmp_path, name):
    good = members(RUNS[name].save(tmp_path / "run.npz"))
    for key, values in good.items():
        changes = [
            None,
            values[None],
            values.astype("U50") if values.dtype.kind != "U" else str(values[()]) + "x",
        ]
        if values.dtype.kind in "fi" and values.size:
            changes += [-values - 1, values + 1, values.ravel()[::-1].reshape(values.shape) + 1e-9]
            changes += [values.astype("f4"), np.concatenate([values.ravel()] * 2)]
        for change in changes:
            if change is not None and np.array_equal(change, values):
                continue  # infinity and one more
            arrays = {n: a for n, a in good.items() if n != key}
            arrays |= {} if change is None else {key: np.asarray(change)}
            with pytest.raises(ValueError, match=SENTENCE):
                load(tmp_path / "bad.npz", zipped(arrays))
    names = [n for n in good if n != "__facts__"]
    for a, b in itertools.pairwise(names):
        if not np.array_equal(good[a], good[b]):
            with pytest.raises(ValueError, match=SENTENCE):
                load(tmp_path / "bad.npz", zipped(good | {a: good[b], b: good[a]}))
    assert same(load(tmp_path / "good.npz", zipped(good)), RUNS[name])


def signed(arrays, **facts):
    """A file with a digest that fits, so that the form alone is judged."""
    known = {n: v for n, v in (facts_of(arrays) | facts).items() if n != "digest" and v is not ...}
    rest = {n: a for n, a in arrays.items() if n != "__facts__"}
    digest = archive.digest(rest, json.loads(json.dumps(known)))
    return zipped(rest | {"__facts__": np.array(json.dumps(known | {"digest": digest}))})


@pytest.mark.parametrize(
    "facts",
    [
        {"format": True},
        {"format": 3},
        {"format": None},
        {"status": "x"},
        {"status": []},
        {"status": ...},
        {"kind": "Evil"},
        {"kind": None},
        {"kind": "GridDensity"},
        {"kind": "ChargedSpan", "rho": []},
        {"states": 0},
        {"states": 1},
        {"states": 10**9},
        {"states": 3.0},
        {"states": True},
        {"domain": []},
        {"domain": {"Cylinder": [None]}},
        {"domain": {"Box": [[1], [0]]}},
        {"domain": {"Box": 3}},
        {"domain": {"Ball": [[0], -1]}},
        {"domain": {"os.system": ["x"]}},
        {"domain": ...},
        {"more": 1},
        {"grid": {"bounds": [[0, 1]], "shape": [10**9]}},
    ],
    ids=str,
)
def test_facts_of_a_wrong_form_are_refused_even_with_a_digest(tmp_path, facts):
    good = members(RUNS["atoms"].save(tmp_path / "run.npz"))
    with pytest.raises(ValueError, match=SENTENCE):
        load(tmp_path / "bad.npz", signed(good, **facts))
    assert same(load(tmp_path / "good.npz", signed(good)), RUNS["atoms"])


@pytest.mark.parametrize("old", [False, True])
def test_arrays_of_a_wrong_form_are_refused_even_without_a_digest(tmp_path, old):
    good = members(RUNS["atoms"].save(tmp_path / "run.npz"))
    plain = facts_of(good) | {"format": 1, "status": "CONVERGED"}
    del plain["digest"]

    def write(arrays):
        return (
            zipped(arrays | {"__facts__": np.array(json.dumps(plain))}) if old else signed(arrays)
        )

    times, kept, costs = good["times"], good["kept"], good["column/costs"]
    for change in (
        {"times": times[::-1].copy()},
        {"times": times * np.nan},
        {"times": times * 0},
        {"times": times[:-1]},
        {"times": times[None]},
        {"times": times.astype("U5")},
        {"energies": good["energies"][:1]},
        {"kept": kept[[0, 2, 1, 3]]},
        {"kept": kept * 1.0},
        {"kept": kept + 9},
        {"kept": kept[:-1]},
        {"kept": kept * 0},
        {"kept": np.array([0, 1, 2, 2])},
        {"column/costs": np.zeros(7)},
        {"column/costs": costs[:, None]},
        {"state/1/points": np.zeros((2, 2, 1))},
        {"state/1/points": good["state/1/points"] * np.nan},
        {"state/1/weights": good["state/1/weights"] * 2},
        {"state/9/points": good["state/1/points"]},
        {"other": times},
    ):
        with pytest.raises(ValueError, match=SENTENCE):
            load(tmp_path / "bad.npz", write(good | change))
    assert jko.Trajectory.load(tmp_path / "run.npz").status is jko.Status.FINISHED
    again = load(tmp_path / "good.npz", write(good))
    assert again.status is jko.Status.FINISHED  # files of 0.1 called it CONVERGED
    assert np.array_equal(again.energies, RUNS["atoms"].energies)


class Evil:
    def __reduce__(self):
        return os.system, ("touch canary",)


def strange(good):
    """Files that are no archive of ours, by name."""
    rest = {n: a for n, a in good.items() if n != "times"}
    big = zipped(good | {"other": np.zeros(10**6)}, zipfile.ZIP_DEFLATED)
    plain = zipped(good)
    yield "empty", b""
    yield "pickle", pickle.dumps(Evil())
    yield "npy", zipped(good)[:0] + header((3,)) + b"\0" * 24
    yield "compressed", zipped(good, zipfile.ZIP_DEFLATED)
    yield "bomb", big
    yield "truncated", plain[:-30]
    yield (
        "unknown compression",
        plain.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00\x00",
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63\x00",
        ),
    )
    yield (
        "encrypted",
        plain.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
    )
    for shape in ((10**9,), (10**12,), (2**62,), (10**5, 10**5), (0, 10**18), (3,) * 20, (-1,)):
        yield f"announces {shape}", zipped(rest | {"times": header(shape) + b"\0" * 32})
    for dtype in ("|O", "<c16", "<M8[s]", "|V8", "<f16", "|S5", "<f8'+evil()+'"):
        yield f"of {dtype}", zipped(rest | {"times": header((4,), dtype) + b"\0" * 64})
    for text in (
        "[" * 100_000,
        "{" * 5000,
        "NaN",
        "1" * 100_000,
        "[]",
        "null",
        '{"format": 1}',
        " ",
        "\\ud800",
    ):
        yield f"facts {text[:9]}", zipped(good | {"__facts__": np.array(text)})


def test_files_that_are_no_archive_are_refused_in_one_sentence_and_run_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    good = members(RUNS["atoms"].save("run.npz"))
    assert len(jko.Trajectory.load("run.npz").times) == 4
    for name, data in strange(good):
        with pytest.raises(ValueError, match=SENTENCE):
            pytest.fail(f"{name} was read: {load(tmp_path / 'bad.npz', data)}")
    twice = io.BytesIO(zipped(good))
    with zipfile.ZipFile(twice, "a") as more, pytest.warns(UserWarning, match="Duplicate name"):
        more.writestr("times.npy", header((4,)) + b"\0" * 32)
    with pytest.raises(ValueError, match=r"twice"):
        load(tmp_path / "bad.npz", twice.getvalue())
    assert not os.path.exists("canary")


@pytest.mark.parametrize("where", ["/dev/null", "/dev/zero", "folder", "pipe", "nothing", ""])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo("pipe")
    with pytest.raises(ValueError, match=f"there is no file|names a folder|{SENTENCE}"):
        jko.Trajectory.load(where)


@pytest.mark.parametrize("path", [None, 3, b"run.npz"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="must be a path"):
        jko.Trajectory.load(path)


def journal(path):
    """A run whose file is a journal."""
    return jko.flow(ENERGY, MU, tau=0.1, steps=12, scheme=Shrink(), hold=2, checkpoint=path)


def read_or_refused(path, data):
    """The run, or None where the file is refused by its sentence."""
    try:
        return load(path, data)
    except ValueError as error:
        if SENTENCE not in str(error):
            raise
        return None


def mutated(r, data):
    """One of the ways in which bytes go wrong."""
    data, kind = bytearray(data), r.integers(6)
    i, j = sorted(int(n) for n in r.integers(len(data), size=2))
    if kind < 2:
        for _ in range(int(r.integers(1, 5))):
            data[r.integers(len(data))] ^= 1 << int(r.integers(8))
    elif kind == 2:
        del data[i:]
    elif kind == 3:
        data[i:i] = r.bytes(int(r.integers(1, 200)))
    elif kind == 4:
        del data[i : min(j, i + 200)]
    else:
        data[i : i + 100], data[j : j + 100] = data[j : j + 100], data[i : i + 100]
    return bytes(data)


@pytest.mark.fuzz
@pytest.mark.parametrize("form", ["archive", "journal"])
def test_bytes_that_were_changed_are_refused_or_change_nothing(tmp_path, form):
    """Of a journal the steps before a cut, and nothing else, may come back."""
    path, r, read = tmp_path / "run.npz", np.random.default_rng(seed()), 0
    run = journal(path) if form == "journal" else RUNS["box"]
    if form == "archive":
        run.save(path)
    data = path.read_bytes()
    for _ in range(examples(150)):
        again = read_or_refused(tmp_path / "bad.npz", mutated(r, data))
        if again is None:
            continue
        read += 1
        count = len(again.times)
        assert np.array_equal(again.times, run.times[:count])
        assert np.array_equal(again.energies, run.energies[:count])
        if form == "archive":
            assert same(again, run)
        for state, wanted in zip(again.states, run.states, strict=False):
            assert torch.equal(state.points, wanted.points)
    assert read < 100


LIMITED = """
import resource, sys, jko
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    jko.Trajectory.load(sys.argv[1])
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_small_file_takes_little_memory(tmp_path):
    """Hundred megabytes of zeros, compressed to a hundred kilobytes."""
    good = members(RUNS["atoms"].save(tmp_path / "run.npz"))
    bad = tmp_path / "bad.npz"
    bad.write_bytes(zipped(good | {"memory/x": np.zeros(12_500_000)}, zipfile.ZIP_DEFLATED))
    assert bad.stat().st_size < 200_000
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(bad)], capture_output=True, text=True, check=True
    )
    sentence, grown = done.stdout.strip().split("\n")
    assert SENTENCE in sentence
    assert int(grown) < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def failing(_):
    return jko.step(jko.Potential(lambda z: z[:, 0].sqrt()), jko.Particles([[-1.0]]), tau=1.0)


def test_a_step_that_failed_can_be_copied_and_pickled():
    import copy

    with pytest.raises(jko.StepFailed) as raised:
        jko.flow(jko.Potential(lambda z: (z[:, 0]).sqrt()), MU, tau=0.5, steps=9)
    error = raised.value
    error.add_note("mine")
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is jko.StepFailed
        assert str(again) == str(error)
        assert again.status is error.status
        assert again.__notes__ == error.__notes__
        assert same(again.trajectory, error.trajectory)
    assert copy.copy(error).result is error.result
    assert pickle.loads(pickle.dumps(error)).result is None  # its energy is a lambda
    bare = copy.copy(jko.StepFailed(jko.Status.STALLED))
    assert bare.status is jko.Status.STALLED
    kept = jko.step(ENERGY, MU, tau=1.0)
    assert (
        pickle.loads(pickle.dumps(jko.StepFailed(jko.Status.STALLED, kept))).result.energy
        == kept.energy
    )


def test_a_step_that_failed_comes_out_of_a_process():
    import concurrent.futures
    import multiprocessing

    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        error = pool.submit(failing, 0).exception(timeout=100)
    assert type(error) is jko.StepFailed
    assert error.status is jko.Status.NOT_FINITE


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_pickled_by_its_numbers(name):
    assert same(pickle.loads(pickle.dumps(RUNS[name])), RUNS[name])


def test_a_run_on_disk_is_pickled_whole(tmp_path):
    run = journal(tmp_path / "run.npz")
    (tmp_path / "run.npz").unlink()
    assert same(pickle.loads(pickle.dumps(run)), run)
