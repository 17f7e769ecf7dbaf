"""Bad input on its way to exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """Bad input; its text is the one sentence that the user reads."""


@contextmanager
def refusing() -> Iterator[None]:
    """Where input is read: what the library says about a bad value becomes a refusal.

    It surrounds the reading only, so that a mistake of ours is never passed off as the user's.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError) as error:
        raise Refusal(str(error)) from error
