"""Work inside one step: evaluations of LBFGS, iterations of BlockNewton, and how they depend on N.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inner.py

A tanh network, d = 5, M = 500, tau = 1, lam = 1e-3, to a residual of 1e-8 relative to the gradient at the base point;
medians over five seeds.  A count that belongs to the measure, not to its sampling, does not grow with N; so the second
table takes for every N a Sobol sample of one law, uniform on [-1, 1]^6.  (A normal law has no such limit: the largest
|w| of a sample, and with it the Hessian of its atom, grows with N.)
"""

import time

import numpy as np
import torch
from torch.quasirandom import SobolEngine

import jko

D, M, TAU = 5, 500, 1.0


def energy(seed: int, sigma=torch.tanh) -> jko.Energy:
    """The risk of a smooth target on normal inputs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(M, D - 1, generator=generator, dtype=torch.float64)
    f = torch.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * x[:, 2]
    return jko.Risk(jko.Data(x, f), activation=jko.Ridge(sigma)) + 1e-3 * jko.SquaredNorm()


def normal(N: int, seed: int) -> jko.Particles:
    """Normal atoms."""
    return jko.Particles.normal(N, D + 1, generator=torch.Generator().manual_seed(seed + 100))


def sobol(N: int, seed: int) -> jko.Particles:
    """A scrambled Sobol sample of the cube."""
    return jko.Particles(
        2 * SobolEngine(D + 1, scramble=True, seed=seed).draw(N, dtype=torch.float64) - 1
    )


def work(F: jko.Energy, mu: jko.Particles, solver) -> tuple[int, int, float]:
    """Iterations, evaluations (the one at the base point included) and CPU seconds of a step."""
    gradient = F.gradient(mu)
    tol = 1e-8 * float(mu.inner(gradient, gradient)) ** 0.5
    begin = time.process_time()
    result = jko.step(F, mu, tau=TAU, solver=solver(tol=tol))
    return result.iterations, result.evaluations, time.process_time() - begin


def table(title: str, rows) -> None:
    """Medians over five seeds, and the range of the evaluations."""
    print(f"\n{title}\n{'':34s}iterations  evaluations    (range)   CPU s")
    for name, run in rows:
        figures = np.array([run(seed) for seed in range(5)])
        low, high = figures[:, 1].min(), figures[:, 1].max()
        median = np.median(figures, axis=0)
        print(
            f"{name:34s}{median[0]:10.0f}{median[1]:13.0f}{low:7.0f}-{high:<4.0f}{median[2]:8.3f}"
        )


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    rows = [
        (
            f"{sigma.__name__}, {solver.__name__}",
            lambda seed, sigma=sigma, solver=solver: work(
                energy(seed, sigma), normal(400, seed), solver
            ),
        )
        for sigma in (torch.tanh, torch.sigmoid)
        for solver in (jko.LBFGS, jko.BlockNewton)
    ]
    table("N = 400 normal atoms", rows)
    rows = [
        (
            f"{law.__name__}, N = {N}",
            lambda seed, N=N, law=law: work(energy(seed), law(N, seed), jko.LBFGS),
        )
        for law in (sobol, normal)
        for N in (100, 1000, 10_000)
    ]
    table("LBFGS, tanh, as N grows", rows)


if __name__ == "__main__":
    main()
