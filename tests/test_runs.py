"""A run predicts new rows as it predicted its own, to the bit; what its rules do not take is a sentence."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import jko
from jko import datasets, runs
from jko.cli import main
from jko.cli.job import Settings, facts, prepare, said, train

SETTINGS = {
    "neurons": 8, "activation": "tanh", "formulation": "measure", "tau": 1.0, "steps": 2, "t1": None, "lam": 0.01,
    "test_fraction": 0.3, "seed": 0, "threads": 1,
}  # fmt: skip
WORDS = ["red", "green", "dark blue", "", "yes, or no", "a;b"]


def generated(seed):
    """A table with columns of each kind, gaps, and 2 to 5 classes or 1 to 3 targets, as lists of cells by name."""
    rng = np.random.default_rng(seed)
    M, columns = 60, {"row id": [str(k) for k in range(1, 61)]}
    for k in range(rng.integers(1, 4)):
        columns[f"number {k}"] = [
            repr(v) for v in rng.normal(5, 10.0 ** rng.integers(-3, 4), M).tolist()
        ]
    for k in range(rng.integers(1, 4)):
        words = rng.choice(WORDS[:3] + WORDS[4:], rng.integers(2, 6), replace=False)
        columns[f"word {k}"] = rng.choice(words, M).tolist()
    columns["flag"] = rng.choice(["True", "False"], M).tolist()
    columns["code"] = rng.choice(["1", "2", "3"], M).tolist()
    columns["flat"] = ["7"] * M
    columns["name"] = [f"person {k}" for k in range(M)]
    for name in [name for name in columns if name.split()[0] in ("number", "word")]:
        for k in np.flatnonzero(rng.random(M) < rng.choice([0, 0.2])):
            columns[name][k] = str(rng.choice(["", "NA", "?"]))
    count = int(rng.integers(1, 6))
    if count == 1:
        targets = [f"t{k}" for k in range(rng.integers(1, 4))]
        columns |= {name: [repr(v) for v in rng.normal(50, 9, M).tolist()] for name in targets}
    else:
        targets, names = (
            ["t"],
            rng.permutation([["low", "mid", "high", "top", "off"], list("01234")][seed % 2]),
        )
        columns["t"] = [str(names[k]) for k in rng.permutation(np.arange(M) % count)]
    return columns, targets


def write(path, columns, rows=None):
    names = list(columns)
    body = list(zip(*columns.values(), strict=True))
    body = body if rows is None else [body[k] for k in rows]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *body])
    return path


def column(path, name):
    with open(path, newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """The report without its two long parts, which are not the question."""
    names = "gap", "lower_bound", "reachable"
    unknown = {f"optimality_{name}": None for name in names} | {"optimality_rigorous": False}
    unknown |= {"optimality_reason": "not asked", "optimality_cpu_seconds": 0.0}
    monkeypatch.setattr("jko.cli.report._optimality", lambda job, state: unknown)
    for name in ("energy", "prediction"):
        monkeypatch.setattr(f"jko.cli.pictures.{name}", lambda *given: given[-1].write_bytes(b""))


def trained(tmp_path, seed, **settings):
    columns, targets = generated(seed)
    path = write(tmp_path / f"table {seed}.csv", columns)
    table = datasets.read_csv(path, targets, encode=["code"], fill=True)
    job = prepare(table, Settings(**SETTINGS | settings))
    folder = tmp_path / f"run {seed}"
    folder.mkdir()
    trajectory, _ = train(job, job.start, checkpoint=folder / "trajectory.npz")
    return columns, targets, job, trajectory, folder


@pytest.mark.parametrize("seed", range(12))
def test_predictions_are_those_of_the_run_to_the_bit_whatever_the_order_of_columns(tmp_path, seed):
    loss = (
        "logistic"
        if seed % 3 == 0 and len(generated(seed)[1]) == 1 and "t" in generated(seed)[1]
        else "squared"
    )
    dtype = "float32" if seed % 4 == 0 else "float64"
    columns, targets, job, trajectory, folder = trained(tmp_path, seed, loss=loss, dtype=dtype)
    own, _ = said(job, trajectory.final, job.split.test)
    rng = np.random.default_rng(seed)
    names = [*rng.permutation([name for name in columns if name != "flat"]), "another"]
    names = [name for name in names if name not in targets or seed % 2]
    more = columns | {"another": ["?"] * 60}
    new = write(tmp_path / "new.csv", {name: more[name] for name in names}, job.split.test_rows)
    run = jko.load_run(folder)
    assert np.array_equal(run.outputs(new), own)
    assert np.array_equal(run.facts["rows"]["held_out"], job.split.test_rows)
    predicted = run.predict(new)
    rows = [[columns[name][k] for name in targets] for k in job.split.test_rows]
    if job.table.classes is None:
        assert run.classes is None
        scaled = (np.array(rows, dtype=float) - job.split.units.centre) / job.split.units.scale
        assert np.allclose(scaled.reshape(own.shape), job.split.test.f, rtol=0, atol=1e-6)
        assert predicted.shape == own.shape
        assert np.array_equal(predicted, job.split.units.centre + job.split.units.scale * own)
    else:
        assert set(predicted) <= set(columns["t"])
        shares = run.probabilities(new)
        assert np.allclose(shares.sum(1), 1, rtol=0, atol=1e-12)
        assert shares.min() >= 0
        ahead = own.max(1) if own.ndim == 2 else own
        settled = np.abs(ahead) < 1 if own.ndim == 1 else np.ones(len(own), dtype=bool)
        best = np.array(run.classes)[shares.argmax(1)]
        assert (best == predicted)[settled].all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_mapping_an_array_and_a_file_are_one(tmp_path, seed):
    columns, _, _, _, folder = trained(tmp_path, seed)
    run = jko.load_run(folder)
    path = tmp_path / f"table {seed}.csv"
    from_file = run.outputs(path)
    mapping = {
        name: [None if cell in ("", "NA", "?") else cell for cell in cells]
        for name, cells in columns.items()
    }
    mapping |= {
        n: [float("nan") if c is None else float(c) for c in mapping[n]]
        for n in columns
        if "number" in n
    }
    assert np.array_equal(run.outputs(mapping), from_file)
    array = np.array([mapping[name] for name in run.columns], dtype=object).T
    assert np.array_equal(run.outputs(array), from_file)


def test_numbers_alone_come_as_an_array_or_a_tensor(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    write(
        tmp_path / "t.csv",
        {n: [repr(v) for v in c.tolist()] for n, c in zip("abcd", [*x.T, x.sum(1)], strict=True)},
    )
    assert main(["train", "--csv", str(tmp_path / "t.csv"), "--target", "d", "--neurons", "9", "--steps", "2",
                 "--out", str(tmp_path / "r"), "--activation", "mish"]) == 0  # fmt: skip
    run = jko.load_run(tmp_path / "r")
    assert run.columns == ("a", "b", "c")
    assert run.targets == ("d",)
    assert np.array_equal(run.predict(x), run.predict(torch.tensor(x)))
    assert np.array_equal(run.predict(x), run.predict(tmp_path / "t.csv"))
    assert len(run.trajectory.times) == 3
    for bad in (x[:, :2], x[0], "no such file.csv", {}, {"a": [1], "b": [1, 2], "c": [3]}):
        with pytest.raises(
            ValueError, match=r"\(M, 3\) of the columns a, b, c|cannot be read|same number"
        ):
            run.predict(bad)


def test_what_is_written_is_read_back_the_same(tmp_path):
    for seed in range(6):
        *_, job, _, folder = trained(tmp_path, seed)
        told = json.loads((folder / "run.json").read_text())
        again = runs.model_of(told)
        assert again.preparation.facts() == job.model.preparation.facts()
        assert told == json.loads(json.dumps(facts(job)))
        assert max(map(len, (folder / "run.json").read_text().splitlines())) < 1200


def test_the_nearest_point_of_the_simplex_is_nearest():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 4))
    p = runs.on_simplex(y)
    assert np.allclose(p.sum(1), 1)
    assert p.min() >= 0
    others = rng.dirichlet(np.ones(4), size=(50, 200))
    assert (((others - y[:, None]) ** 2).sum(2) >= ((p - y) ** 2).sum(1)[:, None] - 1e-12).all()
    inside = rng.dirichlet(np.ones(4), size=9)
    assert np.allclose(runs.on_simplex(inside), inside)


@pytest.fixture
def people(tmp_path, monkeypatch, capsys):
    """A run on a table with words, gaps and three classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    age = ["" if k % 7 == 0 else f"{v:.1f}" for k, v in enumerate(rng.normal(40, 9, 60))]
    table = {
        "id": range(1, 61), "age": age, "port": [("Cork", "Bergen")[k % 2] for k in range(60)],
        "size": rng.normal(size=60).round(3), "class": [("a", "b", "c")[k % 3] for k in range(60)],
    }  # fmt: skip
    write("people.csv", table)
    command = ["train", "--csv", "people.csv", "--target", "class", "--encode", "--fill"]
    command += ["--neurons", "8", "--steps", "2", "--out", "run"]
    assert main(command) == 0
    capsys.readouterr()
    return command


