"""Runs ``train`` many times, interrupts each at a random moment, and prints what it said and what lies there.

    python tests/interrupts.py FOLDER COUNT SEED [SIGNAL]

Everything is imported once, then each run is a fork: so the moments fall into the run, not into the imports.
A line of JSON for each: when, exit code, what it said, the steps and the files that lie in its folder.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import matplotlib.backends.backend_agg  # noqa: F401
import numba  # noqa: F401

import jko
import jko.plots
from jko.cli import main, pictures, train  # noqa: F401

for package in (jko, jko.plots):  # the names load when they are asked for: here, not in a fork
    for name in package.__all__:
        getattr(package, name)

TRAIN = ["--target", "y", "--neurons", "20", "--steps", "200", "--tau", "0.5"]
BEFORE = 77  # the exit code where the signal came before the command began


def child(folder: Path) -> None:
    """The command, as a shell would start it, though our own parent may ignore SIGINT."""
    code = BEFORE
    try:
        os.dup2(os.open(f"{folder}.err", os.O_CREAT | os.O_WRONLY), 2)
        os.dup2(os.open(f"{folder}.out", os.O_CREAT | os.O_WRONLY), 1)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = main(
                ["train", "--csv", str(folder.parent / "line.csv"), *TRAIN, "--out", str(folder)]
            )
        except KeyboardInterrupt:
            inside = traceback.format_exc()
            code = 1 if "in main\n" in inside else BEFORE
            sys.stderr.write(inside)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def trial(folder: Path, delay: float, number: int) -> dict[str, object]:
    """One run, interrupted after ``delay`` seconds."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(folder)
    time.sleep(delay)
    os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    path = folder / "trajectory.npz"
    return {
        "folder": str(folder),
        "delay": delay,
        "seconds": time.monotonic() - began,
        "code": os.waitstatus_to_exitcode(status),
        "said": Path(f"{folder}.err").read_text() if Path(f"{folder}.err").exists() else "",
        "steps": len(jko.Trajectory.load(path).times) - 1 if path.exists() else None,
        "files": sorted(p.name for p in folder.iterdir()) if folder.exists() else [],
    }


if __name__ == "__main__":
    where, count, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    number = signal.Signals[sys.argv[4]] if sys.argv[4:] else signal.SIGINT
    (where / "line.csv").write_text(
        "x,y\n" + "".join(f"{k / 9},{(k / 9) ** 2}\n" for k in range(30))
    )
    trial(where / "warm", 0.0, signal.SIGCONT)
    whole = float(str(trial(where / "whole", 0.0, signal.SIGCONT)["seconds"]))
    for k in range(count):
        # stratified: every part of the run gets its share
        moment = 1.05 * whole * (k + rng.random()) / count
        sys.stdout.write(json.dumps(trial(where / str(k), moment, number)) + "\n")
        sys.stdout.flush()
