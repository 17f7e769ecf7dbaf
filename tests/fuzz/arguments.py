"""Every public callable of the library with its parameters, good values for them, and odd ones for any."""

import datetime
import decimal
import fractions
import inspect
import pathlib
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch

import jko

TRUSTED = {"of"}  # constructors without checks, for solvers
ASKED = (
    "Barycentre",
    "LeastAction",
    "SquaredGradient",
    "action",
    "barycentre",
    "flow_distance",
    "least_action",
)
ASKED += (
    "projection_loss",
    "squared_gradient",
)  # of jko.metrics: the rest is for the library itself
RESULTS = {"Distance", "StepFailed", "Trajectory"}  # made by the library; they compute when made


def public() -> dict[str, Callable[..., Any]]:
    """All that ``jko`` and the modules of its table offer to be called, with the classmethods, by name."""
    found = dict(_offered("", jko)) | dict(_offered("diagnostics.", jko.diagnostics))
    found |= dict(_offered("exact.", jko.exact)) | dict(_offered("limits.", jko.limits))
    found |= {f"metrics.{name}": getattr(jko.metrics, name) for name in ASKED}
    for name, offered in list(found.items()):
        if inspect.isclass(offered):
            methods = {n for n, m in vars(offered).items() if isinstance(m, classmethod)}
            made = {n for n in methods - TRUSTED if not n.startswith("_")}
            found |= {f"{name}.{n}": getattr(offered, n) for n in sorted(made)}
    return {name: offered for name, offered in found.items() if signature(offered) is not None}