def predicted(capsys, text, *more, run="run"):
    Path("new.csv").write_text(text)
    code = main(["predict", run, "--csv", "new.csv", *more])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_the_command_line_predicts_classes_and_probabilities(people, capsys):
    text = "size;port;age;who\n1.5;Cork;;x\n-2;Bergen;33;y\n"
    code, out, err = predicted(capsys, text, "--copy", "who")
    assert (code, err) == (0, "")
    assert out[0] == "who,class,P(a),P(b),P(c)"
    run = jko.load_run("run")
    assert [line.split(",")[:2] for line in out[1:]] == [
        ["x", run.predict("new.csv")[0]],
        ["y", run.predict("new.csv")[1]],
    ]
    shares = [list(map(float, line.split(",")[2:])) for line in out[1:]]
    assert np.allclose(shares, run.probabilities("new.csv"), atol=1e-6)


def test_predictions_go_to_a_file_and_are_scored_where_the_target_is_known(people, capsys):
    assert main(["predict", "run", "--csv", "people.csv", "--out", "p.csv"]) == 0
    out = capsys.readouterr().out
    assert "60 rows predicted by run: p.csv" in out
    truth, said = (column(name, "class") for name in ("people.csv", "p.csv"))
    right = np.mean([a == b for a, b in zip(truth, said, strict=True)])
    assert f"accuracy of class: {right:.1%} of 60 rows" in out
    assert main(["predict", "run", "--csv", "people.csv", "--out", "p.csv"]) == 2
    assert (
        "'p.csv' is there already; name another file, or replace it by --force"
        in capsys.readouterr().err
    )
    assert main(["predict", "run", "--csv", "people.csv", "--out", "p.csv", "--force"]) == 0


