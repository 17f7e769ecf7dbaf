"""How long a step: solves to an error of the flow, and evaluations to a risk.

    .venv/bin/python benchmarks/adaptive.py            # two networks to t = 200, against DOP853; minutes
    .venv/bin/python benchmarks/adaptive.py --greedy   # training on five data sets; minutes

The networks have 50 tanh neurons and 100 data points, d = 2.  A: lam = .01; B: output weights four times as large,
inputs one and a half times, lam = .001.  The error is the largest of nine times from .5 to 200, the root mean square
distance of the neurons from where the flow has them.  *Solves* count the steps that were not taken, too.  *least* is
the smallest estimate of a step over its true error, from the state before it, by DOP853, over the steps up to t = 20.

``--greedy`` counts evaluations of the energy with its gradient until 90, 99 and 99.9 % of what there is to gain are
gained: the lowest energy of 80 steps of tau = 300 is the mark.
"""

import argparse

import numpy as np
import torch
from train import NAMES, table

import jko

TIMES = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
TRAIN = jko.LBFGS.training()


def network(name: str) -> tuple[jko.Energy, jko.Particles]:
    """Problem A or B."""
    g = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 100, dtype=torch.float64)[:, None]
    f = torch.sin(2 * x[:, 0]) + 0.3 * torch.randn(100, generator=g, dtype=torch.float64)
    X, lam = torch.randn(50, 3, generator=g, dtype=torch.float64), 0.01
    if name == "B":
        X[:, 0] *= 4
        x, lam = 1.5 * x, 1e-3
    risk = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))
    return risk + lam * jko.SquaredNorm(), jko.Particles(X)


def rms(a: jko.Particles, b: jko.Particles) -> float:
    """Root mean square distance of neurons with the same label."""
    return float((a.points - b.points).square().sum(-1).mean().sqrt())


def least(energy: jko.Energy, run: jko.Trajectory) -> float:
    """The smallest estimate over the true error of a step."""
    found = []
    for j, tau in enumerate(np.diff(run.times)):
        exact = jko.limits.wasserstein(energy, run.states[j], t1=tau, times=[tau], rtol=1e-10)
        found.append(run.columns["estimates"][j] / rms(run.states[j + 1], exact.final))
    return min(found)


def steps() -> None:
    """Errors and solves of fixed and adaptive steps."""
    for name in "AB":
        energy, mu = network(name)
        exact = jko.limits.wasserstein(energy, mu, t1=200.0, times=TIMES, rtol=1e-11)
        print(f"problem {name}\n{'':28}{'solves':>8}{'evaluations':>12}{'error':>10}{'least':>8}")

        def row(label: str, run: jko.Trajectory, below: float | None) -> None:
            error = max(rms(run.at(t), exact.at(t)) for t in TIMES)  # noqa: B023
            solves = len(run.times) - 1 + int(run.columns.get("rejected", np.zeros(1)).sum())
            work, last = run.columns["evaluations"].sum(), "" if below is None else f"{below:.2f}"
            print(f"{label:28}{solves:8d}{work:12.0f}{error:10.1e}{last:>8}", flush=True)

        fine = jko.LBFGS(tol=1e-7)
        for K in (200, 800, 1600):
            fixed = jko.flow(energy, mu, tau=200 / K, t1=200.0, solver=fine, save=TIMES)
            row(f"Implicit, {K} steps", fixed, None)
        for scheme in (jko.Implicit(), jko.BDF2(), jko.SDIRK2(), jko.ZEG()):
            for tol in (1e-2, 1e-3, 1e-4):
                options = {"tau": jko.Adaptive(tol), "scheme": scheme}
                run = jko.flow(energy, mu, t1=200.0, save=TIMES, **options)
                below = least(energy, jko.flow(energy, mu, t1=20.0, **options))
                row(f"{type(scheme).__name__}, tol = {tol:g}", run, below)


def greedy() -> None:
    """Evaluations to a risk."""
    for name in NAMES:
        x, f = table(name, np.random.default_rng(0))
        x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
        X = torch.randn(200, 2 + x.shape[1], generator=torch.Generator().manual_seed(0)).double()
        X[:, 1:] /= x.shape[1] ** 0.5
        risk = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))
        energy, mu = risk + 1e-3 * jko.SquaredNorm(), jko.Particles(X)
        low = jko.flow(energy, mu, tau=300.0, steps=80, solver=TRAIN).energies[-1]
        first = float(energy(mu))
        targets = [low + (first - low) * part for part in (0.1, 0.01, 0.001)]
        end = jko.observers.Stop(lambda k, t, result: result.energy <= targets[-1])  # noqa: B023
        print(f"{name}: evaluations to {', '.join(f'{t:.3g}' for t in targets)}")
        for tau in (1.0, 10.0, 100.0, 1e3, 1e4, jko.Greedy()):
            run = jko.flow(
                energy, mu, tau=tau, steps=150, solver=TRAIN, observers=[end], throw=False
            )
            work = np.append(0, np.cumsum(run.columns["evaluations"]))
            found = [
                f"{work[np.argmax(run.energies <= t)]:.0f}" if run.energies[-1] <= t else "-"
                for t in targets
            ]
            label = "Greedy" if isinstance(tau, jko.Greedy) else f"tau = {tau:g}"
            print(f"  {label:12}" + "".join(f"{n:>8}" for n in found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--greedy", action="store_true")
    greedy() if parser.parse_args().greedy else steps()
