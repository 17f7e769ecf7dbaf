"""``distance``: how far apart two saved runs ended."""

from __future__ import annotations

import argparse

import jko
from jko.cli.refusal import refusing


def run(arguments: argparse.Namespace) -> int:
    """Print the distance between the final states."""
    with refusing():
        a, b = (jko.Trajectory.load(path).final for path in (arguments.a, arguments.b))
        found = jko.distance(a, b)
    print(f"A         {a!r} from {arguments.a}")
    print(f"B         {b!r} from {arguments.b}")
    print(f"metric    {'D' if isinstance(a, jko.ChargedParticles) else 'W2'}")
    print(f"distance  {found.value:.12g}")
    print(f"gap       {found.gap:.2g}")
    return 0