HEAD = "size,age,port\n"
BAD = [
    (
        "size,age\n1,2\n",
        [],
        "'new.csv' lacks the column 'port' that the run was trained on; its columns are size, age",
    ),
    (
        HEAD + "1,2,Oslo\n3,4,Cork\n",
        [],
        "column 'port' of 'new.csv' holds 'Oslo' in line 2, which is not known",
    ),
    (
        HEAD + "1,2,Oslo\n",
        [],
        "known in 'port' are Bergen, Cork; drop their lines, or take them for none of the",
    ),
    (
        HEAD + "1,2,Cork\n,4,\n",
        [],
        "column 'port' of 'new.csv' misses 1 of 2 values, the first in line 3; ",
    ),
    (
        HEAD + "1,old,Cork\n3,4,Cork\n",
        ["--unseen"],
        "column 'age' of 'new.csv' holds 'old' in line 2; write numbers",
    ),
    (
        HEAD + '"1,5",3,Cork\n3,4,Cork\n',
        [],
        "holds '1,5' in line 2; write numbers with a decimal point",
    ),
    ("1,2,Cork\n3,4,Cork\n", [], "lacks the columns 'age', 'port', 'size'"),
    (HEAD + "1,2,Cork\n", ["--copy", "id"], "--copy 'id' is no column of 'new.csv'"),
    (
        HEAD + "1,2,Cork\n",
        ["--out", "none/p.csv"],
        "'none/p.csv' cannot be written: there is no folder 'none'",
    ),
    (HEAD + "1,2,Cork\n", ["--out", ""], "--out '' names no file"),
]


@pytest.mark.parametrize(("text", "more", "sentence"), BAD)
def test_rows_that_the_run_cannot_take_are_one_sentence(people, capsys, text, more, sentence):
    code, out, err = predicted(capsys, text, *more)
    assert (code, out) == (2, [])
    assert sentence in err
    assert err.count("\n") == 1


