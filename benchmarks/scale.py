"""One evaluation (value, variation, gradient) as networks and data grow: time, memory, page faults.

    .venv/bin/python benchmarks/scale.py                to N = 10^6 neurons, and to M = 10^4 data
    .venv/bin/python benchmarks/scale.py --quick        to 10^5 neurons
    .venv/bin/python benchmarks/scale.py --steps        also a training step of N = 10^6 neurons, M = 1000
    .venv/bin/python benchmarks/scale.py --ranks        only: 5 training steps in 1 and in 2 processes, by torchrun

One thread, CPU seconds.  Each size has a process of its own, so that peak memory is that of this size, imports and data
included; times are medians of repeated evaluations (one, where it takes more than a few seconds).  Page faults are
counted in all evaluations but the first.

``ns`` is for each feature: neuron and data point.  The last column compares with the matrix products of
the evaluation alone, timed in turn with it: forward and back, and once more forward where features are not kept.

With ``--ranks`` the neurons are cut into 8 shards; CPU seconds are those of each process, and bits a digest of the
energies, the slacks and the last atoms, which do not depend on the number of processes.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

import jko
from jko import distributed
from jko.energies import risk

ALONE = {"OMP_NUM_THREADS": "1"}
QUIET = 3.0  # seconds that repetitions may take, after the first


def problem(N: int, M: int, n: int, dtype: torch.dtype) -> tuple[jko.Energy, jko.Particles]:
    """A tanh network of normal weights on normal inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(M, n, generator=generator, dtype=dtype)
    R = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    points = torch.randn(N, n + 2, generator=generator, dtype=dtype)
    return R + 1e-3 * jko.SquaredNorm(), jko.Particles(points)


def timed(*calls: Callable[[], object]) -> list[tuple[float, float]]:
    """CPU seconds and page faults of each call, in turn: medians; warm, unless they take long."""
    found, begun = [], time.process_time()
    while len(found) < 2 or (time.process_time() - begun < QUIET and len(found) < 40):
        found.append([_once(call) for call in calls])
        if time.process_time() - begun > 2 * QUIET:
            break
    return [tuple(np.median(one, axis=0)) for one in zip(*found[len(found) > 1 :], strict=True)]


