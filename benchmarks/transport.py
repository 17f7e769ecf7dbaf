"""Exact transport against ``ot.emd``: CPU seconds on one thread, and peak memory.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/transport.py            # the whole table, some minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/transport.py ours swirl unequal 5000 3      # one case

Every case runs in a process of its own, the two of a ratio one after the other.  Imports and compiled code are not
counted; the matrix of squared distances that ``ot.emd`` needs is.  Memory is the peak above that of a small solve,
which loads them.
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

import numpy as np

KINDS = ["random", "jko", "swirl", "noise", "far"]
WARM = 600  # atoms of a solve that is not counted


def clouds(kind: str, weights: str, N: int, dim: int):
    """x, a, y, b, and for a JKO move the potential tau phi(x); paired clouds share their weights."""
    g = np.random.default_rng(0)
    y = g.normal(size=(N, dim))
    K, phase = g.normal(size=(8, dim)), g.uniform(0, 6.3, 8)
    V, potential = g.normal(size=(8, dim)), None
    x = {
        "random": g.normal(size=(N, dim)),
        "swirl": y + np.sin(y @ K.T + phase) @ V / 6,  # smooth, no gradient
        "noise": y + 0.3 * g.normal(size=(N, dim)),
        "far": 5 + g.normal(size=(N, dim)) * np.linspace(0.2, 2, dim),
    }.get(kind)
    if (
        x is None
    ):  # an implicit step of phi(x) = mean_k cos(K_k x + phase_k) + |x|^2 / 10 with tau = 1/2
        x, tau = 0.9 * y, 0.5
        wave = x @ K.T + phase
        y = x + tau * (0.2 * x - np.sin(wave) @ K / 8)
        potential = tau * (np.cos(wave).mean(1) + 0.1 * (x**2).sum(1))
    b = np.ones(N) if weights == "equal" else g.uniform(0.1, 2, N)
    a = g.uniform(0.1, 2, N) if kind in ("random", "far") and weights != "equal" else b
    return x, a / a.sum(), y, b / b.sum(), potential


def solve(who: str, x, a, y, b, potential) -> float:
    """The squared distance (or certified cost), by one of the programs."""
    import ot
    from scipy.spatial.distance import cdist

    from jko.metrics import certify, transport

    if who == "ours":
        return transport(x, a, y, b).squared
    if who == "certify":
        certificate = certify(x, y, a, potential)
        assert certificate.optimal, certificate
        return certificate.cost
    cost = cdist(x, y, "sqeuclidean")
    plan = ot.emd(a, b * (a.sum() / b.sum()), cost, numItermax=10**8)
    return float(np.einsum("ij,ij->", plan, cost))


def case(who: str, kind: str, weights: str, N: int, dim: int) -> dict[str, float]:
    """Run one case in this process."""
    problem = clouds(kind, weights, N, dim)
    solve(who, *clouds(kind, weights, WARM, dim))  # imports, and what is compiled
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    value = solve(who, *problem)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "value": value,
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
    N, dim = 5000, 3
    print(f"N = {N}, dim = {dim}: CPU seconds, MB above the start, ratios ot.emd / ours")
    row = "{:8} {:8} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>12}"
    print(
        row.format(
            "move", "weights", "emd s", "ours s", "x", "emd MB", "ours MB", "x", "difference"
        )
    )
    for weights in ("equal", "unequal"):
        for kind in KINDS:
            emd, ours = (measured(who, kind, weights, N, dim) for who in ("emd", "ours"))
            figures = [
                f"{emd['seconds']:.2f}",
                f"{ours['seconds']:.2f}",
                f"{emd['seconds'] / ours['seconds']:.1f}",
                f"{emd['MB']:.0f}",
                f"{ours['MB']:.0f}",
                f"{emd['MB'] / max(ours['MB'], 1):.0f}",
                f"{ours['value'] / emd['value'] - 1:.1e}",
            ]
            print(row.format(kind, weights, *figures), flush=True)
    print("\nlarger, and certificates by the step's potential")
    larger = [
        ("ours", weights, N, 3) for N in (20_000, 100_000) for weights in ("equal", "unequal")
    ]
    proofs = [
        ("certify", "equal", N, dim)
        for N, dim in ((1000, 32), (20_000, 3), (100_000, 3), (100_000, 6))
    ]
    for who, weights, N, dim in larger + proofs:
        found = measured(who, "jko", weights, N, dim)
        print(
            f"{who:8} jko {weights:8} N = {N:6d} dim = {dim:2d}: {found['seconds']:.3f} s, "
            f"{found['MB']:.0f} MB above the start, {found['peak MB']:.0f} MB in all",
            flush=True,
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        who, kind, weights, N, dim = sys.argv[1:]
        print(json.dumps(case(who, kind, weights, int(N), int(dim))))
    else:
        main()
