"""Interrupted at any moment, ``train`` says what is saved and what is not, and it is so; killed, it resumes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from interrupts import TRAIN

import jko
from jko.cli import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "interrupts.py"
REPORT = {"energy.png", "prediction.png", "run.json", "summary.json"}
SAVED = re.compile(
    r"jko train: [^\n]*interrupted[^\n]*; (\d+) steps were done, they are in (\S+?trajectory\.npz)"
    r"(?:, beside ([\w., ]+?))?; the same command with --resume goes on from there\n"
)


def trials(folder, count, seed, number="SIGINT"):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(count), str(seed), number],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == count
    return found


def is_true(trial):
    """Whether what was said is what lies on the disk."""
    files = {name for name in trial["files"] if not name.startswith(".")}
    if trial["code"] == 0:
        # Python itself drops an interruption that falls into a callback of a weak reference: then the run goes on
        return re.match(
            r"\Z|Exception ignored in", trial["said"]
        ) is not None and files == REPORT | {"trajectory.npz"}
    if trial["code"] == 77:  # before the command began
        return not files
    if trial["code"] != 130 or trial["said"].count("\n") != 1:
        return False
    if trial["steps"] is None:
        said = re.fullmatch(r"jko train: [^\n]*interrupted[^\n]*", trial["said"].strip())
        return bool(said) and "steps were done" not in trial["said"] and not files
    said = SAVED.fullmatch(trial["said"])
    beside = set((said[3] or "").split(" and ")) - {""} if said else None
    return bool(said) and int(said[1]) == trial["steps"] and beside == files - {"trajectory.npz"}


def check(found):
    false = [trial for trial in found if not is_true(trial)]
    assert not false, json.dumps(false, indent=1)
    return {trial["steps"] for trial in found}


def test_what_an_interrupted_run_says_is_true(tmp_path):
    check(trials(tmp_path, 5, seed=1))


@pytest.mark.slow
def test_what_sixty_interrupted_runs_say_is_true(tmp_path):
    steps = check(trials(tmp_path, 60, seed=0))
    assert len(steps) > 5  # the moments fall into the training too


def test_a_killed_run_leaves_its_saves_and_resumes_to_the_same_bits(tmp_path):
    found = trials(tmp_path, 2, seed=2, number="SIGKILL")
    whole = jko.Trajectory.load(tmp_path / "whole" / "trajectory.npz")
    for trial in found:
        folder = Path(trial["folder"])
        arguments = ["train", "--csv", str(tmp_path / "line.csv"), *TRAIN, "--out", str(folder)]
        assert main([*arguments, "--resume"]) == 0
        again = jko.Trajectory.load(folder / "trajectory.npz")
        assert np.array_equal(again.energies, whole.energies)
        shutil.rmtree(folder)