def _offered(prefix: str, module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in sorted(module.__all__):
        if callable(offered := getattr(module, name)) and name not in RESULTS:
            yield prefix + name, offered


def signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Its parameters, if Python knows them."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def square(z: torch.Tensor) -> torch.Tensor:
    """|z|^2, a potential."""
    return (z * z).sum(-1)


@cache
def run() -> jko.Trajectory:
    """A short flow; a trajectory is never changed."""
    return jko.flow(jko.SquaredNorm(), jko.Particles([[0.0, 1.0]]), tau=0.5, steps=2)


def atoms() -> jko.Particles:
    """Two atoms of (w, theta)."""
    return jko.Particles([[0.0, 1.0], [1.0, 0.0]])


def pair() -> jko.ChargedDensity:
    """A pair (rho, H) on four cells."""
    return jko.ChargedDensity(grid(), np.ones(4), np.zeros(4))


def grid() -> jko.Grid:
    """Four cells."""
    return jko.Grid((0.0, 1.0), 4)


def data() -> jko.Data:
    """Two points."""
    return jko.Data([[0.0], [1.0]], [0.0, 1.0])


# Good values: by the name of the parameter, else by words of its annotation.
BY_NAME: dict[str, Callable[[], Any]] = {
    "points": lambda: [[0.0, 1.0], [1.0, 0.0]],
    "theta": lambda: [[0.0], [1.0]],
    "H": lambda: [0.0, 1.0],
    "values": lambda: np.ones(4),
    "bounds": lambda: (0.0, 1.0),
    "shape": lambda: 4,
    "lower": lambda: [0.0, 0.0],
    "upper": lambda: [1.0, 1.0],
    "x": lambda: [[0.0], [1.0]],
    "f": lambda: [0.0, 1.0],
    "edges": lambda: [0.0, 1.0],
    "masses": lambda: [1.0],
    "mean": lambda: [0.0],
    "covariance": lambda: [[1.0]],
    "run": run,
    "b": lambda: jko.Particles([[0.0, 1.0], [1.0, 3.0]]),
    "states": lambda: [atoms(), atoms()],
    "path": lambda: [atoms(), atoms()],
    "start": atoms,
    "state": atoms,
    "rho": lambda: jko.Particles([[0.0], [1.0]]),
    "activation": lambda: jko.Ridge(torch.tanh),
    "steps": lambda: 2,
    "tau": lambda: 0.5,
    "t1": lambda: 0.5,
}
BY_KIND: dict[str, Callable[[], Any]] = {
    "Energy": jko.SquaredNorm,
    "ChargedDensity": pair,
    "GridDensity": lambda: jko.GridDensity(grid(), np.ones(4)),
    "State": atoms,
    "Particles": atoms,
    "Trajectory": run,
    "Data": data,
    "Grid": grid,
    "Domain": lambda: jko.Box(-9.0, 9.0),
    "Box": lambda: jko.Box(0.0, 1.0),
    "Generator": lambda: torch.Generator().manual_seed(0),
    "Callable": lambda: square,
    "bool": lambda: True,
    "int": lambda: 2,
    "float": lambda: 0.5,
    "Sequence": lambda: [0.0, 1.0],
    "Any": lambda: [0.0, 1.0],
}


def good(parameter: inspect.Parameter) -> Any:
    """A value that a parameter is meant for, as far as its name and annotation tell."""
    if parameter.name in BY_NAME:
        return BY_NAME[parameter.name]()
    words = str(parameter.annotation)
    kinds = (make for word, make in BY_KIND.items() if word in words)
    return next(kinds, lambda: 1.0)()


NUMBERS = [None, True, 0, -1, 1, 3, 0.5, -0.0, 1e308, 1e-320, np.nan, np.inf, 1j, 2**70, 10**400]
WORDS = ["x", "", b"x", "2"]
LISTS = [[], [1.0, 2.0], [[1.0, 2.0]], [[1.0], [2.0, 3.0]], (0.0, 1.0), ((0.0, 1.0),) * 2, (4, 4)]
CONTAINERS = [{}, {1}, {"a": 1.0}, range(3), slice(None), object, int, object(), 10**5000]
SCALARS = [
    np.float32(2),
    np.int64(2),
    np.bool_(True),
    np.timedelta64(2, "s"),
    np.datetime64(1, "s"),
]
OTHERS = [
    datetime.date(2020, 1, 1),
    decimal.Decimal("nan"),
    decimal.Decimal("1e400"),
    fractions.Fraction(1, 3),
    pathlib.Path("x"),
]
MADE: list[Callable[[], Any]] = [
    lambda: np.zeros((2, 2)),
    lambda: np.zeros((0, 2)),
    lambda: np.full((2, 2), np.nan),
    lambda: np.array(["a"]),
    lambda: np.array([1.0, None], dtype=object),
    lambda: np.array([[1 + 5j]]),
    lambda: np.array(["2020-01-01"], "M8[D]"),
    lambda: np.ma.array([[1.0, 99.0]], mask=[[0, 1]]),
    lambda: np.zeros(2, dtype=[("a", float)]),
    lambda: torch.zeros(2, 2),
    lambda: torch.zeros(2, 2, dtype=torch.float64),
    lambda: torch.zeros(2, 2, dtype=torch.float64, device="meta"),
    lambda: torch.ones(2, dtype=torch.float64) / 2,
    lambda: torch.tensor([[1, 2]]),
    lambda: torch.zeros(2, 2).to_sparse(),
    lambda: torch.zeros(2, 2, dtype=torch.bfloat16),
    lambda: torch.zeros(2, 2, dtype=torch.complex128),
    lambda: _quantised(),
    lambda: torch.zeros(2, 2, 2, dtype=torch.float64),
    lambda: torch.tensor(1.0, requires_grad=True),
    atoms,
    lambda: jko.ChargedParticles([[0.0], [1.0]], [0.0, 1.0]),
    lambda: jko.GridDensity(grid(), np.ones(4)),
    lambda: jko.LineMesh([0.0, 1.0], [1.0]),
    pair,
    lambda: jko.ChargedMesh([0.0, 0.5, 2.0], [1.0, 0.0, 1.0], [0.5, 0.5]),
    grid,
    lambda: jko.Box([-9.0, -9.0], [9.0, 9.0]),
    lambda: jko.Ball([0.0, 0.0], 1.0),
    jko.SquaredNorm,
    jko.Entropy,
    data,
    run,
    jko.LBFGS,
    jko.Wasserstein,
    jko.SDIRK2,
    lambda: jko.Ridge(torch.tanh),
    lambda: jko.LBFGS,
    lambda: jko.SDIRK2,
    lambda: jko.Particles,
    lambda: torch.tanh,
    lambda: square,
    lambda: lambda *_: None,
    lambda: lambda *_: 5,
    lambda: lambda: 5,
    torch.Generator,
    np.random.default_rng,
    lambda: iter([1.0]),
    lambda: _itself([]),
]


def _quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop them
        return torch.quantize_per_tensor(torch.zeros(2, 2), 0.1, 0, torch.qint8)


def _itself(items: list[Any]) -> list[Any]:
    items.append(items)
    return items


ODD: list[Callable[[], Any]] = [
    *(lambda v=v: v for v in [*NUMBERS, *WORDS, *LISTS, *CONTAINERS, *SCALARS, *OTHERS]),
    *MADE,
]
