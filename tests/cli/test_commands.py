"""The command line trains, proves on request, writes; bad input is one sentence, exit code 2, and nothing written."""

import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jko
from jko import datasets
from jko.cli import main, pictures, report
from jko.cli.job import Settings, prepare, train
from jko.cli.terminal import say

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--neurons", "40", "--steps", "3"]
TINY = ["--neurons", "8", "--steps", "2"]
FILES = ["energy.png", "prediction.png", "run.json", "summary.json", "trajectory.npz"]
SAVED = ["run.json", "trajectory.npz"]  # of a run that did not come to its report
SETTINGS = Settings(
    neurons=8, activation="tanh", formulation="measure", tau=1.0, steps=5, t1=None, lam=0.01, test_fraction=0.3,
    seed=0, threads=1,
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing may land in the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def line(tmp_path):
    """A noisy line with one input, as CSV."""
    x = np.linspace(-1, 2, 30)
    rows = [
        f"{a!r},{b!r}" for a, b in zip(x.tolist(), (3 + 2 * np.tanh(2 * x)).tolist(), strict=True)
    ]
    path = tmp_path / "line.csv"
    path.write_text("\n".join(["x,y", *rows]))
    return path


def trained(capsys, *arguments):
    assert main(["train", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_json_is_one_object_with_the_promised_keys_and_no_files(capsys, tmp_path):
    found = trained(capsys, "breast-cancer", *SMALL)
    promised = {
        "energies",
        "slacks",
        "test_score",
        "cpu_seconds",
        "optimality_gap",
        "risk",
        "evaluations",
    }
    assert promised | {
        "certificates",
        "settings",
        "optimality_reason",
        "optimality_rigorous",
    } <= set(found)
    assert len(found["energies"]) == 4
    assert len(found["slacks"]) == 3
    assert found["settings"]["neurons"] == 40
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("examine", [False, True])
def test_the_ledger_balances_and_couplings_are_certified_on_request(capsys, examine):
    found = trained(capsys, "breast-cancer", *SMALL, *["--examine"] * examine)
    fall = found["energies"][0] - found["energies"][-1]
    spent = sum(found["costs"]) / (2 * found["settings"]["tau"]) + sum(found["slacks"])
    assert fall == pytest.approx(spent, rel=1e-10)
    assert found["smallest_slack"] == min(found["slacks"]) >= -1e-12 * found["energies"][0]
    proofs = found["certificates"]["proofs"]
    assert sum(proofs.values()) == found["steps"] == 3
    assert found["certificates"]["all_certified"] is found["settings"]["examine"] is examine
    assert (proofs == {"NOT_EXAMINED": 3}) is not examine
    largest = found["certificates"]["largest_bound"]
    assert largest <= 1e-10 * max(found["costs"]) if examine else largest == max(found["costs"])
    assert found["energies"][-1] >= found["optimality_lower_bound"]


@pytest.mark.parametrize(
    ("proofs", "words"),
    [
        ({"NOT_EXAMINED": 9}, "not examined: the cost is that of .* at least W2"),
        ({"POTENTIAL": 7, "NEAREST": 2}, "^all certified: 7 by potential, 2 by nearest$"),
        ({"NOT_EXAMINED": 7, "LINE": 2}, "^NOT all certified: 7 not examined, 2 by line$"),
    ],
)
def test_the_table_says_what_was_examined(proofs, words):
    """A run that goes on with --examine has steps of both kinds."""
    certificates = {"proofs": proofs, "all_certified": "NOT_EXAMINED" not in proofs}
    assert re.search(words, report._couplings(certificates))


def test_training_learns_what_it_has_not_seen(capsys):
    found = trained(capsys, "breast-cancer", "--neurons", "200", "--steps", "8")
    assert found["score"] == "accuracy"
    assert found["test_score"] >= 0.93


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(capsys, line):
    data = ["--csv", str(line), "--target", "y", *SMALL]
    first, again, other = (trained(capsys, *data, "--seed", s) for s in ("3", "3", "4"))
    for key in ("energies", "slacks", "test_score", "optimality_gap"):
        assert first[key] == again[key]
    assert first["energies"] != other["energies"]


def test_the_graph_formulation_takes_the_steps_of_the_measure_formulation(capsys, line):
    data = ["--csv", str(line), "--target", "y", "--neurons", "40", "--steps", "6"]
    measure, graph = (trained(capsys, *data, "--formulation", f) for f in ("measure", "graph"))
    assert graph["energies"] == pytest.approx(measure["energies"], rel=1e-9)
    assert graph["costs"] == pytest.approx(measure["costs"], rel=1e-9)


def test_a_csv_file_gives_the_run_of_the_set_it_was_written_from(capsys, tmp_path):
    table = datasets.load("breast-cancer")
    with open(tmp_path / "wdbc.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table.columns, "diagnosis"])
        writer.writerows([*x, f] for x, f in zip(table.x.tolist(), table.f.tolist(), strict=True))
    named = trained(capsys, "breast-cancer", *SMALL)
    read = trained(capsys, "--csv", "wdbc.csv", "--target", "diagnosis", *SMALL)
    assert read["energies"] == named["energies"]
    assert read["data"]["classes"] == ["-1", "1"]


@pytest.mark.parametrize(
    "activation",
    [
        "sigmoid",
        "sin",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("softplus", "relu")),
    ],
)
def test_every_activation_lowers_the_energy(capsys, line, activation):
    found = trained(capsys, "--csv", str(line), "--target", "y", *TINY, "--activation", activation)
    assert np.all(np.diff(found["energies"]) < 0)


def test_greedy_steps_grow_and_a_resumed_run_goes_on_with_them(capsys, tmp_path, line):
    data = ["--csv", str(line), "--target", "y", "--neurons", "10", "--tau", "greedy"]
    whole = trained(capsys, *data, "--steps", "9")
    assert main(["train", *data, "--steps", "4", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    more = "--steps", "9", "--out", str(tmp_path / "run"), "--resume"
    again = trained(capsys, *data, *more)
    assert again["energies"] == whole["energies"]
    assert again["settings"]["tau"] == "greedy"
    assert np.diff(whole["times"]).max() > 100


def test_t1_ends_the_flow_there(capsys, line):
    found = trained(
        capsys, "--csv", str(line), "--target", "y", "--neurons", "10", "--tau", "2", "--t1", "5"
    )
    assert found["times"] == [0, 2, 4, 5]


def test_without_regularisation_what_is_unknown_is_null_with_a_reason(capsys, line):
    found = trained(
        capsys, "--csv", str(line), "--target", "y", *SMALL, "--lam", "0", "--activation", "relu"
    )
    assert found["optimality_reason"]
    assert found["optimality_gap"] is None or math.isfinite(found["optimality_gap"])


def test_a_score_that_does_not_exist_is_null_with_a_reason(capsys, line):
    found = trained(capsys, "--csv", str(line), "--target", "y", *SMALL, "--test-fraction", "0.02")
    assert found["data"]["test_rows"] == 1
    assert found["test_score"] is None
    assert found["test_score_reason"] == "R2 needs test targets that differ"


@pytest.mark.parametrize("data", [["breast-cancer"], ["--csv", "line.csv", "--target", "y"]])
def test_a_run_leaves_four_files_and_a_table(capsys, tmp_path, line, data):
    assert main(["train", *data, *SMALL, "--out", "deep/er"]) == 0
    out, err = capsys.readouterr()
    for word in (
        "risk",
        "test",
        "evaluations",
        "CPU seconds",
        "slack",
        "couplings",
        "gap",
        "deep/er",
    ):
        assert word in out
    assert err == ""
    folder = tmp_path / "deep" / "er"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    summary = json.loads((folder / "summary.json").read_text())
    run = jko.Trajectory.load(folder / "trajectory.npz")
    assert run.energies.tolist() == summary["energies"]
    assert all((folder / name).read_bytes().startswith(PNG) for name in FILES[:2])


def test_a_run_goes_to_its_own_folder_unless_told_otherwise(capsys, tmp_path, line):
    assert main(["train", "--csv", "line.csv", "--target", "y", *SMALL]) == 0
    assert sorted(path.name for path in (tmp_path / "runs" / "line").iterdir()) == FILES


def test_constant_columns_are_named_in_the_table(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("a,flat,y\n" + "".join(f"{k},7,{k * k}\n" for k in range(12)))
    assert main(["train", "--csv", "t.csv", "--target", "y", *SMALL]) == 0
    assert "1 inputs (1 constant left out: flat)" in capsys.readouterr().out


BAD = {
    "no data": (
        [],
        r"either DATA \(breast-cancer, diabetes, .*\) or --csv FILE --target COLUMN; got neither",
    ),
    "two data": (["diabetes", "--csv", "line.csv", "--target", "y"], r"got both"),
    "unknown data": (
        ["boston"],
        r"data set 'boston' is unknown; choose from breast-cancer, diabetes",
    ),
    "stray target": (
        ["diabetes", "--target", "y"],
        r"--target belongs to --csv FILE; 'diabetes' has",
    ),
    "no target": (["--csv", "line.csv"], r"--target is missing; name the column"),
    "unknown target": (
        ["--csv", "line.csv", "--target", "z"],
        r"--target 'z' is no column .* columns are x, y",
    ),
    "no file": (
        ["--csv", "none.csv", "--target", "y"],
        r"--csv 'none.csv' cannot be read: No such file",
    ),
    "text": (
        ["--csv", "text.csv", "--target", "y"],
        r"column 'x' of 'text.csv' holds 'red' in line 2",
    ),
    "missing": (
        ["--csv", "gap.csv", "--target", "y"],
        r"column 'x' of 'gap.csv' misses 1 of 2 values",
    ),
    "empty": (["--csv", "empty.csv", "--target", "y"], r"'empty.csv' is empty"),
    "out is a file": (
        ["diabetes", "--out", "line.csv"],
        r"--out 'line.csv' cannot be written: File exists",
    ),
    "out in a file": (["diabetes", "--out", "line.csv/a"], r"--out 'line.csv/a' cannot be written"),
    "out in /proc": (["diabetes", "--out", "/proc/jko"], r"--out '/proc/jko' cannot be written"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(capsys, tmp_path, line, case):
    arguments, sentence = BAD[case]
    (tmp_path / "text.csv").write_text("x,y\nred,1\nblue,2\n")
    (tmp_path / "gap.csv").write_text("x,y\n,1\n3,2\n")
    (tmp_path / "empty.csv").write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(sentence, err)
    assert err.count("\n") == 1
    assert err.startswith("jko train: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "diabetes", "--tau", "-1"], r"argument --tau: '-1' must be a finite number > 0"),
        (
            ["train", "diabetes", "--tau", "nan"],
            r"argument --tau: 'nan' must be a finite number > 0",
        ),
        (
            ["train", "diabetes", "--tau", "fast"],
            r"argument --tau: 'fast' must be a finite number > 0",
        ),
        (
            ["train", "diabetes", "--lam", "-0.1"],
            r"argument --lam: '-0.1' must be a finite number >= 0",
        ),
        (
            ["train", "diabetes", "--neurons", "0"],
            r"argument --neurons: '0' must be a whole number from 1 to",
        ),
        (
            ["train", "diabetes", "--steps", "2.5"],
            r"argument --steps: '2.5' must be a whole number from 1 to",
        ),
        (
            ["train", "diabetes", "--test-fraction", "1"],
            r"--test-fraction: '1' must be .* < 1 and >= 0",
        ),
        (
            ["train", "diabetes", "--steps", "2", "--t1", "3"],
            r"--t1: not allowed with argument --steps",
        ),
        (
            ["train", "diabetes", "--activation", "tan"],
            r"--activation: invalid choice: 'tan' \(choose from",
        ),
        (
            ["train", "diabetes", "--formulation", "x"],
            r"--formulation: invalid choice: 'x' \(choose from",
        ),
        (["train", "diabetes", "--neuron", "5"], r"unrecognized arguments: --neuron 5"),
        (["learn"], r"invalid choice: 'learn'"),
    ],
)
def test_a_bad_option_is_one_sentence(capsys, tmp_path, arguments, sentence):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert re.search(sentence, err)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_ends_with_its_sentence_and_what_was_done_is_saved(
    capsys, tmp_path, monkeypatch
):
    flow = jko.flow

    def failing(*arguments, **options):
        partial = flow(*arguments, **options | {"steps": 2})
        raise jko.StepFailed(jko.Status.NOT_FINITE, None, partial)

    monkeypatch.setattr(jko, "flow", failing)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "summary.json").write_text("of another run")
    assert main(["train", "diabetes", *SMALL, "--out", "kept", "--force"]) == 1
    err = capsys.readouterr().err
    assert re.search(
        r"NOT_FINITE .*lower tau.*2 steps were done, they are in kept/trajectory.npz", err
    )
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == SAVED
    assert len(jko.Trajectory.load("kept/trajectory.npz").times) == 3


def _shown(terminal: int, until: bytes | None = None) -> bytes:
    """What a process writes to a terminal, up to a word or to its end."""
    text = b""
    while until is None or until not in text:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # EIO: nobody writes to it any more
            more = b""
        if not more:
            break
        text += more
    return text


def test_control_c_saves_the_steps_that_were_done(tmp_path):
    command = [
        sys.executable,
        "-m",
        "jko",
        "train",
        "diabetes",
        "--neurons",
        "30",
        "--tau",
        "0.001",
    ]
    terminal, screen = (
        os.openpty()
    )  # where progress is shown: the steps are counted, not the seconds
    process = subprocess.Popen(
        [*command, "--steps", "1000000", "--out", str(tmp_path / "cut")],
        stderr=screen,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a background shell ignores it
    )
    os.close(screen)
    try:
        shown = _shown(terminal, until=b"step    3")
        process.send_signal(signal.SIGINT)
        err = (shown + _shown(terminal)).decode()
        process.wait()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert process.returncode == 130
    assert "interrupted from the keyboard" in err
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == SAVED
    run = jko.Trajectory.load(tmp_path / "cut" / "trajectory.npz")
    assert run.status is jko.Status.INTERRUPTED
    assert len(run.times) > 1
    assert np.all(np.diff(run.energies) <= 0)


def saved(path, state):
    return str(jko.flow(jko.SquaredNorm(), state, tau=1.0, steps=0).save(path))


def test_distance_of_two_runs_is_that_of_their_final_states(capsys, tmp_path):
    a = saved(tmp_path / "a.npz", jko.Particles([[0.0, 0.0], [1.0, 0.0]]))
    b = saved(tmp_path / "b.npz", jko.Particles([[4.0, 4.0], [3.0, 4.0]]))
    assert main(["distance", a, b]) == 0
    out = capsys.readouterr().out
    assert re.search(r"metric +W2", out)
    assert float(re.search(r"distance +(\S+)", out)[1]) == pytest.approx(5, abs=1e-12)


def test_distance_refuses_what_it_cannot_compare(capsys, tmp_path):
    a = saved(tmp_path / "a.npz", jko.Particles([[0.0, 0.0], [1.0, 0.0]]))
    pair = saved(tmp_path / "c.npz", jko.ChargedParticles([[0.0], [1.0]], [1.0, 2.0]))
    (tmp_path / "text.npz").write_text("no run")
    for other, sentence in (
        (pair, "lift"),
        ("none.npz", "no file"),
        ("text.npz", "is not a run saved by jko"),
    ):
        assert main(["distance", a, other]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert sentence in err


def test_doctor_finds_everything_well_here(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("python", "torch", "numpy", "scipy", "POT", "cvxpy", "scikit-learn", "matplotlib"):
        assert re.search(rf"^{name} +\d", out, re.MULTILINE)
    assert "all well" in out


def test_doctor_fails_when_a_known_answer_does_not_come_out(capsys, monkeypatch):
    step = jko.step
    monkeypatch.setattr(
        jko, "step", lambda F, mu, tau, solver: step(F, mu, tau=2 * tau, solver=solver)
    )
    assert main(["doctor"]) == 1
    assert re.search(r"one step +FAILED", capsys.readouterr().out)


def test_demo_draws_a_sine(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.count("o") > 60
    assert "every step lowered the energy" in out


def test_help_and_version_are_said(capsys):
    for option, word in (
        ("--help", "python -m jko train breast-cancer"),
        ("--version", jko.__version__),
    ):
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        assert word in capsys.readouterr().out


LINE = ["--csv", "line.csv", "--target", "y"]
UNKNOWN = {
    "optimality_gap": None, "optimality_lower_bound": None, "optimality_rigorous": False,
    "optimality_reason": "not asked", "optimality_cpu_seconds": 0.0,
}  # fmt: skip


@pytest.fixture
def brief(monkeypatch):
    """The report without its two long parts, where it is not the question."""
    monkeypatch.setattr("jko.cli.report._optimality", lambda job, state: UNKNOWN)
    for name in ("energy", "prediction"):
        monkeypatch.setattr(f"jko.cli.pictures.{name}", lambda *given: given[-1].write_bytes(PNG))


def test_a_run_goes_on_to_the_bits_of_one_that_was_not_interrupted(capsys, tmp_path, line, brief):
    assert main(["train", *LINE, "--neurons", "20", "--steps", "6", "--out", "whole"]) == 0
    assert main(["train", *LINE, "--neurons", "20", "--steps", "2", "--out", "parts"]) == 0
    assert (
        main(["train", *LINE, "--neurons", "20", "--steps", "6", "--out", "parts", "--resume"]) == 0
    )
    whole, parts = (jko.Trajectory.load(f"{name}/trajectory.npz") for name in ("whole", "parts"))
    assert parts.energies.tolist() == whole.energies.tolist()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == FILES
    assert json.loads(Path("parts/summary.json").read_text())["steps"] == 6


def test_resuming_where_nothing_is_saved_starts(capsys, line, brief):
    assert main(["train", *LINE, *TINY, "--out", "new", "--resume"]) == 0
    assert len(jko.Trajectory.load("new/trajectory.npz").times) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seed", "7"], r"starts from other neurons; --resume needs .*--seed"),
        (["--neurons", "9"], r"starts from other neurons; --resume needs .*--neurons"),
        (["--formulation", "graph"], r"starts from other neurons; --resume needs .*--formulation"),
        (["--lam", "1"], r"its energy is .* at the start, here it is .*--lam"),
        (["--activation", "sin"], r"its energy is .* at the start, here it is .*--activation"),
        (["--tau", "4"], r"was made with --tau 5, not 4"),
        (["--tau", "greedy"], r"was made with --tau 5, not greedy"),
        (["--steps", "1"], r"has 2 steps already; --resume needs --steps 2 or more"),
        (["--steps", "2", "--csv", "other.csv"], r"here it is|starts from other neurons"),
    ],
)
def test_a_run_does_not_go_on_as_another(capsys, tmp_path, line, brief, options, sentence):
    Path("other.csv").write_text(line.read_text().replace("x,y\n", "x,y\n8,8\n"))
    assert main(["train", *LINE, *TINY, "--out", "run"]) == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    capsys.readouterr()
    assert main(["train", *LINE, *TINY, "--out", "run", "--resume", *options]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


@pytest.mark.parametrize("name", FILES)
def test_a_folder_that_holds_a_run_is_not_written_to(capsys, tmp_path, line, brief, name):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / name).write_text("mine")
    assert main(["train", *LINE, *TINY, "--out", "taken"]) == 2
    assert re.search(
        rf"--out 'taken' holds {name} already; .*--resume.*--force", capsys.readouterr().err
    )
    assert [(path.name, path.read_text()) for path in Path("taken").iterdir()] == [(name, "mine")]
    assert main(["train", *LINE, *TINY, "--out", "taken", "--force"]) == 0
    assert sorted(path.name for path in Path("taken").iterdir()) == FILES


def test_runs_without_out_are_numbered_and_the_last_one_resumed(capsys, tmp_path, line, brief):
    for _ in range(3):
        assert main(["train", *LINE, *TINY]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["line", "line-2", "line-3"]
    assert main(["train", *LINE, "--neurons", "8", "--steps", "4", "--resume"]) == 0
    steps = [
        len(jko.Trajectory.load(f"runs/line{k}/trajectory.npz").times) for k in ("", "-2", "-3")
    ]
    assert steps == [3, 3, 5]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", ""], r"--out '' names no folder"),
        (["--out", "a\0b"], r"--out 'a\\x00b' cannot be written"),
        (["--out", "x" * 300], r"cannot be written: File name too long"),
        (["--out", "has a folder"], r"holds trajectory.npz already"),
        (["--out", "has a folder", "--force"], r"'trajectory.npz' in it is a folder"),
        (["--out", "has a folder", "--resume"], r"'trajectory.npz' in it is a folder"),
        (["--out", "no run", "--resume"], r"no run/trajectory.npz' is not a run saved by jko"),
        (["--json", "--resume"], r"--resume and --force need --out DIR"),
        (["--neurons", "100000000"], r"takes at least [\d,.]+ GiB of memory, and there are"),
        (["--ignore", "x", "q"], r"--ignore 'q' is no column"),
        (["--ignore", "x", "--ignore", "q"], r"--ignore 'q' is no column"),
        (["--ignore", "y"], r"--ignore 'y' is the target"),
        (["--header", "no"], r"--target 'y' is no column .* columns are 1, 2"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    capsys, tmp_path, line, brief, monkeypatch, arguments, sentence
):
    monkeypatch.setattr("jko.cli.memory.available", lambda: 2.0**33)
    (tmp_path / "has a folder" / "trajectory.npz").mkdir(parents=True)
    (tmp_path / "no run").mkdir()
    (tmp_path / "no run" / "trajectory.npz").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", *LINE, *TINY, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(sentence, err)
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


HOSTILE = [
    "\x1b[31mred",
    "\x9b2J",
    "a\u202eb",
    "\u2066x",
    "one\ntwo",
    "a\rb",
    "\x07",
    "\u200bx",
    "$x_{$",
    "<b>&",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_escape_reaches_the_terminal(capsys, tmp_path, brief, name):
    rows = [["", f"in {name}", f"flat {name}", f"y {name}"]]
    rows += [[k + 1, k * k % 7, 1, "ab"[k % 2] + name] for k in range(12)]
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows(rows)
    target = f"y {name}".strip().replace("\ud800", "?")
    main(["train", "--csv", "t.csv", "--target", target, *TINY, "--out", f"out {name}"])
    main(["train", "--csv", "t.csv", "--target", f"no {name}", "--ignore", name])
    main(["train", "--csv", f"{name}.csv", "--target", "y"])
    main(["train", name])
    main(["distance", name, f"{name}.npz"])
    with pytest.raises(SystemExit):
        main(["train", "diabetes", name])
    out, err = capsys.readouterr()
    bad = [sign for sign in out + err if not (sign.isprintable() or sign == "\n")]
    assert bad == []
    assert all(re.match(r"jko|[a-zA-Z0-9 ]{15} ", line) for line in (out + err).splitlines())


def test_a_terminal_that_lacks_a_letter_gets_an_escape(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("caf\xe9 \x1b")
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\xe9 \\x1b\n"


def test_a_full_disk_ends_with_a_sentence(capsys, monkeypatch, line, brief):
    save = jko.Trajectory.save

    def full(self, path):
        if len(self.times) > 2:
            raise ValueError("cannot save to 'x'") from OSError(28, "No space left on device")
        return save(self, path)

    monkeypatch.setattr(jko.Trajectory, "save", full)
    monkeypatch.setattr("jko.cli.job.FIRST", -1.0)
    monkeypatch.setattr("jko.cli.job.PAUSE", -1.0)
    assert main(["train", *LINE, *SMALL, "--out", "full"]) == 1
    assert re.search(
        r"cannot save to 'x'; 1 steps were done, they are in full/", capsys.readouterr().err
    )
    assert len(jko.Trajectory.load("full/trajectory.npz").times) == 2


def test_a_long_run_is_saved_between_the_states_that_are_kept(monkeypatch, tmp_path, line):
    """Half a minute of pause is made nothing: every step ends a flow, and the whole is the same to the bit."""
    job = prepare(datasets.read_csv("line.csv", "y"), SETTINGS)
    whole, _ = train(job, job.start)
    monkeypatch.setattr("jko.cli.job.FIRST", -1.0)
    monkeypatch.setattr("jko.cli.job.PAUSE", -1.0)
    saves = []
    save = jko.Trajectory.save
    monkeypatch.setattr(
        jko.Trajectory,
        "save",
        lambda run, path: saves.append(len(run.times) - 1) or save(run, path),
    )
    parts, _ = train(job, job.start, checkpoint=tmp_path / "run.npz")
    assert parts.energies.tolist() == whole.energies.tolist()
    assert parts.status is whole.status
    assert saves == [1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize("classes", [True, False])
def test_names_that_look_like_formulas_are_drawn(tmp_path, classes):
    names = ("$x_{$", "\\frac{", "y $\\beta{ \x1b \u8c37")
    x = np.linspace(0, 1, 12)[:, None]
    f = np.where(np.arange(12) % 2, 1.0, -1.0) if classes else x[:, 0] ** 2
    target = datasets.Target(names[2:], names[:2] if classes else None)
    table = datasets.Table(names[0], names[1:2], x, target, f)
    job = prepare(table, SETTINGS)
    assert pictures.prediction(job, job.start, tmp_path / "p.png").read_bytes().startswith(PNG)
