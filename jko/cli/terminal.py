"""The one place where text reaches the terminal: what a file says there is shown, never obeyed."""

from __future__ import annotations

import sys


def shown(text: str) -> str:
    r"""The text in one line, with an escape such as ``\x1b`` or ``\u202e`` for what is no visible sign.

    Names of columns and files come from elsewhere: control characters in them would move the cursor or change colours,
    marks of direction would turn the line round, a line break would start a line that looks like ours.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
        for sign in text
    )


def say(line: str, error: bool = False) -> None:
    """Print one line, on standard error if it is about an error; signs that the stream cannot write become escapes."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # closed by whoever started us
        return
    encoding = stream.encoding or "utf-8"
    print(shown(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)