def _once(call: Callable[[], object]) -> tuple[float, int]:
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
    call()
    seconds = time.process_time() - begin
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def products(mu: jko.Particles, x: torch.Tensor) -> Callable[[], None]:
    """The matrix products of an evaluation alone, block by block in memory that is there."""
    a = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    across, blocks = (
        a.T.contiguous(),
        mu.points.split(max(1, risk.BLOCK // (len(x) * x.element_size()))),
    )
    kept = mu.N * len(x) <= risk.KEEP
    room = [x.new_empty(len(blocks[0]), len(x)) for _ in (blocks if kept else blocks[:1])]
    out = x.new_empty(mu.N, mu.dim - 1)

    def forward(k: int) -> torch.Tensor:
        features = room[k % len(room)][: len(blocks[k])]
        return torch.mm(blocks[k][:, 1:], across, out=features)

    def run() -> None:
        made = [forward(k) for k in range(len(blocks))]
        for k, (rows, result) in enumerate(zip(made, out.split(len(blocks[0])), strict=True)):
            torch.mm(rows if kept else forward(k), a, out=result)

    return run


def evaluation(N: int, M: int, n: int, dtype: str) -> dict[str, float]:
    """What one evaluation takes."""
    energy, mu = problem(N, M, n, getattr(torch, dtype))
    if N > 10_000:
        ((seconds, faults),), gemm = timed(lambda: energy.evaluate(mu)), float("nan")
    else:
        limit = products(mu, energy.energies[0].data.x)
        (seconds, faults), (gemm, _) = timed(lambda: energy.evaluate(mu), limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds": seconds, "faults": faults, "peak": peak, "gemm": gemm}


def step(N: int, M: int, n: int, dtype: str) -> dict[str, float]:
    """What a flow of two training steps takes: the second has curvature pairs from the first."""
    energy, mu = problem(N, M, n, getattr(torch, dtype))
    begin = time.process_time()
    run = jko.flow(energy, mu, tau=1.0, steps=2, solver=jko.LBFGS.training())
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds": seconds, "peak": peak, "slack": float(min(run.slacks[1:]))}


def ranked(N: int, M: int) -> None:
    """What every process of torchrun does: five training steps, and a line of what they took."""
    if distributed.launched():
        distributed.start()
    energy, _ = problem(1, M, 10, torch.float64)

    def draw(a: int, b: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(a)
        points = torch.randn(b - a, 12, generator=generator, dtype=torch.float64)
        points[:, 1:] /= 10**0.5
        return points

    mu, begin = distributed.Sharded.drawn(N, draw), time.process_time()
    train = replace(jko.LBFGS.training(), history=3)  # as many pairs in 1 process as in 2
    run = jko.flow(energy, mu, tau=5.0, steps=5, save=5, solver=train)
    seconds = time.process_time() - begin
    final = distributed.gathered(run.final).points.numpy()
    bits = hashlib.sha256(run.energies.tobytes() + run.slacks.tobytes() + final.tobytes())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"N = {N:8d}, M = {M:5d}, process {distributed.rank()} of {distributed.count()}: {seconds:6.2f} CPU s,"
        f" {peak:5.0f} MB, {run.columns['evaluations'].sum():.0f} evaluations, bits {bits.hexdigest()[:12]}",
        flush=True,
    )


def ranks() -> None:
    """1 and 2 processes, at three sizes."""
    for N, M in ((2000, 1000), (100_000, 1000), (1_000_000, 200)):
        for count in (1, 2):
            torchrun = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                str(count),
            ]
            line = [*torchrun, __file__, "--one", "ranked", str(N), str(M), "0", "-"]
            subprocess.run(line, env=os.environ | ALONE, check=True)


def alone(what: str, *size: object) -> dict[str, float]:
    """The same in a process of its own."""
    line = [sys.executable, __file__, "--one", what, *map(str, size)]
    done = subprocess.run(line, env=os.environ | ALONE, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(N: int, M: int, n: int, dtype: str) -> float:
    """Print a row; the seconds."""
    found = alone("evaluation", N, M, n, dtype)
    ns, share = 1e9 * found["seconds"] / (N * M), found["seconds"] / found["gemm"]
    print(
        f"{N:8d} {M:6d} {n:4d} {dtype:8s} {1e3 * found['seconds']:10.2f} ms {ns:7.2f} ns"
        f" {found['faults']:8.0f} faults {found['peak']:6.0f} MB"
        + ("" if np.isnan(share) else f"   {share:5.2f} x GEMM"),
        flush=True,
    )
    return found["seconds"]


def table(title: str, sizes: list[tuple[int, int]], n: int, dtype: str) -> None:
    """A row for each (N, M), and how fast the time grows with N M."""
    print(f"\n{title}")
    seconds = [row(N, M, n, dtype) for N, M in sizes]
    if len(sizes) > 1:
        features = [N * M for N, M in sizes]
        print(f"log-log slope {np.polyfit(np.log(features), np.log(seconds), 1)[0]:.3f}")


def main(quick: bool, steps: bool) -> None:
    """Print all tables."""
    most = 5 if quick else 6
    for dtype in ("float64", "float32"):
        neurons = [(10**k, 1000) for k in range(3, most + 1)]
        table(f"{dtype}: more neurons, n = 10", neurons, 10, dtype)
        data = [(1000, 10**k) for k in range(2, 5)]
        table(f"{dtype}: more data, n = 10", data, 10, dtype)
        table(f"{dtype}: n = 30", [(1000, 400), (4000, 1000), (10_000, 1000)], 30, dtype)
    if not quick:
        table("memory", [(100_000, 10_000)], 10, "float64")
    if steps:
        found = alone("step", 10**6, 1000, 10, "float64")
        print(
            f"\ntwo training steps, N = 10^6, M = 1000: {found['seconds']:.0f} s, {found['peak'] / 2**10:.2f} GiB, "
            f"smallest slack {found['slack']:.2e}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--ranks", action="store_true")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        what, *size, dtype = options.one
        if what == "ranked":
            ranked(*map(int, size[:2]))
        else:
            print(json.dumps(globals()[what](*map(int, size), dtype)))
    elif options.ranks:
        ranks()
    else:
        main(options.quick, options.steps)
