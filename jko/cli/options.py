"""The options of every command; a value out of range is refused in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

import jko
from jko.cli.terminal import shown

EPILOG = """examples:
  python -m jko train breast-cancer
  python -m jko train --csv houses.csv --target price --out runs/houses
  python -m jko train diabetes --formulation graph --tau 1 --t1 50 --json
  python -m jko validate --quick --report runs/survey
  python -m jko distance runs/a/trajectory.npz runs/b/trajectory.npz

exit codes:
  0 done; 1 the computation failed; 2 bad input, said in one sentence; 130 interrupted from the keyboard
"""

TABLES = """tables:
  Text in UTF-8, up to 256 MiB: a line of column names, then a line for each observation, cut by commas, semicolons,
  tabs, | or blanks (whichever gives all lines the same number of cells).  Numbers have a decimal point; two values
  in the target are two classes.  Where the first line may be a row, --header asks to say so.  A column that only
  numbers or names the rows is left out, and the result says so; --keep takes it in.

runs:
  A run is saved while it goes on; after an interruption the same command with --resume goes on from the last save.
  Without --out a new run gets a folder of its own: runs/NAME, runs/NAME-2, ...; --out refuses one that is taken.
"""


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the rules are."""
        self.exit(
            2,
            shown(f"{self.prog.removeprefix('python -m ')}: {message}; see {self.prog} --help")
            + "\n",
        )


def parser() -> Parser:
    """Of the whole command line; each command finds its function in ``COMMANDS`` of :mod:`jko.cli`."""
    parser = Parser(
        prog="python -m jko",
        description="Wasserstein gradient flows by the JKO scheme.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jko {jko.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(
        commands.add_parser(
            "train",
            help="train a shallow network on real data",
            epilog=TABLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )
    _add_validate(
        commands.add_parser("validate", help="measure the claims of the survey", allow_abbrev=False)
    )
    distance = commands.add_parser(
        "distance",
        help="the distance between the final states of two saved runs",
        allow_abbrev=False,
    )
    distance.add_argument(
        "a", metavar="A.npz", help="a trajectory saved by train or Trajectory.save"
    )
    distance.add_argument("b", metavar="B.npz", help="another one, with a state of the same kind")
    commands.add_parser(
        "demo",
        help="a network learns sin(x) in a few seconds, drawn in the terminal",
        allow_abbrev=False,
    )
    commands.add_parser(
        "doctor",
        help="what is installed, and whether a step gives the known answer",
        allow_abbrev=False,
    )
    return parser


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure every claim of the survey on a real instance, and print what was measured beside what is claimed. "
        "The exit code is 1 if one does not hold."
    )
    parser.add_argument(
        "--only", metavar="LABEL", help="claims whose label contains this, such as 3.23 or Remark"
    )
    parser.add_argument("--quick", action="store_true", help="at small sizes")
    parser.add_argument("--list", action="store_true", help="print the claims, and measure none")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, as JSON")
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write survey.html there, with pictures; it needs no other file",
    )


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a shallow network by JKO steps, each certified, on a shipped data set or on a CSV file "
        "(two values in the target: classification; numbers: regression)."
    )
    data = parser.add_argument_group("data")
    data.add_argument("dataset", nargs="?", metavar="DATA", help="breast-cancer or diabetes")
    data.add_argument("--csv", metavar="FILE", help="a table, instead of DATA; see below")
    data.add_argument("--target", metavar="COLUMN", help="the column of FILE to learn")
    data.add_argument(
        "--ignore",
        metavar="COLUMN",
        nargs="+",
        action="extend",
        default=[],
        help="leave columns out",
    )
    data.add_argument(
        "--keep",
        metavar="COLUMN",
        nargs="+",
        action="extend",
        default=[],
        help="take columns as inputs though they number the rows",
    )
    data.add_argument(
        "--header",
        choices=("yes", "no"),
        help="whether the first line of FILE names the columns (else they are called 1, 2, ...); "
        "default: what the columns below it tell",
    )
    data.add_argument(
        "--test-fraction",
        type=_number(above=0, below=1),
        default=0.3,
        metavar="P",
        help="default .3",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--neurons", type=_count(1, 10**8), default=1000, metavar="N", help="default 1000"
    )
    network.add_argument(
        "--activation",
        choices=("tanh", "sigmoid", "relu", "softplus", "sin"),
        default="tanh",
        help="default tanh",
    )
    network.add_argument(
        "--seed",
        type=_count(0, 2**63 - 1),
        default=0,
        metavar="K",
        help="of the split and the neurons; default 0",
    )
    steps = parser.add_argument_group("steps")
    steps.add_argument(
        "--formulation", choices=("measure", "graph"), default="measure",
        help="measure: F on measures with W2 (default); graph: G on pairs (rho, H) with D",
    )  # fmt: skip
    steps.add_argument("--tau", type=_number(above=0), default=5.0, help="time step; default 5")
    length = steps.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=_count(1, 10**9), metavar="K", help="number of steps; default 20"
    )
    length.add_argument(
        "--t1", type=_number(above=0), metavar="T", help="or the end of the flow time"
    )
    steps.add_argument(
        "--lam", type=_number(least=0), default=0.01, help="weight of |xi|^2 / 2; default .01"
    )
    steps.add_argument("--threads", type=_count(1, 1024), default=1, metavar="K", help="default 1")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the results, of one run; default runs/NAME of the data, or NAME-2, ...",
    )
    taken = output.add_mutually_exclusive_group()
    taken.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run saved in the folder (the last one), if there is any",
    )
    taken.add_argument("--force", action="store_true", help="replace the run in the folder")
    output.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object only; write files only with --out",
    )


def _number(
    above: float = -math.inf, below: float = math.inf, least: float = -math.inf
) -> Callable[[str], float]:
    rules = [f"> {above:g}"] * (above > -math.inf) + [f"< {below:g}"] * (below < math.inf)
    rule = " and ".join(rules + [f">= {least:g}"] * (least > -math.inf))

    def parse(text: str) -> float:
        from jko import checks  # loads torch, which --help does not need

        try:
            value = checks.number("the value", float(text), above, below)
        except ValueError:
            value = math.nan
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text!r} must be a finite number {rule}")
        return value

    return parse


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a whole number from {least} to {most}"
            )
        return value

    return parse
