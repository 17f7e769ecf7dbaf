"""``torchrun -m jko train``: one process speaks, and a run goes on in another number of processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jko
from jko.cli import main

OPTIONS = ["--target", "y", "--neurons", "300", "--tau", "2", "--activation", "tanh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, and ten steps on it by two processes."""
    folder = tmp_path_factory.mktemp("train")
    x = np.linspace(-1, 1, 60)
    rows = "\n".join(f"{a:.6f},{b:.6f}" for a, b in zip(x, np.sin(3 * x), strict=True))
    (folder / "table.csv").write_text(f"x,y\n{rows}\n")
    return folder


def train(folder: Path, out: str, steps: int, *more: str) -> list[str]:
    table = ["--csv", str(folder / "table.csv"), *OPTIONS, "--steps", str(steps)]
    return ["train", *table, "--out", str(folder / out), *more]


def by_two(arguments: list[str]) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(jko.__file__).parents[1]),
    }
    return subprocess.run(
        [*launcher, "--nproc-per-node", "2", "-m", "jko", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )


def figures(folder: Path, out: str) -> dict[str, object]:
    summary = json.loads((folder / out / "summary.json").read_text())
    return {name: summary[name] for name in ("energies", "slacks", "residuals", "steps")}


def test_a_run_of_two_processes_goes_on_in_one(folder, capsys, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    done = by_two(train(folder, "out", 6))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("smallest slack") == 1  # the first process alone speaks
    assert len(list((folder / "out").glob("trajectory.*of2.npz"))) == 2
    assert main(train(folder, "out", 10, "--resume")) == 0
    assert not list((folder / "out").glob("trajectory.*of2.npz"))
    assert "10 to t = 20" in capsys.readouterr().out
    whole = by_two(train(folder, "whole", 10))
    assert whole.returncode == 0, whole.stderr
    assert figures(folder, "out") == figures(folder, "whole")


@pytest.mark.slow
def test_what_is_refused_is_said_once(folder):
    done = by_two(train(folder, "pairs", 2, "--formulation", "graph"))
    assert done.returncode != 0
    assert done.stderr.count("--formulation graph runs in one process") == 1
