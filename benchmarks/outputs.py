"""One evaluation of a network with k outputs against one with a single output: time and memory.

    .venv/bin/python benchmarks/outputs.py [--neurons 300] [--rows 1300] [--inputs 64] [--outputs 10]

One thread, CPU milliseconds, medians of evaluations in turn, and the memory that each adds at its peak, in a process of
its own.  *Unfactored* are the same features as a general map, ``w_l h(theta, x)`` written out for all l.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import torch
from torch import Tensor

import jko
from jko.networks import Data, FeatureMap, Outputs, Pullback, drawn

ALONE = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
}
REPETITIONS = 15
H = jko.Ridge(torch.tanh)


class Unfactored(FeatureMap):
    """All columns, held at once."""

    def __init__(self, k: int) -> None:
        self.phi = Outputs(H, k)

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M k)."""
        return self.phi(z, x)

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Those of the product."""
        return self.phi.linearise(z, x)


def risk(case: str, M: int, n: int, k: int) -> jko.Risk:
    """A risk of random data."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(M, n, generator=draw, dtype=torch.float64)
    f = torch.nn.functional.one_hot(torch.randint(k, (M,), generator=draw), k).double()
    if case == "one output":
        return jko.Risk(Data(x, f[:, 0]), H)
    if case == "unfactored":
        return jko.Risk(Data(x, f), features=Unfactored(k))
    return jko.Risk(Data(x, f), H, loss=jko.Logistic() if case == "logistic" else None)


def one(case: str, N: int, M: int, n: int, k: int) -> None:
    """Print milliseconds and MiB of a case."""
    R = risk(case, M, n, k)
    mu, before, times = drawn(N, R.data, torch.Generator().manual_seed(1)), peak(), []
    R.evaluate(mu)
    for _ in range(REPETITIONS):
        began = time.process_time()
        R.evaluate(mu)
        times.append(time.process_time() - began)
    middle = sorted(times)[REPETITIONS // 2]
    print(f"{case:14s}{1e3 * middle:9.1f} ms{(peak() - before) / 1024:9.0f} MiB", flush=True)


def peak() -> int:
    """The most memory so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """A line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("neurons", 300), ("rows", 1300), ("inputs", 64), ("outputs", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    o = parser.parse_args()
    torch.set_num_threads(1)
    if o.one:
        one(o.one, o.neurons, o.rows, o.inputs, o.outputs)
        return
    for case in ("one output", "squared", "logistic", "unfactored"):
        subprocess.run(
            [sys.executable, *sys.argv, "--one", case], check=True, env=os.environ | ALONE
        )


if __name__ == "__main__":
    main()
