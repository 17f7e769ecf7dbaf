"""Time to Adam's training energy: JKO steps against Adam, L-BFGS and explicit mean-field descent.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/train.py [--splits 10] [--only breast-cancer]

One thread, CPU seconds, medians over random splits, N = 1000 tanh neurons, lam = 1e-3, all methods on the same
gradient kernel (``Energy.evaluate``).  The targets are the training energies F that Adam has after 50 and after 200
steps, with the learning rate (of .01, .03, .1) that leaves it lowest after 200.  A JKO flow reaches a target when one
of its *steps* ends below it: energies inside a step are not states of the scheme.  Its times hold everything that a
step does, the proof of its coupling included; its solver is ``LBFGS(fraction=0.9)``, the loosest inexact step.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import Tensor

import jko

Log = list[tuple[int, float, float]]  # evaluations, CPU seconds, energy
N, LAM, STEPS = 1000, 1e-3, (50, 200)
LIMIT = 2000  # evaluations after which a method has lost


def datasets(seed: int) -> dict[str, jko.Data]:
    """Training parts (70 %), standardised; targets of regressions too."""
    rng = np.random.default_rng(seed)
    cancer, diabetes, digits = (
        load(return_X_y=True) for load in (load_breast_cancer, load_diabetes, load_digits)
    )
    pair = np.isin(digits[1], (4, 9))
    x = np.sort(rng.uniform(-1, 1, (200, 1)), axis=0)
    tables = {
        "breast-cancer": (cancer[0], 2.0 * cancer[1] - 1),
        "diabetes": (diabetes[0], (diabetes[1] - diabetes[1].mean()) / diabetes[1].std()),
        "digits 4|9": (digits[0][pair], np.where(digits[1][pair] == 4, 1.0, -1.0)),
        "sin(pi x)": (x, np.sin(np.pi * x[:, 0])),
    }
    result = {}
    for name, (inputs, target) in tables.items():
        rows = rng.permutation(len(inputs))[: int(0.7 * len(inputs))]
        inputs = inputs[rows]
        inputs = inputs[:, inputs.std(0) > 0]
        if name != "sin(pi x)":
            inputs = (inputs - inputs.mean(0)) / inputs.std(0)
        result[name] = jko.Data(inputs, target[rows])
    return result


def start(data: jko.Data, seed: int) -> jko.Particles:
    """w ~ N(0, 1), theta' ~ N(0, 1/n), bias ~ N(0, 1)."""
    points = torch.randn(
        N, data.n + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    points[:, 1:-1] /= data.n**0.5
    return jko.Particles(points)


class Clock:
    """Counts evaluations, and CPU seconds since it was made."""

    def __init__(self, energy: jko.Energy, mu: jko.Particles) -> None:
        self.energy, self.mu, self.log = energy, mu, []
        self.begin = time.process_time()

    def __call__(self, points: Tensor):
        evaluation = self.energy.evaluate(self.mu.moved(points))
        self.log.append(
            (len(self.log) + 1, time.process_time() - self.begin, float(evaluation.value))
        )
        return evaluation


def adam(energy: jko.Energy, mu: jko.Particles, rate: float) -> Log:
    """torch's Adam; the gradient is the mean-field one, N times that of F in the points."""
    clock, x = Clock(energy, mu), mu.points.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=rate)
    for _ in range(STEPS[1] + 1):
        x.grad = clock(x.detach()).gradient
        optimiser.step()
    return clock.log


def plain_lbfgs(energy: jko.Energy, mu: jko.Particles, targets: list[float]) -> Log:
    """torch's L-BFGS on N F itself, strong Wolfe, history 10."""
    clock, x = Clock(energy, mu), mu.points.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [x],
        max_iter=LIMIT,
        max_eval=LIMIT,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        evaluation = clock(x.detach())
        if clock.log[-1][2] <= min(targets):
            raise StopIteration
        x.grad = evaluation.gradient
        return mu.N * evaluation.value  # of which the mean-field gradient is the gradient

    with contextlib.suppress(StopIteration):
        optimiser.step(closure)
    return clock.log


