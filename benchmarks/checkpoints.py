"""A checkpoint at each of 100,000 steps: time a step and memory, at the beginning and at the end.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/checkpoints.py                10 atoms, then 12 cells: ten minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/checkpoints.py --steps 5000   a look

One thread.  Prints CPU time a step and resident memory for each tenth of the run; then how much memory grew after the
first tenth, with the trajectory that is returned, the size of the file, and the CPU time of loading it.
"""

import argparse
import gc
import itertools
import tempfile
import time
from pathlib import Path

import torch

import jko

PAGE = 4096


def resident() -> float:
    """Resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def problems() -> dict[str, tuple[jko.Energy, jko.Particles | jko.GridDensity]]:
    """Ten atoms under |x|^2 / 2, and a density on 12 cells under |x|^2 / 2 + 0.1 entropy."""
    atoms = jko.Particles.normal(10, 3, generator=torch.Generator().manual_seed(0))
    grid = jko.Grid((-2.0, 2.0), 12)
    density = jko.GridDensity.from_function(grid, lambda z: (-(z[:, 0] ** 2)).exp())
    norm = jko.SquaredNorm()
    return {"10 atoms": (norm, atoms), "12 cells": (norm + 0.1 * jko.Entropy(), density)}


def measure(energy: jko.Energy, start: jko.Particles | jko.GridDensity, steps: int, path: Path):
    """Run, and print."""
    marks = [(0, time.process_time(), resident())]

    def watch(k: int, t: float, result: jko.StepResult) -> None:
        if k % (steps // 10) == 0:
            gc.collect()
            marks.append((k, time.process_time(), resident()))

    run = jko.flow(energy, start, tau=1e-3, steps=steps, checkpoint=path, observers=[watch])
    after = resident()
    for (k0, t0, _), (k1, t1, memory) in itertools.pairwise(marks):
        each = 1e3 * (t1 - t0) / (k1 - k0)
        print(f"  to step {k1:7d}: {each:7.3f} CPU ms a step, {memory:7.1f} MB")
    first, last = marks[1][2], marks[-1][2]
    print(
        f"  memory after the first tenth: +{last - first:.1f} MB, and {after - first:+.1f} MB with"
    )
    print(f"  the trajectory; the file has {path.stat().st_size / 1e6:.1f} MB", end=" ")
    begin = time.process_time()
    loaded = jko.Trajectory.load(path)
    print(f"and is loaded in {time.process_time() - begin:.2f} CPU s: {loaded!r}")
    assert loaded.energies.tolist() == run.energies.tolist()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--only", choices=list(problems()), default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, (energy, start) in problems().items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name}: {arguments.steps} steps")
                measure(energy, start, arguments.steps, Path(folder) / "run.npz")
