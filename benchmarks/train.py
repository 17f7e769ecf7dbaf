"""Time to Adam's training energy: JKO steps against Adam and L-BFGS, on five data sets.

    .venv/bin/python benchmarks/train.py [--splits 10] [--only wine]

One thread, CPU seconds, N = 1000 tanh neurons, lam = 1e-3, random splits with 70 % of the rows to train.  The targets
are the lowest training energies that Adam has after 50 and after 200 steps, with the best learning rate of .003, .01,
.03 and .1 for each.  Everything is measured in turn on each split; a ratio is that of two times of one split, printed
as its median over the splits and, in brackets, the worst.  There are two ratios, against

- *textbook*: Adam as it is written in torch, a tensor for each intermediate result (``textbook`` below);
- *kernel*: Adam on ``Energy.evaluate`` in the same precision, as all other methods have it too.

A JKO flow reaches a target when one of its *steps* ends below it: energies inside a step are not states of the scheme.
``training`` is ``jko.LBFGS.training()``, the documented call, ``examined`` the default ``jko.LBFGS()``.  The last
column is the score on the rows left out (accuracy, or R2) where the second target is reached.

glibc hands large temporaries back to the system and faults them in again, which changes Adam's time by a factor of two
from run to run.  So the script starts itself again with MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ set.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from torch import Tensor

import jko

N, LAM, STEPS, RATES, TAU = 1000, 1e-3, (50, 200), (0.003, 0.01, 0.03, 0.1), 100.0
LIMIT = 1000  # evaluations after which a method has lost
ALONE = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
}
NAMES = ("breast cancer", "wine", "diabetes", "digits 4|9", "sin(pi x)")


def table(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a data set; classes are -1 and 1, other targets standardised."""
    if name == "sin(pi x)":
        x = rng.uniform(-1, 1, (200, 1))
        return x, np.sin(np.pi * x[:, 0])
    if name == "diabetes":
        x, f = load_diabetes(return_X_y=True)
        return x, (f - f.mean()) / f.std()
    load, ones, among = {
        "breast cancer": (load_breast_cancer, 1, (0, 1)),
        "wine": (load_wine, 1, (0, 1, 2)),
        "digits 4|9": (load_digits, 4, (4, 9)),
    }[name]
    x, f = load(return_X_y=True)
    rows = np.isin(f, among)
    return x[rows], np.where(f[rows] == ones, 1.0, -1.0)


@dataclass(frozen=True)
class Problem:
    """A split of a data set, the energy of its training part, and the neurons to start from."""

    train: jko.Data
    test: jko.Data
    mu: jko.Particles
    classes: bool

    @classmethod
    def of(cls, name: str, seed: int) -> "Problem":
        """70 % to train, standardised; w ~ N(0, 1), theta' ~ N(0, 1/n), bias ~ N(0, 1)."""
        rng = np.random.default_rng(seed)
        x, f = table(name, rng)
        rows = rng.permutation(len(f))
        train, test = np.split(rows, [int(0.7 * len(f))])
        x = x[:, x[train].std(0) > 0]
        if name != "sin(pi x)":
            x = (x - x[train].mean(0)) / x[train].std(0)
        n, draw = x.shape[1], torch.Generator().manual_seed(seed)
        points = torch.randn(N, n + 2, generator=draw, dtype=torch.float64)
        points[:, 1:-1] /= n**0.5
        parts = (jko.Data(x[part], f[part]) for part in (train, test))
        return cls(*parts, jko.Particles(points), len(set(f)) == 2)

    def single(self) -> "Problem":
        """The same in float32."""
        train, test = (jko.Data(d.x.float(), d.f.float()) for d in (self.train, self.test))
        return Problem(train, test, jko.Particles(self.mu.points.float()), self.classes)

    @property
    def energy(self) -> jko.Energy:
        """The regularised risk."""
        return jko.Risk(self.train, activation=jko.Ridge(torch.tanh)) + LAM * jko.SquaredNorm()

    def score(self, points: Tensor) -> float:
        """Accuracy, or R2, on the rows left out."""
        risk = jko.Risk(self.test, activation=jko.Ridge(torch.tanh))
        output, f = risk.predict(self.mu.moved(points)), self.test.f
        if self.classes:
            return float(((output > 0) == (f > 0)).double().mean())
        return 1 - float((output - f).square().sum() / (f - f.mean()).square().sum())


