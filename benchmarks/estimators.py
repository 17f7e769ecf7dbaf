"""The doors to scikit-learn and torch against what people use there: accuracy, CPU time, evaluations.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/estimators.py digits       ten splits: a minute
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/estimators.py tables       ten splits: some minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/estimators.py optimiser    half a minute

- ``digits``: ten classes, a quarter of the rows for the test, at equal width; each split is fitted by both programs in
  turn, and the medians of accuracy, CPU time and of the ratio of times are printed.  Nothing was chosen by the test
  rows: the defaults of the estimators come from validation splits of training rows of other splits.
- ``tables``: breast cancer, wine and diabetes.  As they come, and with their regularisation (of MLP's Adam also the
  rate) chosen by cross-validation inside the training rows.  Differences are those of the same splits.
- ``optimiser``: the lowest loss after so many evaluations of loss and gradient, on full batches, all in float64.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from jko.estimators import JKOClassifier, JKORegressor
from jko.optim import JKO

MARKS = (25, 50, 100, 200, 400)  # evaluations
RATES = (1e-3, 3e-3, 1e-2, 3e-2)  # of Adam
TAUS = (1.0, 10.0, 100.0, 1e3, 1e4)


def splits(load: Callable, count: int):
    """Training and test rows, inputs and targets."""
    X, y = load(return_X_y=True)
    classes = y if y.dtype.kind == "i" else None
    for seed in range(count):
        yield train_test_split(X, y, test_size=0.25, random_state=seed, stratify=classes)


def timed(model, X, y, test, y_test) -> tuple[float, float]:
    """The score on the test rows, and CPU seconds of the fit."""
    began = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - began
    return model.score(test, y_test), seconds


def mlp(width: int = 100, **options):
    """Adam as scikit-learn has it, on standardised inputs."""
    return make_pipeline(StandardScaler(), MLPClassifier((width,), random_state=0, **options))


def digits(count: int) -> None:
    """Accuracy and CPU time at equal width."""
    for width in (100, 300):
        found = np.array(
            [
                [
                    timed(model, a, ya, b, yb)
                    for model in (mlp(width), JKOClassifier(width, random_state=0))
                ]
                for a, b, ya, yb in splits(load_digits, count)
            ]
        )
        (mlp_score, mlp_time), (jko_score, jko_time) = np.median(found, axis=0)
        ratio = np.median(found[:, 1, 1] / found[:, 0, 1])
        means = found[:, :, 0].mean(0)
        print(
            f"digits, {width} neurons, {count} splits: accuracy MLPClassifier {mlp_score:.4f} (mean {means[0]:.4f}) in "
            f"{mlp_time:.2f} s, JKOClassifier {jko_score:.4f} (mean {means[1]:.4f}) in {jko_time:.2f} s; time ratio "
            f"{ratio:.2f}"
        )


def rivals(classes: bool) -> dict[str, Callable]:
    """Models to fit, by name; the last two choose their options inside the training rows."""
    if classes:
        adam, ours, name = mlp(), JKOClassifier(random_state=0), "mlpclassifier"
    else:
        base = MLPRegressor(hidden_layer_sizes=(100,), random_state=0)
        scaled = TransformedTargetRegressor(base, transformer=StandardScaler())
        adam, ours = make_pipeline(StandardScaler(), scaled), JKORegressor(random_state=0)
        name = "transformedtargetregressor__regressor"
    rates = {f"{name}__learning_rate_init": [1e-3, 1e-2], f"{name}__alpha": [1e-4, 1e-1, 1.0, 10.0]}
    return {
        "MLP": adam,
        "JKO": ours,
        "MLP, chosen": GridSearchCV(adam, rates, cv=3),
        "JKO, chosen": GridSearchCV(ours, {"lam": [1e-3, 3e-3, 1e-2, 3e-2]}, cv=3),
    }


def tables(count: int) -> None:
    """Scores on three tables, and how they differ on the same splits."""
    for load in (load_breast_cancer, load_wine, load_diabetes):
        models = rivals(load is not load_diabetes)
        found = np.array(
            [
                [timed(model, a, ya, b, yb) for model in models.values()]
                for a, b, ya, yb in splits(load, count)
            ]
        )
        print(f"{load.__name__}, {count} splits")
        for j, name in enumerate(models):
            scores, seconds = found[:, j, 0], np.median(found[:, j, 1])
            print(f"    {name:12} {scores.mean():.4f} +- {scores.std():.4f}  {seconds:6.2f} s")
        for j, name in ((0, "as they come"), (2, "chosen")):
            gain = found[:, j + 1, 0] - found[:, j, 0]
            error = gain.std(ddof=1) / count**0.5
            print(f"    JKO less MLP, {name}: {gain.mean():+.4f}, standard error {error:.4f}")


def networks() -> dict[str, Callable]:
    """A module with its loss, made anew at each call."""
    X, y = load_digits(return_X_y=True)
    X, y = torch.tensor(X / 16 - 0.3), torch.tensor(y)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=g).double()
    f = (x[:, 0] * x[:, 1]).sin()[:, None]

    def made(inputs: int, width: int, outputs: int, loss: Callable):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs)).double()
        return net, lambda: loss(net) + 1e-4 * sum(p.square().sum() for p in net.parameters())

    return {
        "digits, cross entropy": lambda: made(
            64, 100, 10, lambda net: nn.functional.cross_entropy(net(X), y)
        ),
        "sin(x1 x2), squares": lambda: made(
            3, 50, 1, lambda net: 0.5 * nn.functional.mse_loss(net(x), f)
        ),
    }


def lowest(make: Callable, optimiser: Callable) -> list[float]:
    """The lowest loss after each number of evaluations."""
    net, loss = make()
    optimizer, seen = optimiser(net.parameters()), []

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        seen.append(value.item())
        return value

    while len(seen) < MARKS[-1]:
        optimizer.step(closure)
    return [min(seen[:mark]) for mark in MARKS]


def optimiser(_: int) -> None:
    """Evaluations of three optimisers."""
    known = {
        **{f"Adam {r:g}": lambda p, r=r: torch.optim.Adam(p, r) for r in RATES},
        "LBFGS": lambda p: torch.optim.LBFGS(p, history_size=20, line_search_fn="strong_wolfe"),
        **{f"JKO {t:g}": lambda p, t=t: JKO(p, lr=t) for t in TAUS},
    }
    for name, make in networks().items():
        print(f"{name}: lowest loss after {', '.join(map(str, MARKS))} evaluations")
        for rival, build in known.items():
            print(f"    {rival:12}" + "".join(f"{v:10.5f}" for v in lowest(make, build)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["digits", "tables", "optimiser"])
    parser.add_argument("--splits", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of MLP, which stops before it converges
    torch.set_num_threads(1)
    {"digits": digits, "tables": tables, "optimiser": optimiser}[options.what](options.splits)
