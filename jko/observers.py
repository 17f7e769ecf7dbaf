"""Observers of a flow: each is called as ``observer(k, t, result)`` after step k; StopIteration ends the flow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

import torch

from jko import checks
from jko.measures import State
from jko.status import Status
from jko.steps.result import StepResult


@dataclass
class Progress:
    """A line for each step, rewritten in place on a terminal and silent elsewhere.

    Parameters
    ----------
    more
        Extra figures, a function (k, t, result) -> {name: number}; for instance a test score.
    stream
        Where to write; default standard error.
    """

    more: Callable[[int, float, StepResult], dict[str, float]] | None = None
    stream: TextIO | None = None

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Write the line."""
        stream = sys.stderr if self.stream is None else self.stream
        if not stream.isatty():
            return
        figures = {"energy": result.energy, "cost": result.cost, "slack": result.slack}
        figures |= self.more(k, t, result) if self.more else {}
        width = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be rewritten
        line = f"step {k:4d}  t {t:<8.4g}" + "".join(
            f"  {name} {value:.5g}" for name, value in figures.items()
        )
        stream.write("\r\x1b[K" + line[:width])
        stream.flush()


@dataclass
class Record:
    """Keep ``function(k, t, result)`` of every step in ``values``."""

    function: Callable[[int, float, StepResult], Any]
    values: list[Any] = field(default_factory=list)

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Append."""
        self.values.append(self.function(k, t, result))


@dataclass
class Stop:
    """End the flow when ``condition(k, t, result)`` is true."""

    condition: Callable[[int, float, StepResult], bool]

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Raise StopIteration if the condition holds."""
        if self.condition(k, t, result):
            raise StopIteration


@dataclass
class SteadyState:
    """End the flow when the speed ``metric(mu_{k+1}, mu_k) / tau`` is below ``speed``."""

    speed: float

    def __post_init__(self) -> None:
        checks.number("speed", self.speed, above=0)

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Raise StopIteration in a steady state; the flow's status is then AT_REST."""
        if result.cost**0.5 / result.problem.tau < self.speed:
            raise StopIteration(Status.AT_REST)


@dataclass
class Conserved:
    """Fail with a sentence if ``quantity(state)`` drifts by more than ``tol`` from its first value.

    Parameters
    ----------
    quantity
        Of a state, a number or a tensor: the mean, for instance, of an energy that does not see translations.
    tol
        Largest absolute drift.
    """

    quantity: Callable[[State], Any]
    tol: float = 1e-10
    first: Any = None

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Compare with the first value."""
        now = _doubles(self.quantity(result.state))
        if self.first is None:
            self.first = _doubles(self.quantity(result.problem.previous))
        drift = float((now - self.first).abs().max())
        if drift > self.tol:
            raise ValueError(
                f"a conserved quantity drifted by {drift:g} > {self.tol:g} at step {k}, t = {t:g}"
            )


def _doubles(value: Any) -> torch.Tensor:
    """A number or a tensor in double precision, whatever torch's default dtype and device are."""
    return torch.as_tensor(value, dtype=torch.float64, device="cpu")
