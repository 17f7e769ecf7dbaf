"""Cost of one evaluation (value, variation, gradient) against N, and one step that is too large to keep its features.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scaling.py            the slope, N = 10^3 .. 10^5, M = 500
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scaling.py --large    one step with N = 10^5, M = 10^4

One thread, CPU seconds, the median of repeated evaluations; peak memory is that of the whole process.
"""

import argparse
import resource
import time

import numpy as np
import torch

import jko


def problem(N: int, M: int, d: int = 6) -> tuple[jko.Energy, jko.Particles]:
    """A tanh network on normal inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(M, d - 1, generator=generator, dtype=torch.float64)
    risk = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    return risk + 1e-3 * jko.SquaredNorm(), jko.Particles.normal(N, d + 1, generator=generator)


def seconds(N: int, M: int) -> float:
    """Median CPU seconds of an evaluation."""
    energy, mu = problem(N, M)
    times = []
    for _ in range(max(5, 200_000 // N)):
        begin = time.process_time()
        energy.evaluate(mu)
        times.append(time.process_time() - begin)
    return float(np.median(times))


def slope() -> None:
    """Seconds for each N, with the log-log slope."""
    sizes = (1000, 3000, 10_000, 30_000, 100_000)
    figures = [seconds(N, 500) for N in sizes]
    for N, s in zip(sizes, figures, strict=True):
        print(
            f"N = {N:7d}  {1e3 * s:9.2f} ms  {1e9 * s / (N * 500):6.2f} ns for each neuron and data point"
        )
    print(f"log-log slope {np.polyfit(np.log(sizes), np.log(figures), 1)[0]:.3f}")


def large() -> None:
    """One step at tau = 0.1."""
    energy, mu = problem(100_000, 10_000)
    begin = time.process_time()
    result = jko.step(energy, mu, tau=0.1)
    print(result)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.process_time() - begin:.0f} CPU s, peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true")
    torch.set_num_threads(1)
    large() if parser.parse_args().large else slope()
