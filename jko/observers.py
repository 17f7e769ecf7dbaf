"""Observers of a flow: each is called as ``observer(k, t, result)`` after step k; StopIteration ends the flow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TextIO

from jko import checks
from jko.measures import State
from jko.shown import Shown, notebook
from jko.status import Status
from jko.steps.result import StepResult


@dataclass
class Progress(Shown):
    """A line on how a flow goes: rewritten on a terminal and in a notebook, now and then in a log.

    Parameters
    ----------
    more
        Extra figures, a function (k, t, result) -> {name: number}; for instance a test score.
    stream
        Where to write; default standard error.
    every
        Seconds between two lines where no line can be rewritten: in logs and files.
    until
        The flow time at the end; then the time left is estimated.
    bar
        A bar of tqdm, handed in: it is moved by one each step and told the figures, and nothing else is written.

    Examples
    --------
    >>> import io, jko
    >>> watch = jko.Progress(stream=io.StringIO())
    >>> run = jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=2, observers=[watch]
    ... )
    >>> len(run.times)
    3
    """

    more: Callable[[int, float, StepResult], dict[str, float]] | None = None
    stream: TextIO | None = None
    every: float = 10.0
    until: float | None = None
    bar: Any = None

    def __post_init__(self) -> None:
        if self.more is not None:
            _function("more", self.more, "(k, t, result) -> {name: number}")
        if self.stream is not None:
            checks.able("stream", self.stream, "write", "sys.stderr")
        if self.bar is not None:
            checks.able("bar", self.bar, "update", "tqdm.tqdm(total=100)")
        checks.number("every", self.every, least=0)
        self._began = self._wrote = monotonic()

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Write the line."""
        figures = {"energy": result.energy, "cost": result.cost, "slack": result.slack}
        if self.bar is not None:
            figures |= self.more(k, t, result) if self.more else {}
            self.bar.set_postfix({name: f"{value:.5g}" for name, value in figures.items()})
            self.bar.update()
            return
        stream = sys.stderr if self.stream is None else self.stream
        rewritten = stream is not None and (stream.isatty() or notebook())
        now = monotonic()
        if stream is None or not (rewritten or now - self._wrote >= self.every):
            return  # a program without a console has no stderr
        self._wrote = now
        figures |= self.more(k, t, result) if self.more else {}
        line = f"step {k:4d}  t {t:<8.4g}" + self._left(t, now)
        line += "".join(f"  {name} {value:.5g}" for name, value in figures.items())
        width = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be rewritten
        stream.write(f"\r\x1b[K{line[:width]}" if rewritten else f"{line}\n")
        stream.flush()

    def _left(self, t: float, now: float) -> str:
        """The time left, if the rest goes as what was done."""
        if self.until is None or not 0 < t < self.until:
            return ""
        seconds = (now - self._began) * (self.until - t) / t
        return f"  {seconds / 60:.0f} min left" if seconds > 90 else f"  {seconds:.0f} s left"


@dataclass
class Record(Shown):
    """Keep ``function(k, t, result)`` of every step in ``values``.

    Examples
    --------
    >>> import jko
    >>> means = jko.observers.Record(lambda k, t, result: round(float(result.state.mean()), 2))
    >>> run = jko.flow(
    ...     jko.SquaredNorm(),
    ...     jko.Particles([[1.0]]),
    ...     tau=1.0,
    ...     steps=2,
    ...     solver=jko.LBFGS(tol=1e-9),
    ...     observers=[means],
    ... )
    >>> means.values
    [0.5, 0.25]
    """

    function: Callable[[int, float, StepResult], Any]
    values: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        _function("function", self.function, "(k, t, result)")

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Append."""
        self.values.append(self.function(k, t, result))


@dataclass
class Stop(Shown):
    """End the flow when ``condition(k, t, result)`` is true.

    Examples
    --------
    >>> import jko
    >>> low = jko.Stop(lambda k, t, result: result.energy < 0.1)
    >>> run = jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=99, observers=[low]
    ... )
    >>> run.status.name, bool(run.energies[-1] < 0.1)
    ('STOPPED', True)
    """

    condition: Callable[[int, float, StepResult], bool]

    def __post_init__(self) -> None:
        _function("condition", self.condition, "(k, t, result) -> bool")

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Raise StopIteration if the condition holds."""
        if self.condition(k, t, result):
            raise StopIteration


@dataclass
class SteadyState(Shown):
    """End the flow when the speed ``metric(mu_{k+1}, mu_k) / tau`` is below ``speed``.

    Examples
    --------
    >>> import jko
    >>> slow = jko.SteadyState(1e-2)
    >>> run = jko.flow(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=99, observers=[slow]
    ... )
    >>> run.status.name, len(run.times) < 99
    ('AT_REST', True)
    """

    speed: float

    def __post_init__(self) -> None:
        checks.number("speed", self.speed, above=0)

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Raise StopIteration in a steady state; the flow's status is then AT_REST."""
        if result.cost**0.5 / result.problem.tau < self.speed:
            raise StopIteration(Status.AT_REST)


@dataclass
class Conserved(Shown):
    """Fail with a sentence if ``quantity(state)`` drifts by more than ``tol`` from its first value.

    Parameters
    ----------
    quantity
        Of a state, a number or a tensor: the mean, for instance, of an energy that does not see translations.
    tol
        Largest absolute drift.

    Examples
    --------
    >>> import jko
    >>> pull = jko.Interaction(lambda z: (z**2).sum(-1))  # keeps the mean
    >>> keep = jko.observers.Conserved(lambda mu: mu.mean(), tol=1e-6)
    >>> mu = jko.Particles([[0.0], [2.0]])
    >>> jko.flow(pull, mu, tau=0.1, steps=2, observers=[keep]).status.name
    'FINISHED'
    """

    quantity: Callable[[State], Any]
    tol: float = 1e-10
    first: Any = None

    def __post_init__(self) -> None:
        _function("quantity", self.quantity, "(state) -> a number or a tensor")
        self.tol = checks.number("tol", self.tol, above=0)

    def __call__(self, k: int, t: float, result: StepResult) -> None:
        """Compare with the first value."""
        now = checks.floats("the conserved quantity", self.quantity(result.state))
        if self.first is None:
            first = self.quantity(result.problem.previous)
            self.first = checks.floats("the conserved quantity", first).detach().clone()
        if now.shape != self.first.shape or not now.numel():
            raise ValueError(
                f"the conserved quantity has shape {tuple(now.shape)} at step {k}, and {tuple(self.first.shape)} at "
                "first; it must be numbers whose count does not change"
            )
        drift = float((now - self.first).abs().max())
        if not drift <= self.tol:
            raise ValueError(
                f"a conserved quantity drifted by {drift:g} > {self.tol:g} at step {k}, t = {t:g}"
            )


def _function(name: str, value: Any, form: str) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a function {form}, not {type(value).__name__}")
