"""``doctor``: what is installed, and whether known answers come out."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata

import torch

import jko
from jko.cli.terminal import say

# the package's name, the module's, and what is lost without it ("" if nothing works)
PACKAGES = (
    ("numpy", "numpy", ""),
    ("scipy", "scipy", ""),
    ("torch", "torch", ""),
    ("POT", "ot", ""),
    ("cvxpy", "cvxpy", ""),
    ("numba", "numba", ""),
    ("scikit-learn", "sklearn", "the shipped data sets: pip install 'jko[data]'"),
    ("matplotlib", "matplotlib", "pictures: pip install 'jko[plots]'"),
    (
        "latex2mathml",
        "latex2mathml",
        "formulas in the report of validate: pip install 'jko[plots]'",
    ),
)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding; 1 if one of them is a failure."""
    say(f"jko           {jko.__version__} in {os.path.dirname(jko.__file__)}")
    say(f"python        {platform.python_version()} in {sys.executable}")
    failures = sum(_package(*package) for package in PACKAGES)
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    say(f"threads       torch uses {torch.get_num_threads()} of {os.cpu_count()}")
    say(f"device        cpu; {cuda}")
    for name, check in (
        ("one step", _one_step),
        ("a network", _network),
        ("a distance", _distance),
    ):
        failures += _check(name, check)
    say("all well" if not failures else f"{failures} failed")
    return 1 if failures else 0


def _package(name: str, module: str, loss: str) -> int:
    optional = bool(loss)
    try:
        import_module(module)
        found, failed = metadata.version(name), False
    except ImportError:
        found, failed = f"missing: {loss or 'jko needs it; pip install jko'}", not optional
    except Exception as error:
        found, failed = f"broken: {error!r}", True
    say(f"{name:<13} {found}")
    return int(failed)


def _check(name: str, check: Callable[[], tuple[float, float]]) -> int:
    start = time.perf_counter()
    try:
        error, tolerance = check()
        failed = not error <= tolerance
        found = f"error {error:.1e}, allowed {tolerance:.0e}"
    except Exception as problem:
        failed, found = True, repr(problem)
    say(f"{name:<13} {'FAILED: ' * failed}{found}  ({time.perf_counter() - start:.2f} s)")
    return int(failed)


def _one_step() -> tuple[float, float]:
    """A step of |xi|^2 / 2 divides every atom by 1 + tau."""
    start = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))
    result = jko.step(jko.SquaredNorm(), start, tau=2.0, solver=jko.LBFGS(tol=1e-12))
    return float((result.state.atoms.points - start.points / 3).abs().max()), 1e-11


def _network() -> tuple[float, float]:
    """The energy may only fall: the error is the largest rise that the slacks of a small training run allow."""
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    start = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))
    return max(0.0, -float(jko.flow(risk, start, tau=1.0, steps=5).slacks.min())), 1e-12


def _distance() -> tuple[float, float]:
    """W2 between a cloud and the same cloud moved by (3, 4) is 5."""
    cloud = jko.Particles.normal(60, 2, generator=torch.Generator().manual_seed(0))
    moved = jko.Particles(cloud.points.flip(0) + torch.tensor([3.0, 4.0], dtype=torch.float64))
    return abs(jko.distance(cloud, moved).value - 5), 1e-10
