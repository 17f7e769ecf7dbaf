"""A claim of the survey, measured.

Each claim is a function ``(quick: bool) -> Measurement`` with a label and a statement, registered by :func:`claim`;
running it gives a :class:`Claim` that knows whether what was measured is what was claimed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.survey import sections


class Kind(Enum):
    """What is compared."""

    IDENTITY = "identity"
    INEQUALITY = "inequality"
    LIMIT = "limit with order"
    COUNTEREXAMPLE = "counter-example"
    ERRATUM = "erratum"
    EXPERIMENT = "experiment"


Numbers = Sequence[float] | NDArray[np.float64]


class Curve(NamedTuple):
    """A line of a picture; ``style`` is "line", "dots" or "dashed"."""

    x: Numbers
    y: Numbers
    label: str = ""
    style: str = "line"


@dataclass(frozen=True)
class Picture:
    """What a limit or an experiment looks like, as numbers: it is drawn by :func:`jko.plots.claim_picture`."""

    curves: tuple[Curve, ...]
    x: str
    y: str
    logx: bool = False
    logy: bool = False


@dataclass(frozen=True)
class Measurement:
    """What a claim's function hands back.

    Parameters
    ----------
    measured, expected : float
        Two numbers that the claim says are equal; of an INEQUALITY, ``measured <= expected``.
    tolerance : float
        Allowed difference, absolute, >= 0.
    printed : float, optional
        Of an erratum: what the formula as printed gives; it must differ from ``expected`` by more than ``tolerance``.
    picture : Picture, optional
        For limits and experiments.
    """

    measured: float
    expected: float
    tolerance: float
    printed: float | None = None
    picture: Picture | None = field(default=None, repr=False)

    def holds(self, kind: Kind) -> bool:
        """Whether the claim is seen to hold; never for numbers that are not."""
        excess = self.measured - self.expected
        fits = (
            excess <= self.tolerance if kind is Kind.INEQUALITY else abs(excess) <= self.tolerance
        )
        differs = self.printed is None or not abs(self.printed - self.expected) <= self.tolerance
        return fits and differs


@dataclass(frozen=True, kw_only=True)
class Claim(Measurement):
    """One claim with its figures: a measurement, and what it is of.

    Attributes
    ----------
    equation : str
        The survey's own label, such as ``"(3.23)"`` or ``"Remark 3.4"``; of an erratum where it is.
    statement : str
        What is claimed, in a sentence with formulas in TeX between dollars; :func:`jko.survey.formulas.plain` reads it.
    kind : Kind
    section, name : str
        Of the survey, such as ``"3.3"``; of the function that measures.
    seconds : float
        CPU time of the measurement.
    error : str
        Why there is no measurement, if there is none; then it has not passed.
    """

    equation: str
    statement: str
    kind: Kind
    section: str = ""
    name: str = ""
    seconds: float = 0.0
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is seen to hold."""
        return self.holds(self.kind)


Measure = Callable[[bool], Measurement]


@dataclass(frozen=True)
class Entry:
    """A registered claim, not yet measured."""

    equation: str
    statement: str
    kind: Kind
    measure: Measure

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.measure.__name__

    @property
    def module(self) -> str:
        """The module of :mod:`jko.survey.sections` that it stands in."""
        return self.measure.__module__.removeprefix("jko.survey.sections.")

    @property
    def section(self) -> str:
        """The section of the survey, ``"3.3"`` for a module ``s33_...``; empty for a claim of one's own."""
        found = re.match(r"s(\d)(\d)_", self.module)
        return ".".join(found.groups()) if found else ""

    def run(self, quick: bool = False) -> Claim:
        """Measure."""
        start, found, error = time.process_time(), Measurement(math.nan, math.nan, 0.0), ""
        try:
            found = self.measure(quick)
        except Exception as failure:  # what gave up or broke must not hide the other claims
            error = f"{type(failure).__name__}: {failure}"
        return Claim(
            **vars(found),
            equation=self.equation,
            statement=self.statement,
            kind=self.kind,
            section=self.section,
            name=self.name,
            seconds=time.process_time() - start,
            error=error,
        )


SECTIONS = {
    "2.1": "Networks and their measures",
    "2.2": "Training, and what it tends to",
    "2.3": "Pairs (ρ, H)",
    "3.1": "The Wasserstein flow",
    "3.2": "Evolutions of pairs",
    "3.3": "Propagation of chaos, and the metric D",
    "4.1": "Entropy",
    "4.2": "Porous media",
    "4.3": "Minimisers",
    "5.1": "Convergence and its rates",
    "5.2": "Two layers",
}
MODULES = sorted(module.name for module in iter_modules(sections.__path__))
_ENTRIES: list[Entry] = []


def claim(equation: str, kind: Kind, statement: str) -> Callable[[Measure], Measure]:
    """Register a function ``(quick) -> Measurement`` as a claim of the survey."""

    def register(measure: Measure) -> Measure:
        _ENTRIES.append(Entry(equation, statement, kind, measure))
        return measure

    return register


def _of(kind: Kind) -> Callable[[str, str], Callable[[Measure], Measure]]:
    """:func:`claim` for one kind: ``@identity("(2.1)", "what is claimed")``."""
    return lambda equation, statement: claim(equation, kind, statement)


identity, inequality, limit = map(_of, (Kind.IDENTITY, Kind.INEQUALITY, Kind.LIMIT))
counterexample, erratum = map(_of, (Kind.COUNTEREXAMPLE, Kind.ERRATUM))
experiment = _of(Kind.EXPERIMENT)


def named(only: str, label: str) -> bool:
    """Whether a label names what was asked for: a number as a whole, also inside a range; a word as a part.

    Examples
    --------
    >>> named("3.2", "(3.23)"), named("3.28", "(3.26)-(3.29)"), named("remark", "Remark 3.4")
    (False, True, True)
    """
    if not re.fullmatch(r"\(?[\d.]+\)?", only):
        return only.lower() in label.lower()
    number = only.strip("().")
    if re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", label):
        return True
    for section, first, last in re.findall(r"\((\d+)\.(\d+)\)-\(\1\.(\d+)\)", label):
        if any(number == f"{section}.{k}" for k in range(int(first), int(last) + 1)):
            return True
    return False


def entries(only: str | None = None) -> tuple[Entry, ...]:
    """The claims in the survey's order; those whose label contains ``only``, a number such as ``3.23`` or a word.

    Raises
    ------
    ValueError
        There is none.
    """
    for module in MODULES:
        import_module(f"jko.survey.sections.{module}")
    everything = sorted(_ENTRIES, key=lambda entry: MODULES.index(entry.module))
    found = tuple(e for e in everything if only is None or named(only, e.equation))
    if not found:
        labels = ", ".join(dict.fromkeys(e.equation for e in everything))
        raise ValueError(f"no claim has {only!r} in its label; there are {labels}")
    return found


def validate(
    only: str | None = None,
    quick: bool = False,
    report: Callable[[Claim], object] | None = None,
) -> tuple[Claim, ...]:
    """Measure the claims of the survey, in its order.

    Parameters
    ----------
    only : str, optional
        Only those whose label contains it.
    quick : bool
        At small sizes.
    report : callable, optional
        Called with each claim when it is there.
    """
    checks.kind("quick", quick, bool)
    done = []
    for entry in entries(only):
        done.append(entry.run(quick))
        if report is not None:
            report(done[-1])
    return tuple(done)
