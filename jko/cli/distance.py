"""``distance``: how far apart two saved runs ended."""

from __future__ import annotations

import argparse

import jko
from jko.cli.refusal import refusing
from jko.cli.terminal import say


def run(arguments: argparse.Namespace) -> int:
    """Print the distance between the final states."""
    with refusing():
        a, b = (jko.Trajectory.load(path).final for path in (arguments.a, arguments.b))
        found = jko.distance(a, b)
    say(f"A         {a!r} from {arguments.a}")
    say(f"B         {b!r} from {arguments.b}")
    say(f"metric    {'D' if isinstance(a, jko.ChargedParticles) else 'W2'}")
    say(f"distance  {found.value:.12g}")
    say(f"gap       {found.gap:.2g}")
    return 0