@dataclass
class Log:
    """Evaluations, CPU seconds and energy, again and again, and the points in the end."""

    rows: list[tuple[int, float, float]] = field(default_factory=list)
    points: Tensor | None = None
    began: float = field(default_factory=time.process_time)

    def enter(self, evaluations: int, energy: float) -> None:
        """A row, now."""
        self.rows.append((evaluations, time.process_time() - self.began, energy))

    def reach(self, target: float) -> tuple[float, float]:
        """Evaluations and CPU seconds to the target; inf where it was not reached."""
        return next(((n, s) for n, s, energy in self.rows if energy <= target), (np.inf, np.inf))


Kernel = Callable[[Tensor], tuple[Tensor, Tensor]]  # points -> energy, mean-field gradient


def library(problem: Problem) -> Kernel:
    """``Energy.evaluate``."""
    energy, mu = problem.energy, problem.mu

    def kernel(points: Tensor) -> tuple[Tensor, Tensor]:
        found = energy.evaluate(mu.moved(points))
        return found.value, found.gradient

    return kernel


def textbook(problem: Problem) -> Kernel:
    """What one writes in torch."""
    data = problem.train

    def kernel(points: Tensor) -> tuple[Tensor, Tensor]:
        xi = points.detach().requires_grad_()
        output = torch.tanh(data.x @ xi[:, 1:-1].T + xi[:, -1]) @ xi[:, 0] / N
        value = 0.5 * ((output - data.f) ** 2).mean() + 0.5 * LAM * (xi**2).sum() / N
        (gradient,) = torch.autograd.grad(value, xi)
        return value.detach(), N * gradient

    return kernel


def adam(kernel: Kernel, problem: Problem, rate: float) -> Log:
    """torch's Adam, on N times the gradient of F in the points; rows are its steps."""
    x = problem.mu.points.clone().requires_grad_()
    optimiser, values, times, log = torch.optim.Adam([x], lr=rate), [], [], Log()
    for _ in range(STEPS[1]):
        value, x.grad = kernel(x.detach())
        optimiser.step()
        values.append(value)
        times.append(time.process_time() - log.began)
    log.points = x.detach()
    after = [float(value) for value in (*values[1:], kernel(log.points)[0])]
    log.rows = [(k, *row) for k, row in enumerate(zip(times, after, strict=True), 1)]
    return log


