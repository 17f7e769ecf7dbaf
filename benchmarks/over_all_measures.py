"""The minimum of a step, and of an energy, over all measures: gaps, atoms and CPU seconds on one thread.

    OMP_NUM_THREADS=1 python benchmarks/over_all_measures.py            # all of it, some minutes
    OMP_NUM_THREADS=1 python benchmarks/over_all_measures.py steps      # or: training

``steps``: tanh networks on M data, V = 1e-3 |xi|^2 / 2; what moving N atoms of equal weight reaches (LBFGS), what
FrankWolfe reaches, its gap, and how many atoms it divides.  ``training``: tau = infinity, from 50 neurons that were
drawn: the energy, the gap relative to it, the number of atoms; two draws, whose energies must agree.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

import jko

STEPS = [  # N, M, n, tau, gap
    (200, 200, 1, 10.0, 1e-10),
    (200, 200, 1, 100.0, 1e-10),
    (200, 200, 1, 1000.0, 1e-10),
    (500, 500, 1, 100.0, 1e-8),
    (200, 200, 4, 100.0, 1e-8),
]


def risk(x: Tensor, f: Tensor, lam: float, loss: jko.energies.Loss | None = None) -> jko.Energy:
    data = jko.Data(x, f)
    return jko.Risk(data, activation=jko.Ridge(torch.tanh), loss=loss) + lam * jko.SquaredNorm()


def steps() -> None:
    """One step from N drawn neurons."""
    print("   N    M  n    tau      moving atoms      all measures       gap  divided  CPU s")
    for N, M, n, tau, gap in STEPS:
        random = torch.Generator().manual_seed(0)
        x = torch.randn(M, n, generator=random, dtype=torch.float64)
        f = torch.sin(2 * x[:, 0]) + (0.5 * torch.cos(x[:, 1] * x[:, -1]) if n > 1 else 0)
        F, mu = risk(x, f, 1e-3), jko.Particles.normal(N, n + 2, generator=random)
        moved = jko.step(F, mu, tau=tau)
        # gap is relative to the energy; these are absolute
        solver = jko.FrankWolfe(gap=gap / float(F(mu)))
        began = time.process_time()
        found = jko.step(F, mu, tau=tau, solver=solver)
        spent = time.process_time() - began
        print(
            f"{N:4d} {M:4d} {n:2d} {tau:6g}  {moved.objective:.14f}  {found.objective:.14f}  {found.gap.value:8.1e}"
            f"  {found.figures['splits']:7.0f}  {spent:5.1f}",
            flush=True,
        )


def standard(x: np.ndarray) -> Tensor:
    return torch.tensor((x - x.mean(0)) / x.std(0))


def tables() -> dict[str, tuple[Tensor, Tensor, float, jko.energies.Loss | None]]:
    """Inputs, targets, lam and loss of each data set."""
    x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
    random = torch.Generator().manual_seed(0)
    X = torch.randn(300, 4, generator=random, dtype=torch.float64)
    T = 2 * torch.randn(5, 6, generator=random, dtype=torch.float64)
    taught = torch.tanh(X @ T[:, 1:5].T + T[:, 5]) @ T[:, 0] / 5
    sugar, iris, wine = (
        getattr(datasets, f"load_{name}")() for name in ("diabetes", "iris", "wine")
    )
    kinds = torch.nn.functional.one_hot(torch.tensor(iris.target).long(), 3).double()
    flowers, bottles = standard(iris.data), standard(wine.data)
    return {
        "sine, sin 6x": (x, torch.sin(6 * x[:, 0]), 1e-4, None),
        "five teachers, n = 4": (X, taught, 1e-4, None),
        "diabetes, n = 4": (
            standard(sugar.data[:, [2, 8, 3, 4]]),
            standard(sugar.target),
            1e-2,
            None,
        ),
        "diabetes, n = 10": (standard(sugar.data), standard(sugar.target), 1e-2, None),
        "iris, petal width": (flowers[:, :3], flowers[:, 3].clone(), 1e-3, None),
        "iris, classes": (flowers, kinds, 1e-3, jko.Logistic()),
        "wine, alcohol, n = 12": (bottles[:, 1:], bottles[:, 0].clone(), 1e-2, None),
    }


def training() -> None:
    """The minimum over all measures, from two draws of 50 neurons."""
    print(
        "data                       M        energy   gap/energy  atoms  rounds  CPU s  other draw"
    )
    for name, (x, f, lam, loss) in tables().items():
        k = 1 if f.ndim == 1 else f.shape[1]
        found, spent = [], []
        for seed in range(2):
            random = torch.Generator().manual_seed(seed)
            mu = jko.Particles.normal(50, x.shape[1] + 1 + k, generator=random)
            began = time.process_time()
            solver = jko.FrankWolfe(gap=1e-8, seconds=120)
            found.append(jko.minimiser(risk(x, f, lam, loss), mu, solver=solver))
            spent.append(time.process_time() - began)
        best, other = found
        print(
            f"{name:22s} {len(x):5d}  {best.energy:.10f}  {best.gap / best.energy:10.1e}  {len(best.state.weights):5d}"
            f"  {best.iterations:6d}  {spent[0]:5.1f}  {other.energy - best.energy:+.1e}  {best.status.name}",
            flush=True,
        )


if __name__ == "__main__":
    for part in sys.argv[1:] or ("steps", "training"):
        {"steps": steps, "training": training}[part]()
