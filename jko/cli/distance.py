"""``distance``: how far apart two saved runs ended."""

from __future__ import annotations

import argparse
from pathlib import Path

import jko
from jko.cli.refusal import refusing
from jko.cli.terminal import say
from jko.runs import TRAJECTORY


def run(arguments: argparse.Namespace) -> int:
    """Print the distance between the final states."""
    with refusing():
        a, b = (jko.Trajectory.load(_file(path)).final for path in (arguments.a, arguments.b))
        found = jko.distance(a, b)
    say(f"A         {a!r} from {arguments.a}")
    say(f"B         {b!r} from {arguments.b}")
    say(f"metric    {'D' if isinstance(a, jko.ChargedParticles) else 'W2'}")
    say(f"distance  {found.value:.12g}")
    say(f"gap       {found.gap:.2g}")
    return 0


def _file(path: str) -> str | Path:
    """The trajectory: of a run's folder the one in it."""
    inside = Path(path) / TRAJECTORY
    try:
        return inside if path and inside.is_file() else path
    except ValueError:  # a zero byte
        return path