def lbfgs_of_torch(problem: Problem, target: float) -> Log:
    """torch's L-BFGS on N F itself, strong Wolfe, history 20."""
    kernel, x, log = library(problem), problem.mu.points.clone().requires_grad_(), Log()
    optimiser = torch.optim.LBFGS(
        [x], max_iter=LIMIT, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip

    def closure() -> Tensor:
        value, x.grad = kernel(x.detach())
        log.enter(len(log.rows) + 1, float(value))
        if float(value) <= target:
            raise StopIteration
        return N * value

    with contextlib.suppress(StopIteration):
        optimiser.step(closure)
    log.points = x.detach()
    return log


def lbfgs_of_scipy(problem: Problem, target: float) -> Log:
    """scipy's L-BFGS-B, history 20."""
    kernel, log, shape = library(problem), Log(), problem.mu.points.shape

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        log.points = torch.from_numpy(flat.reshape(shape))
        value, gradient = kernel(log.points)
        log.enter(len(log.rows) + 1, float(value))
        if float(value) <= target:
            raise StopIteration
        return N * float(value), gradient.numpy().ravel()

    options = {"maxcor": 20, "maxiter": LIMIT, "maxfun": LIMIT, "ftol": 0, "gtol": 0}
    start = problem.mu.points.numpy().ravel().copy()
    with contextlib.suppress(StopIteration):
        scipy.optimize.minimize(function, start, jac=True, method="L-BFGS-B", options=options)
    return log


def jko_flow(problem: Problem, target: float, solver: jko.LBFGS) -> Log:
    """A JKO flow; rows are its steps."""
    energy, mu, log = problem.energy, problem.mu, Log()

    def observe(k: int, t: float, result: jko.StepResult) -> None:
        assert result.slack >= 0
        log.enter((log.rows[-1][0] if log.rows else 0) + result.evaluations, result.energy)
        if result.energy <= target or log.rows[-1][0] >= LIMIT:
            raise StopIteration

    run = jko.flow(energy, mu, tau=TAU, steps=LIMIT, save=LIMIT, observers=[observe], solver=solver)
    log.points = run.final.points
    return log


Row = tuple[list[tuple[float, float]], float]  # (evaluations, seconds) to both targets, test score


def compare(problem: Problem) -> Iterator[tuple[str, Row]]:
    """Each method, its evaluations and seconds to both targets, and its score."""
    single = problem.single()
    tuned = {rate: adam(library(problem), problem, rate) for rate in RATES}
    best = [min(tuned, key=lambda rate, k=k: tuned[rate].rows[k - 1][2]) for k in STEPS]
    targets = [tuned[rate].rows[k - 1][2] for rate, k in zip(best, STEPS, strict=True)]
    for name, here, kernel in (
        ("Adam, textbook", problem, textbook),
        ("Adam, kernel", problem, library),
        ("Adam, kernel, float32", single, library),
    ):
        logs = {rate: adam(kernel(here), here, rate) for rate in set(best)}
        rows = [logs[rate].rows[k - 1][:2] for rate, k in zip(best, STEPS, strict=True)]
        yield name, (rows, here.score(logs[best[1]].points))
    train = jko.LBFGS.training()
    methods: dict[str, tuple[Problem, Callable[[], Log]]] = {
        "L-BFGS of torch": (problem, lambda: lbfgs_of_torch(problem, min(targets))),
        "L-BFGS-B of scipy": (problem, lambda: lbfgs_of_scipy(problem, min(targets))),
        "JKO, training": (problem, lambda: jko_flow(problem, min(targets), train)),
        "JKO, training, float32": (single, lambda: jko_flow(single, min(targets), train)),
        "JKO, examined": (problem, lambda: jko_flow(problem, min(targets), jko.LBFGS())),
    }
    for name, (here, method) in methods.items():
        log = method()
        assert log.points is not None
        yield name, ([log.reach(target) for target in targets], here.score(log.points))


Ratios = dict[str, np.ndarray]  # method -> (splits, 2 targets, 2 Adams)


def report(name: str, splits: int) -> Ratios:
    """The table of one data set."""
    rows: dict[str, list[Row]] = {}
    for seed in range(splits):
        for method, row in compare(Problem.of(name, seed)):
            rows.setdefault(method, []).append(row)
    times = {method: np.array([row[0] for row in found]) for method, found in rows.items()}
    print(f"\n{name}: {splits} splits, to Adam's energy after {STEPS[0]} | {STEPS[1]} steps")
    print(
        f"{'':24s}{'evaluations':>12s}{'CPU ms':>14s}{'x textbook':>29s}{'x kernel':>28s}{'test':>7s}"
    )
    ratios = {}
    for method, found in times.items():
        kernel = times["Adam, kernel, float32" if "float32" in method else "Adam, kernel"]
        adams = (times["Adam, textbook"], kernel)
        ratio = np.stack([a[:, :, 1] / found[:, :, 1] for a in adams], axis=-1)
        ratios[method] = ratio
        count, seconds = np.median(found, axis=0).T
        score = np.median([row[1] for row in rows[method]])
        cells = [_cell(ratio[:, t, a]) for a in (0, 1) for t in (0, 1)]
        print(
            f"{method:24s}{count[0]:5.0f} |{count[1]:4.0f}{1e3 * seconds[0]:8.0f} |{1e3 * seconds[1]:5.0f}"
            f"   {cells[0]} |{cells[1]}   {cells[2]} |{cells[3]}{score:8.3f}",
            flush=True,
        )
    return ratios


def _cell(ratio: np.ndarray) -> str:
    return f"{np.median(ratio):5.1f} ({ratio.min():4.1f})"


def main() -> None:
    """Print one table a data set, then the medians over them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--only", choices=NAMES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm = Problem.of("sin(pi x)", 0)
    jko_flow(warm, 0.02, jko.LBFGS())  # what loads when it is first used
    found = [report(name, options.splits) for name in NAMES if options.only in (None, name)]
    print("\nmedian over the data sets of their medians (lowest of them; worst split)")
    print(f"{'':24s}{'x textbook, 50 | 200':>40s}{'x kernel, 50 | 200':>40s}")
    for method in found[0]:
        table = np.stack([ratios[method] for ratios in found])
        medians = np.median(table, axis=1)
        cells = [
            f"{np.median(medians[:, t, a]):6.1f} ({medians[:, t, a].min():4.1f};{table[:, :, t, a].min():4.1f})"
            for a in (0, 1)
            for t in (0, 1)
        ]
        print(f"{method:24s}{cells[0]:>20s} |{cells[1]:>18s}{cells[2]:>20s} |{cells[3]:>18s}")


if __name__ == "__main__":
    if not ALONE.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALONE)
    main()
