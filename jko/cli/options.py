"""The options of every command; a value out of range is refused in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

import jko
from jko.cli.terminal import shown

HEADER = {None: None, "yes": True, "no": False}  # what --header says

EPILOG = """examples:
  python -m jko train breast-cancer
  python -m jko train --csv houses.csv --target price --out runs/houses
  python -m jko train --csv people.csv --target outcome --encode --fill
  python -m jko predict runs/people --csv new.csv --out predicted.csv
  python -m jko train diabetes --formulation graph --tau 1 --t1 50 --json
  python -m jko validate --quick --report runs/survey
  python -m jko distance runs/a runs/b

exit codes:
  0 done; 1 the computation failed; 2 bad input, said in one sentence; 130 interrupted from the keyboard
"""

TABLES = """tables:
  Text in UTF-8, up to 256 MiB: a line of column names, then a line for each observation, cut by commas, semicolons,
  tabs, | or blanks (whichever gives all lines the same number of cells).  Numbers have a decimal point.  Where the
  first line may be a row, --header asks to say so.  A column that only numbers or names the rows is left out, and the
  result says so; --keep takes it in.

target:
  Words are classes, and so are two values, or at most 20 different whole numbers (each more than once); the result
  says so, and --task reads them the other way.  Several columns of numbers are learned at once by --target A,B.

words and gaps:
  Inputs must be numbers, unless --encode makes an input of each word of a column of words, and --fill takes the mean
  of the training rows for a missing number (one more input says that it was missing), or a category of its own for a
  missing word.  The result says what was done to each column, and predict does the same to new rows.

runs:
  A run is saved while it goes on; after an interruption the same command with --resume goes on from the last save.
  Without --out a new run gets a folder of its own: runs/NAME, runs/NAME-2, ...; --out refuses one that is taken.
"""

PREDICTIONS = """rows:
  Columns are found by name, in any order; others are ignored, also the target, whose score is said where it is there.
  A column that the run was trained on and that is missing is refused, and so is a cell that its rule does not take:
  words among numbers, a gap where the run was made without --fill, a word that its table had not (--unseen).

output:
  A line for each row: the predicted class and the probability of each class, or the values of the target in its units.