def explicit(energy: jko.Energy, mu: jko.Particles, targets: list[float], tau: float) -> Log:
    """Explicit Euler for the mean-field flow; NaN and growth end it."""
    clock, x = Clock(energy, mu), mu.points
    while len(clock.log) < LIMIT:
        evaluation = clock(x)
        if not clock.log[-1][2] <= 2 * clock.log[0][2] or clock.log[-1][2] <= min(targets):
            break
        x = x - tau * evaluation.gradient
    return clock.log


def jko_flow(energy: jko.Energy, mu: jko.Particles, targets: list[float], tau: float) -> Log:
    """A JKO flow; entries are its steps."""
    log: Log = []
    begin = time.process_time()

    def observe(k: int, t: float, result: jko.StepResult) -> None:
        evaluations = (log[-1][0] if log else 0) + result.evaluations
        log.append((evaluations, time.process_time() - begin, result.energy))
        if result.energy <= min(targets) or evaluations >= LIMIT:
            raise StopIteration

    solver = jko.LBFGS(fraction=0.9)
    jko.flow(energy, mu, tau=tau, steps=LIMIT, save=LIMIT, observers=[observe], solver=solver)
    return log


def reach(log: Log, target: float) -> tuple[float, float]:
    """Evaluations and CPU seconds to the target; inf where it was not reached."""
    return next(((n, s) for n, s, energy in log if energy <= target), (np.inf, np.inf))


def compare(data: jko.Data, seed: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Each method with its (evaluations, seconds) to both targets."""
    energy = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + LAM * jko.SquaredNorm()
    mu = start(data, seed)
    energy.evaluate(mu)
    best = min((adam(energy, mu, rate) for rate in (0.01, 0.03, 0.1)), key=lambda log: log[-1][2])
    targets = [best[k][2] for k in STEPS]
    yield "Adam", [best[k][:2] for k in STEPS]
    methods: dict[str, Callable[[], Log]] = {
        "plain L-BFGS": lambda: plain_lbfgs(energy, mu, targets),
        "explicit, tau = 1": lambda: explicit(energy, mu, targets, 1.0),
        "JKO, tau = 1": lambda: jko_flow(energy, mu, targets, 1.0),
        "JKO, tau = 10": lambda: jko_flow(energy, mu, targets, 10.0),
        "JKO, tau = 100": lambda: jko_flow(energy, mu, targets, 100.0),
    }
    for name, method in methods.items():
        log = method()
        yield name, [reach(log, target) for target in targets]


def main() -> None:
    """Print one table a data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in datasets(0):
        if options.only and options.only != name:
            continue
        rows: dict[str, list] = {}
        for seed in range(options.splits):
            for method, figures in compare(datasets(seed)[name], seed):
                rows.setdefault(method, []).append(figures)
        print(
            f"\n{name}: medians over {options.splits} splits, to Adam's energy after 50 | 200 steps"
        )
        print(f"{'':20s}{'evaluations':>18s}{'CPU seconds':>18s}{'times faster than Adam':>26s}")
        adam_seconds = np.array(rows["Adam"])[:, :, 1]
        for method, figures in rows.items():
            table = np.array(figures)
            evaluations, seconds = (
                np.median(table[:, :, 0], axis=0),
                np.median(table[:, :, 1], axis=0),
            )
            ratio = np.median(adam_seconds / table[:, :, 1], axis=0)
            print(
                f"{method:20s}{evaluations[0]:9.0f}{evaluations[1]:9.0f}"
                f"{seconds[0]:9.3f}{seconds[1]:9.3f}{ratio[0]:13.2f}{ratio[1]:13.2f}"
            )


if __name__ == "__main__":
    main()