def test_an_unseen_word_is_none_of_the_known_ones_on_request(people, capsys):
    code, out, _ = predicted(capsys, "size,age,port\n1,2,Oslo\n3,4,Cork\n", "--unseen")
    assert (code, len(out)) == (0, 3)
    run = jko.load_run("run")
    inputs = run.model.preparation
    x = inputs.inputs(*inputs.read("new.csv"), unseen=True)
    at = [k for k, name in enumerate(inputs.scaling.columns) if name.startswith("port =")]
    assert x[0, at].tolist() == [0, 0]
    assert x[1, at].tolist() == [0, 1]


def test_a_run_of_before_gets_a_sentence_and_resuming_adds_what_is_missing(people, capsys):
    before = jko.load_run("run").predict("people.csv")
    Path("run/run.json").unlink()
    code, out, err = predicted(capsys, "size,age,port\n1,2,Cork\n")
    assert (code, out) == (2, [])
    assert "holds a run without run.json, as jko 0.1.0 left them" in err
    assert main([*people, "--resume"]) == 0
    assert np.array_equal(jko.load_run("run").predict("people.csv"), before)


def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted_to_the_bit(people, capsys):
    assert main([*people[:-1], "whole", "--steps", "5", "--save-every", "2"]) == 0
    assert main([*people, "--steps", "5", "--save-every", "2", "--resume"]) == 0
    whole, parts = jko.load_run("whole"), jko.load_run("run")
    assert parts.trajectory.energies.tolist() == whole.trajectory.energies.tolist()
    assert np.array_equal(parts.outputs("people.csv"), whole.outputs("people.csv"))
    assert whole.trajectory.kept.tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nowhere", "there is no folder 'nowhere'"),
        (".", "'.' holds no trajectory.npz"),
        ("broken", "is not what a run of jko wrote, or it was changed"),
        ("mixed", "coordinates and run.json describes .* they are of two runs"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(people, place, sentence):
    shutil.copytree("run", "broken")
    Path("broken/run.json").write_text("{}")
    shutil.copytree("run", "mixed")
    told = json.loads(Path("mixed/run.json").read_text())
    told["constant"].append(told["inputs"].pop()["input"])
    Path("mixed/run.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=sentence):
        jko.load_run(place)


@pytest.mark.fuzz
def test_no_changed_file_is_more_than_a_sentence(people):
    text = Path("run/run.json").read_text()
    rng = np.random.default_rng(0)
    for _ in range(60):
        at, length = rng.integers(len(text)), rng.integers(1, 30)
        Path("run/run.json").write_text(
            text[:at] + rng.choice(["", "0", '"x"', "[", "null"]) + text[at + length :]
        )
        try:
            jko.load_run("run").predict("people.csv")
        except ValueError as refused:
            assert "\n" not in str(refused)  # noqa: PT017


def test_all_rows_train_where_none_is_held_out(people, capsys):
    assert main([*people[:-1], "all", "--test-fraction", "0", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["data"]["train_rows"] == 60
    assert summary["data"]["test_rows"] == 0
    assert summary["test_score"] is None
    assert "--test-fraction 0" in summary["test_score_reason"]
    assert np.sum(summary["confusion"]["counts"]) == 60
    assert jko.load_run("all").facts["rows"] == {"count": 60, "held_out": []}
    assert (jko.load_run("all").predict("people.csv").shape) == (60,)


def test_the_distance_of_runs_takes_their_folders(people, capsys):
    assert main(["distance", "run", "run/trajectory.npz"]) == 0
    assert "distance  0" in capsys.readouterr().out


def test_a_pair_predicts_too(people, capsys):
    assert main([*people[:-1], "pair", "--formulation", "graph"]) == 2
    assert (
        "--formulation graph is for one output, and 'people.csv' needs 3" in capsys.readouterr().err
    )
    size = [word if word != "class" else "size" for word in people[:-1]]
    assert main([*size, "measure"]) == main([*size, "pair", "--formulation", "graph"]) == 0
    measure, pair = (jko.load_run(name).outputs("people.csv") for name in ("measure", "pair"))
    assert np.allclose(measure, pair, rtol=0, atol=1e-8)


def test_a_run_says_what_it_is(people):
    run = jko.load_run("run")
    assert repr(run).startswith("Run('run': class from 3 columns, Trajectory(2 steps")
    assert (run.columns, run.classes) == (("age", "port", "size"), ("a", "b", "c"))
