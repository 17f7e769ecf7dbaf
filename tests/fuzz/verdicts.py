"""Is an error a sentence of ours?  It is if a ``raise`` statement of the library made it, of a kind meant for users."""

import ast
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jko

HOME = str(Path(jko.__file__).parent)
MEANT = (ValueError, TypeError, jko.StepFailed, jko.limits.LimitStopped)
LONGEST = 2000  # characters of a message: more is an array that was printed


class OutOfTimeError(BaseException):
    """More CPU seconds than were given; no ``except Exception`` catches it."""


@contextmanager
def seconds(limit: float) -> Iterator[None]:
    """Stop what takes longer than this much CPU time."""

    def stop(*_: Any) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def refused(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The value of a call, or the sentence that refused it; any other error is raised with its place."""
    try:
        return call(), None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if frame.filename.startswith(HOME)]
        if not ours:  # Python itself, at the call: a missing argument, an abstract class
            return None, error
        last = frames[-1]
        if isinstance(error, MEANT) and last.lineno in raising(last.filename):
            message = str(error)
            assert 15 < len(message) < LONGEST, f"no sentence: {message[:200]!r}"
            return None, error
        place = f"{ours[-1].filename.removeprefix(HOME)}:{ours[-1].lineno}"
        raise AssertionError(f"raw {type(error).__name__} at {place}: {error}") from error


@cache
def raising(filename: str) -> frozenset[int]:
    """The lines of ``raise`` statements with a message of the library; none of other packages."""
    if not filename.startswith(HOME):
        return frozenset()
    tree = ast.parse(Path(filename).read_text())
    raises = (node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc)
    return frozenset(line for node in raises for line in range(node.lineno, node.end_lineno + 1))
