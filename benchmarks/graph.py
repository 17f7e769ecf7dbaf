"""The metric D between pairs (rho, H) on grids of the plane, exactly: CPU seconds on one thread, and peak memory.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/graph.py                  # the whole table, some minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/graph.py oscillating 64   # one case: kind of pairs, cells a side

Every case runs in a process of its own.  Imports are not counted; making the pairs is not either.  ``gap`` is the
duality gap relative to D^2: what the exact plan is proved to be off by.  ``peak MB`` is all that the process held,
of which torch and the library take about 350.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch

import jko


def bump(x: float, y: float, scale: float):
    """A normal density, up to its factor."""
    return lambda z: torch.exp(-((z[:, 0] - x) ** 2 + (z[:, 1] - y) ** 2) / (2 * scale**2))


def flat(z):
    return torch.ones(len(z), dtype=z.dtype)


def two_bumps(z):
    return bump(-1.2, -0.5, 0.4)(z) + 0.7 * bump(1.0, 0.8, 0.6)(z)


def disc(z):
    return (z.norm(dim=1) < 1.5).to(z.dtype)


def waves(z):
    return torch.sin(6 * z[:, 0]) * torch.cos(5 * z[:, 1])


def board(z):
    return torch.sign(torch.sin(6 * z[:, 0]) * torch.sin(6 * z[:, 1]))


def noise(seed: int):
    def H(z):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(len(z), generator=generator, dtype=z.dtype)

    return H


# kind: (density, H) twice
KINDS = {
    "smooth": (
        (bump(-0.5, 0.0, 0.7), lambda z: torch.tanh(z[:, 0]) + 0.5 * z[:, 1]),
        (bump(0.6, 0.3, 0.9), lambda z: torch.tanh(z[:, 1]) - 0.3 * z[:, 0]),
    ),
    "one density": (
        (bump(0.0, 0.0, 0.9), lambda z: torch.tanh(z[:, 0])),
        (bump(0.0, 0.0, 0.9), lambda z: -torch.tanh(z[:, 0])),
    ),
    "oscillating": ((bump(0.0, 0.0, 0.9), waves), (bump(0.2, 0.1, 1.0), lambda z: -waves(z))),
    "steep": (
        (bump(0.0, 0.0, 0.9), lambda z: 5 * z[:, 0]),
        (bump(0.0, 0.0, 0.9), lambda z: 5 * z[:, 1]),
    ),
    "two bumps": ((flat, waves), (two_bumps, lambda z: z.norm(dim=1))),
    "vacuum": ((disc, waves), (lambda z: 1 - disc(z), lambda z: z[:, 0])),
    "flat": ((flat, lambda z: torch.sin(3 * z[:, 0])), (flat, lambda z: -torch.sin(3 * z[:, 0]))),
    "board": ((flat, board), (bump(0.0, 0.0, 1.0), lambda z: 0 * z[:, 0])),
    "noise": ((flat, noise(0)), (bump(0.3, 0.0, 1.0), noise(1))),
    "far tails": ((bump(-1.0, 0.0, 0.08), waves), (bump(1.5, 1.0, 0.12), lambda z: z[:, 0])),
}


def pairs(kind: str, cells: int):
    grid = jko.Grid((-3.0, 3.0), (cells, cells))
    return [jko.ChargedDensity.from_function(grid, *functions) for functions in KINDS[kind]]


def case(kind: str, cells: int) -> dict[str, float]:
    """Run one case in this process."""
    a, b = pairs(kind, cells)
    jko.distance(*pairs(kind, 6))  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    D = jko.distance(a, b)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "squared": D.squared,
        "gap": D.gap / D.squared,
        "seconds": seconds,
        "MB": (peak - before) / 1024,
        "peak MB": peak / 1024,
    }


def measured(*arguments: object) -> dict[str, float]:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    row = "{:12} {:>7} {:>14} {:>9} {:>9} {:>7} {:>9}"
    print(row.format("pairs", "cells", "D^2", "gap", "CPU s", "MB", "peak MB"))
    for cells, kinds in ((64, KINDS), (96, ["smooth", "oscillating"])):
        for kind in kinds:
            found = measured(kind, cells)
            figures = [
                f"{found['squared']:.10f}",
                f"{found['gap']:.1e}",
                f"{found['seconds']:.2f}",
                f"{found['MB']:.0f}",
                f"{found['peak MB']:.0f}",
            ]
            print(row.format(kind, f"{cells}^2", *figures), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(case(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