"""

ACTIVATIONS = (
    "tanh", "sigmoid", "relu", "softplus", "sin", "gelu", "silu", "mish", "elu", "celu", "logsigmoid", "softsign",
    "tanhshrink", "atan", "asinh", "erf", "cos",
)  # fmt: skip
DATA = ("breast-cancer", "diabetes", "digits", "iris", "wine")


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
    """Of the whole command line; each command is a module of :mod:`jko.cli`."""
    whole: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = Parser(
        prog="python -m jko",
        description="Wasserstein gradient flows by the JKO scheme.",
        epilog=EPILOG,
        **whole,
    )
    parser.add_argument("--version", action="version", version=f"jko {jko.__version__}")
    add = parser.add_subparsers(dest="command", metavar="COMMAND").add_parser
    _train(add("train", help="train a shallow network on real data", epilog=TABLES, **whole))
    new = "classes or values for new rows, by a run of train"
    _predict(add("predict", help=new, epilog=PREDICTIONS, **whole))
    _validate(add("validate", help="measure the claims of the survey", allow_abbrev=False))
    two = "the distance between the final states of two saved runs"
    _distance(add("distance", help=two, allow_abbrev=False))
    sine = "a network learns sin(x) in a few seconds, drawn in the terminal"
    add("demo", help=sine, allow_abbrev=False)
    known = "what is installed, and whether a step gives the known answer"
    add("doctor", help=known, allow_abbrev=False)
    return parser


def _distance(parser: argparse.ArgumentParser) -> None:
    saved = "the folder of a run of train, or a trajectory that Trajectory.save wrote (.npz)"
    parser.add_argument("a", metavar="A", help=saved)
    parser.add_argument("b", metavar="B", help="another one, with a state of the same kind")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.description = "Predict new rows by a network that train has trained."
    add = parser.add_argument
    copied: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    add("run", metavar="RUN", help="the folder of the run, such as runs/NAME")
    add("--csv", metavar="FILE", required=True, help="a table with the columns of the run")
    add("--out", metavar="FILE", help="write a CSV file; default: print it")
    add("--force", action="store_true", help="replace --out FILE if it is there")
    add("--copy", metavar="COLUMN", **copied, help="columns of the table to copy in front")
    told = "whether the first line of FILE names the columns; default: as in the table of the run"
    add("--header", choices=("yes", "no"), help=told)
    none = "take a word that the run does not know for none of its categories"
    add("--unseen", action="store_true", help=none)


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure every claim of the survey on a real instance, and print what was measured beside what is claimed. "
        "The exit code is 1 if one does not hold."
    )
    add = parser.add_argument
    add("--only", metavar="LABEL", help="claims whose label contains this, such as 3.23 or Remark")
    add("--quick", action="store_true", help="at small sizes")
    add("--list", action="store_true", help="print the claims, and measure none")
    add("--json", metavar="FILE", help="write all figures there, as JSON")
    html = "write survey.html there, with pictures; it needs no other file"
    add("--report", metavar="DIR", help=html)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a shallow network by JKO steps, none of which raises the energy, on a shipped data set or "
        "a CSV file."
    )
    _of_data(parser.add_argument_group("data").add_argument)
    _of_the_network(parser.add_argument_group("network").add_argument)
    _of_steps(parser.add_argument_group("steps"))
    _of_output(parser.add_argument_group("output"))


def _of_data(add: Callable[..., object]) -> None:
    columns: dict[str, Any] = {
        "metavar": "COLUMN",
        "nargs": "+",
        "action": "extend",
        "default": [],
    }
    first = "whether the first line of FILE names the columns (else they are called 1, 2, ...); "
    add("dataset", nargs="?", metavar="DATA", help=" or ".join(DATA))
    add("--csv", metavar="FILE", help="a table, instead of DATA; see below")
    learned = "the column of FILE to learn; several: A,B, or given again"
    add("--target", metavar="COLUMN", action="append", default=[], help=learned)
    tasks = ("classification", "regression")
    add("--task", choices=tasks, help="default: what the target tells; see below")
    words: dict[str, Any] = columns | {"nargs": "*", "default": None}
    each = "make an input of each word of a column of words; of named columns also of numbers"
    add("--encode", **words, help=each)
    add("--fill", action="store_true", help="take cells that are missing; see below")
    add("--ignore", **columns, help="leave columns out")
    add("--keep", **columns, help="take columns as inputs though they number the rows")
    told = first + "default: what the columns below it tell"
    add("--header", choices=("yes", "no"), help=told)
    share = _number(least=0, below=1)
    held = "share of the rows held out to test; default .3; 0 trains on all"
    add("--test-fraction", type=share, default=0.3, metavar="P", help=held)


def _of_the_network(add: Callable[..., object]) -> None:
    many, seeds = _count(1, 10**8), _count(0, 2**63 - 1)
    add("--neurons", type=many, default=1000, metavar="N", help="default 1000")
    named = f"default tanh; or {', '.join(ACTIVATIONS[1:])}"
    add("--activation", choices=ACTIVATIONS, default="tanh", metavar="NAME", help=named)
    losses = "of classes: the survey's squared one (default), or the logistic one"
    add("--loss", choices=("squared", "logistic"), default="squared", help=losses)
    drawn = "of the split and the neurons; default 0"
    add("--seed", type=seeds, default=0, metavar="K", help=drawn)


def _of_steps(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    spaces = "measure: F on measures with W2 (default); graph: G on pairs (rho, H) with D"
    add("--formulation", choices=("measure", "graph"), default="measure", help=spaces)
    long = "time step; default 5. greedy: the longest steps that stay cheap"
    add("--tau", type=_tau, default=5.0, metavar="TAU", help=long)
    length = group.add_mutually_exclusive_group().add_argument
    length("--steps", type=_count(1, 10**9), metavar="K", help="number of steps; default 20")
    length("--t1", type=_number(above=0), metavar="T", help="or the end of the flow time")
    weight = "weight of |xi|^2 / 2; default .01"
    add("--lam", type=_number(least=0), default=0.01, help=weight)
    proved = "prove the coupling of each step optimal, and relabel where it is not"
    add("--examine", action="store_true", help=proved)
    add("--threads", type=_count(1, 1024), default=1, metavar="K", help="default 1")
    half = "float32 takes half the time and memory; default float64"
    add("--dtype", choices=("float64", "float32"), default="float64", help=half)
    add(
        "--device",
        default="cpu",
        metavar="NAME",
        help="as torch names it, such as cuda; default cpu",
    )


def _of_output(group: argparse._ArgumentGroup) -> None:
    folder = "folder for the results, of one run; default runs/NAME of the data, or NAME-2, ..."
    group.add_argument("--out", metavar="DIR", help=folder)
    taken = group.add_mutually_exclusive_group().add_argument
    again = "go on with the run saved in the folder (the last one), if there is any"
    taken("--resume", action="store_true", help=again)
    taken("--force", action="store_true", help="replace the run in the folder")
    often = "keep the neurons and save after every K steps; default: about 100 states, by time"
    group.add_argument("--save-every", type=_count(1, 10**9), metavar="K", help=often)
    only = "print one JSON object only; write files only with --out"
    group.add_argument("--json", action="store_true", help=only)


def _number(
    above: float = -math.inf, below: float = math.inf, least: float = -math.inf
) -> Callable[[str], float]:
    rules = [f"> {above:g}"] * (above > -math.inf) + [f"< {below:g}"] * (below < math.inf)
    rule = " and ".join(rules + [f">= {least:g}"] * (least > -math.inf))

    def parse(text: str) -> float:
        from jko import checks  # loads torch, which --help does not need

        try:
            return checks.number("the value", float(text), above, below, least)
        except ValueError:
            said = f"{text!r} must be a finite number {rule}"
            raise argparse.ArgumentTypeError(said) from None

    return parse


def _tau(text: str) -> float | str:
    """A number, or the word."""
    return text if text == "greedy" else _number(above=0)(text)


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        from jko import checks

        try:
            return checks.count("the value", int(text), least, most)
        except ValueError:
            said = f"{text!r} must be a whole number from {least} to {most}"
            raise argparse.ArgumentTypeError(said) from None

    return parse
